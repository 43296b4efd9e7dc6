"""What the operators' pages show, as values for their templates: rows of the log, versions, explanations, keys."""

import math
import re
import shlex
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pantheon.keys import Key
from pantheon.store import Version
from serving.formatting import ago, metric, moment, number, percent, title
from serving.questions.requests import REASONS, data_of, said, short

CELL = 90  # characters of a text in a table
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def row(given: dict[str, Any]) -> dict[str, Any]:
    """Return one predicted row of the log."""
    refused = given["status"] >= 400
    probabilities = given["probabilities"] if isinstance(given["probabilities"], list) else []
    judged = said({**given, "comment": None})  # the comment is beside it
    fields = given["input"].items() if isinstance(given["input"], dict) else [("", given["input"])]
    return {
        "id": given["id"],
        "row": given["row"],
        "at": given["at"],
        "time": moment(given["at"]).removesuffix(" UTC"),
        "ago": ago(given["at"]),
        "model": given["model"],
        "version": given["version"],
        "arm": "" if given["arm"] in (given["version"], given["reason"]) else given["arm"],
        "reason": given["reason"],
        "because": REASONS.get(given["reason"], given["reason"]),
        "key": given["key"],
        "ms": f"{given['ms']:.2f} ms",
        "status": given["status"],
        "refused": refused,
        "answer": given["error"] if refused else short(given["prediction"], CELL),
        "probabilities": [percent(each) for each in probabilities if isinstance(each, (int, float))],
        "input": short(given["input"], CELL) if given["input"] is not None else "",
        "fields": [(name, short(value)) for name, value in fields],
        "trace": given["trace"],
        "shadow": given["shadow"],
        "said": "" if judged == "nothing" and given["comment"] else judged,
        "said_by": given["said_by"],
        "said_at": moment(given["said_at"]) if given["said_at"] else "",
        "tone": {True: "good", False: "bad", None: ""}[given["correct"]],
        "comment": given["comment"] or "",
        "cut": given["cut"],
    }


def older(wanted: dict[str, str], rows: list[dict[str, Any]], most: int) -> str:
    """Return the address of the rows before these; empty if these are all."""
    if len(rows) < most:
        return ""
    last = datetime.fromisoformat(rows[-1]["at"])
    until = last + timedelta(microseconds=1) if rows[0]["at"] != rows[-1]["at"] else last  # rows of one moment
    query = {**wanted, "until": until.isoformat().replace("+00:00", "Z")}
    return f"/log?{urlencode({name: value for name, value in query.items() if value})}"


def release(version: Version, released: str) -> dict[str, Any]:
    """Return what the store knows about a version.

    Args:
        released: when it became the champion first; empty: not known, or never.
    """
    score = version.metadata.get("metric") or {}
    control = version.metadata.get("version_control") or {}
    return {
        "problem": "",
        "created": moment(version.created),
        "released": moment(released) if released else "",
        "data": data_of(version.metadata.get("data")),
        "chosen": title(str(version.metadata.get("chosen") or "")) if version.metadata.get("chosen") else "",
        "score": f"{metric(score['name'])} {number(score.get('value'))}" if score.get("name") else "",
        "commit": str(control.get("commit") or ""),
        "run": str(version.metadata.get("run") or ""),
    }


def explanation(given: dict[str, Any], why: dict[str, Any], again: Any) -> dict[str, Any]:
    """Return an explanation with bars; ``same``: whether the version answers as it did."""
    largest = max((abs(each["shapley"]) for each in why["features"]), default=0.0) or 1.0
    bars = [
        {
            "name": title(each["name"]),
            "value": "missing" if each["value"] is None else short(each["value"], CELL),
            "shapley": f"{each['shapley']:+.3g}",
            "width": round(50 * abs(each["shapley"]) / largest, 1),
            "up": each["shapley"] >= 0,
        }
        for each in why["features"]
    ]
    return {
        "row": given["row"],
        "problem": "",
        "words": why["words"],
        "bars": bars,
        "base": number(why["base"], 3),
        "output": number(why["output"], 3),
        "of": why["of"],
        "exact": why["exact"],
        "same": _alike(again, given["prediction"]),
        "again": short(again, CELL),
    }


def judged(given: dict[str, Any]) -> dict[str, Any]:
    """Return how often users called a version right."""
    total = given["right"] + given["wrong"]
    share = given["right"] / total if total else 0.0
    return {
        "version": given["version"],
        "right": f"{given['right']:,}",
        "wrong": f"{given['wrong']:,}",
        "other": f"{given['other']:,}" if given["other"] else "",
        "share": f"{100 * share:.1f}".removesuffix(".0") + " %" if total else "",
        "width": round(100 * share, 1),
    }


def key(given: Key) -> dict[str, Any]:
    return {
        "name": given.name,
        "kind": "predictions and feedback" if given.kind == "predict" else "only /metrics",
        "models": ", ".join(given.models) if given.models else ("all" if given.kind == "predict" else ""),
        "limit": f"{given.per_minute:,} a minute" if given.per_minute else "none",
        "created": given.created,
        "ago": ago(given.created),
    }


def key_command(deployment: str, name: str, models: str, per_minute: str) -> dict[str, str]:
    """Return the command that adds a key as it was typed, and why it does not; both empty if nothing was typed."""
    if not (name or models or per_minute):
        return {"text": "", "problem": ""}
    if not _NAME.fullmatch(name):
        return {"text": "", "problem": "A name has lower-case letters, digits, dots, dashes and underscores."}
    if per_minute and not (per_minute.isdecimal() and 1 <= int(per_minute[:7]) <= 100_000):
        return {"text": "", "problem": "The limit is a number of requests a minute, at most 100,000."}
    words = ["bin/pantheon", "keys", "add", name]
    words += ["--models", models.strip()] if models.strip() else []
    words += ["--per-minute", per_minute] if per_minute else []
    words += ["--name", deployment] if deployment != "pantheon" else []
    return {"text": shlex.join(words), "problem": ""}


def _alike(one: Any, other: Any) -> bool:
    """Return whether two predictions are the same; numbers may differ in their seventh digit: another processor."""
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, other))
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) if numbers else bool(one == other)
