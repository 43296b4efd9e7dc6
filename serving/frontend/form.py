"""The form, made from the model's signature; and its values as a row for the endpoint, which checks them.

A signature lists the inputs: ``{"name", "type", "nullable"}`` and, where known, ``min``, ``max``, ``seen`` (the range
in training), ``categories``, ``unknown`` (what happens with other ones), ``description``, ``example`` and ``text``
(how the training data writes values).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from .client import Refused
from .wording import number, title

PREFIX = "in:"  # before an input's name in the form: an input may have the name of another field of it
PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
RADIOS = 4  # choices, at most; more become a list


@dataclass(frozen=True)
class Control:
    """One field of the form.

    Attributes:
        kind: number, typed (a number or date in the spelling of the training data), date, radio, select or text (with
            suggestions).
        options: (value, label) of radio, select, and the suggestions of text.
        hint: which values make sense.
        low, high: the limits; empty if there are none.
        error: what is wrong with the value; empty if nothing is.
    """

    id: str
    key: str
    label: str
    kind: str
    options: list[tuple[str, str]]
    value: str
    hint: str
    required: bool
    low: str
    high: str
    step: str
    error: str


def controls(
    signature: Mapping[str, Any], values: Mapping[str, str] | None = None, refused: Refused | None = None
) -> list[Control]:
    """Return the form's fields.

    Args:
        values: by input; None: the signature's examples.
        refused: the endpoint's error, to be shown at its field.
    """
    common = signature.get("text") or {}
    return [control(i, each, common, values, refused) for i, each in enumerate(signature["inputs"])]


def control(
    index: int,
    entry: Mapping[str, Any],
    common: Mapping[str, Any],
    values: Mapping[str, str] | None,
    refused: Refused | None,
) -> Control:
    """Return the field of one input.

    Args:
        common: ``text`` of the signature: how all inputs are written.
    """
    name, kind, required = str(entry["name"]), str(entry["type"]), not entry.get("nullable")
    written = {**common, **(entry.get("text") or {})}
    categories = [(str(each), str(each)) for each in entry.get("categories") or []]
    options: list[tuple[str, str]] = []
    if kind == "boolean":
        shape, options = "radio", [("true", "Yes"), ("false", "No")]
    elif kind == "category":
        options = categories
        shape = "text" if entry.get("unknown") == "other" else "radio" if len(options) <= RADIOS else "select"
    elif kind == "date":
        shape = "date" if iso(written) else "typed"
    else:
        # A browser's number field sends 1234.5, which a model whose data has decimal commas would misread.
        shape = "typed" if written.get("decimal", ".") != "." or written.get("units") else "number"
    if shape == "radio" and not required:
        options.append(("", "Unknown"))
    low, high = ("" if entry.get(side) is None else str(entry[side]) for side in ("min", "max"))
    return Control(
        id=f"in-{index}",
        key=PREFIX + name,
        label=title(name),
        kind=shape,
        options=options,
        value=example(entry, written) if values is None else values.get(name, ""),
        hint=hint(entry, written if shape == "typed" else {}),
        required=required,
        low=low,
        high=high,
        step="1" if kind == "integer" else "any",
        error=error(name, refused),
    )


def iso(written: Mapping[str, Any]) -> bool:
    """Return whether dates may be written as 2026-03-01, as a browser's date field does."""
    return not any(str(each).startswith(("%Y-%d", "%y")) for each in written.get("formats") or [])


def hint(entry: Mapping[str, Any], written: Mapping[str, Any]) -> str:
    """Return the description, the range in training, which helps more than the one that is allowed, and the spelling.

    Args:
        written: how values are written, if that is special.
    """
    parts = [str(entry["description"]).rstrip(".")] if entry.get("description") else []
    if (seen := entry.get("seen")) and entry["type"] in ("number", "integer", "date"):
        parts.append(f"usually {number(seen[0])} to {number(seen[1])}")
    if written and (sample := spelling(entry["type"], written)):
        parts.append(f"written like {sample}")
    return ". ".join(part[:1].upper() + part[1:] for part in parts)


def spelling(kind: str, written: Mapping[str, Any]) -> str:
    """Return a number or a date in the spelling of the training data; empty if it has no special one."""
    if kind == "date":
        return date(2026, 12, 31).strftime(str((written.get("formats") or [""])[0]))
    fraction = f"{written.get('decimal', '.')}5" if kind == "number" else ""
    unit = next(iter(written.get("units") or {}), "")
    return f"1234{fraction} {unit}".strip()


def example(entry: Mapping[str, Any], written: Mapping[str, Any]) -> str:
    """Return the example, or the smallest value in training if there is none and one is needed."""
    value = entry.get("example")
    if value is None and not entry.get("nullable") and entry.get("seen"):
        value = entry["seen"][0]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.7g}".replace(".", str(written.get("decimal", ".")))
    return str(value)


def error(name: str, refused: Refused | None) -> str:
    if refused is None or refused.field != name:
        return ""
    return "This is needed." if refused.missing else f"Expected {refused.expected}."


def entered(signature: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, str]:
    """Return what was entered, by input. Only edges are trimmed, but not of categories, which may be blanks."""
    found = {str(each["name"]): (each, form.get(f"{PREFIX}{each['name']}", "")) for each in signature["inputs"]}
    kept = {name: text if each["type"] == "category" else text.strip() for name, (each, text) in found.items()}
    return {name: text for name, text in kept.items() if text}


def row(signature: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON row. What is not plainly a number or a boolean is sent as text: the endpoint reads that as the
    training data was read, or says what is wrong."""
    common = signature.get("text") or {}
    entries = {str(each["name"]): each for each in signature["inputs"]}
    return {name: typed(entries[name], common, text) for name, text in values.items()}


def typed(entry: Mapping[str, Any], common: Mapping[str, Any], text: str) -> Any:
    if entry["type"] == "boolean":
        return {"true": True, "false": False}.get(text, text)
    written = {**common, **(entry.get("text") or {})}
    if entry["type"] in ("number", "integer") and written.get("decimal", ".") == "." and PLAIN.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
