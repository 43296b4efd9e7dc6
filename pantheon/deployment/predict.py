"""``predict``: send requests to the running button over HTTP, as any other client."""

import json
from collections.abc import Mapping
from typing import Any

from pantheon.errors import PantheonError
from pantheon.web.client import Client, NoAnswer


def read_rows(text: str) -> list[Any]:
    """Return the rows of ``ROW=``: one JSON object, a list of them, or ``-`` for standard input.

    Raises:
        PantheonError: it is not valid JSON; the message shows the position.
    """
    if text == "-":
        import sys

        text = sys.stdin.read()
    example = """ROW='{"robot-age": 5, "rust-level": 9, "battery": "low"}'"""
    if not text.strip():
        raise PantheonError("predict needs ROW=.", f"For example: {example}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise PantheonError(
            f"ROW is not valid JSON ({error.msg} at character {error.pos + 1}): {text[:80]}", f"For example: {example}"
        ) from None
    return value if isinstance(value, list) else [value]


def ask(address: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[Any, str | None]:
    """Send one request to the button; return its JSON answer and the version of the model that gave it.

    Args:
        address: such as ``http://127.0.0.1:8080``.
        body: a JSON value to POST; None: GET.
        headers: for what needs a login, those of ``logins.headers``.

    Raises:
        PantheonError: no service answers at ``address``, or the service rejected the request; includes its reason.
    """
    try:
        client = Client(address, "the button", headers=headers, timeout=30)
        answer = client.send("GET" if body is None else "POST", path, body)
    except NoAnswer as error:
        why = f"no service answers at {address} ({error.problem})."
        raise PantheonError(why, "Start it: `up`") from None
    if not answer.ok:
        fields = f"For the expected fields, see {address}/signature" if answer.status == 422 else ""
        raise PantheonError(answer.reason("error", "message"), fields)
    try:
        return answer.json(), answer.headers.get("x-model-version")
    except ValueError:
        raise PantheonError(f"the server at {address} is not the button: it does not send JSON.") from None


def predict(address: str, rows: list[Any]) -> dict[str, Any]:
    """Send rows (JSON objects) to ``POST /predict``.

    Returns:
        ``prediction`` (a label or number per row), ``probabilities`` (for classes), ``version`` and, if the
        model's classes have names, ``words``.

    Raises:
        PantheonError: as ``ask``.
    """
    signature, _ = ask(address, "/signature")
    query = "?probabilities=1" if signature["task"] == "classification" else ""  # a regression has no probabilities
    answer, version = ask(address, f"/predict{query}", {"payload": rows})
    labels = signature["output"].get("labels") or {}
    names = [labels.get(str(label), str(label)) for label in answer["prediction"]] if labels else None
    return {**answer, "version": version} | ({"words": names} if names else {})
