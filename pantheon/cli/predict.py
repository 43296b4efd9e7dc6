"""``predict``: ask the button that is up, over HTTP, as any other program would."""

import json
import urllib.error
import urllib.request
from typing import Any

from pantheon.errors import PantheonError


def read_rows(text: str) -> list[Any]:
    """The rows of ``ROW=``: one JSON object, a list of them, or ``-`` for standard input.

    Raises:
        PantheonError: it is not JSON; shows where.
    """
    if text == "-":
        import sys

        text = sys.stdin.read()
    example = """ROW='{"robot-age": 5, "rust-level": 9, "battery": "low"}'"""
    if not text.strip():
        raise PantheonError("there is no row to predict.", f"For example: make tier-persephone predict {example}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise PantheonError(
            f"ROW is not JSON ({error.msg} at character {error.pos + 1}): {text[:80]}", f"For example: {example}"
        ) from None
    return value if isinstance(value, list) else [value]


def ask(address: str, path: str, tier: str, body: bytes | None = None) -> tuple[Any, str | None]:
    """One request to the button: its JSON answer and the version of the model that gave it.

    Args:
        address: such as ``http://127.0.0.1:8080``.
        tier: for the message when nothing answers.

    Raises:
        PantheonError: nothing answers there; or the service refused: its words.
    """
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"})  # noqa: S310 - our loopback
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # a company's proxy has no way to our loopback
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer), answer.headers.get("X-Model-Version")
    except urllib.error.HTTPError as error:
        raise PantheonError(refusal(error), f"What it takes: {address}/signature") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise PantheonError(f"nothing answers at {address} ({reason}).", f"Bring it up: make tier-{tier} up") from None


def predict(address: str, rows: list[Any], tier: str) -> dict[str, Any]:
    """Send rows (JSON objects) to ``POST /predict``.

    Returns:
        ``prediction`` (a label or number for each row), ``probabilities`` (for classes), ``version`` and, where the
        model's classes have words, ``words``.

    Raises:
        PantheonError: as ``ask``.
    """
    answer, version = ask(address, "/predict?probabilities=1", tier, json.dumps({"payload": rows}).encode())
    signature, _ = ask(address, "/signature", tier)
    labels = signature["output"].get("labels") or {}
    words = [labels.get(str(label), str(label)) for label in answer["prediction"]] if labels else None
    return {**answer, "version": version} | ({"words": words} if words else {})


def show_answer(answer: dict[str, Any]) -> None:
    """One line a row: the prediction, its words and its probability."""
    from pantheon.cli import show

    for index, label in enumerate(answer["prediction"]):
        words = answer["words"][index] if "words" in answer else ""
        sure = f"{max(answer['probabilities'][index]):.0%}" if answer.get("probabilities") else ""
        show.out.print("  ".join(filter(None, [str(label), words, sure])), markup=False)
    show.err.print(f"[dim]by model version {answer['version']}[/]")


def refusal(error: urllib.error.HTTPError) -> str:
    """The service's own words; they name row and field."""
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {error.code}."
