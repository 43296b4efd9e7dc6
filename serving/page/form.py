"""Build the form from the signature, and convert its values to a JSON row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.formatting import number, title
from serving.model.fields import Field
from serving.model.signature import Signature
from serving.problems import Problem

PREFIX = "in:"  # before an input's name: a column may have the name of one of the page's controls
_RADIO = {"true": True, "false": False}  # not as text: the training data may have other words for them
RADIOS = 4  # maximum number of radio buttons; more choices become a list


@dataclass(frozen=True)
class Control:
    """One field of the form.

    Attributes:
        kind: number, typed (a number or date as it is in the training data), date, radio, select or text (with
            suggestions).
        options: (value, label) for radio, select and the suggestions of text.
        value: the current value.
        hint: a short description of the accepted values.
        error: the error of the value; empty if there is none.
    """

    id: str
    key: str
    name: str
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


def controls(signature: Signature, values: Mapping[str, str] | None, problem: Problem | None = None) -> list[Control]:
    """Return the form's fields.

    Args:
        values: the entered values by ``key``; None shows the signature's examples.
        problem: the error of the last request; its field is marked.
    """
    return [
        _control(i, f, values.get(PREFIX + f.name, "") if values is not None else _example(f), _error(f, problem))
        for i, f in enumerate(signature.fields)
    ]


def _error(field: Field, problem: Problem | None) -> str:
    if problem is None or problem.field != field.name:
        return ""
    return "This field is required." if problem.got == "nothing" else f"Expected {problem.expected}."


def _control(index: int, field: Field, value: str, error: str) -> Control:
    raw = field.raw
    kind, options = field.type, []
    if kind == "boolean":
        kind, options = "radio", [("true", "Yes"), ("false", "No")]
    elif kind == "category":
        options = [(str(c), str(c)) for c in raw["categories"]]
        kind = "text" if raw.get("unknown") == "other" else "radio" if len(options) <= RADIOS else "select"
    elif kind in ("number", "integer"):
        kind = "typed" if field.texts else "number"
    elif field.texts and not field.texts.takes_iso:
        kind = "typed"
    if kind == "radio" and field.nullable:
        options.append(("", "Unknown"))
    low, high = ("" if raw.get(side) is None else str(raw[side]) for side in ("min", "max"))
    return Control(
        id=f"in-{index}",
        key=PREFIX + field.name,
        name=field.name,
        label=title(field.name),
        kind=kind,
        options=options,
        value=value,
        hint=_hint(field),
        required=not field.nullable,
        low=low,
        high=high,
        step="1" if field.type == "integer" else "any",
        error=error,
    )


def _hint(field: Field) -> str:
    """Return the description and the range seen in training, which helps more than the allowed range."""
    seen = field.raw.get("seen")
    parts = [str(field.raw["description"]).rstrip(".")] if field.raw.get("description") else []
    if seen and field.type in ("number", "integer", "date"):
        low, high = (number(v) if isinstance(v, (int, float)) else str(v) for v in seen)
        parts.append(f"seen in training: {low} to {high}")
    if field.texts and field.type != "boolean" and (special := field.texts.shown(field.type)):
        parts.append(f"written as {special[0]}")
    return ". ".join(p[0].upper() + p[1:] for p in parts)


def _example(field: Field) -> str:
    value: Any = field.raw.get("example")
    if value is None and not field.nullable and field.raw.get("seen"):
        value = field.raw["seen"][0]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return field.texts.write(value) if field.texts else f"{value:.7g}"
    return str(value)


def row(signature: Signature, values: Mapping[str, str]) -> dict[str, Any]:
    """Convert the form's values to a row; empty fields are left out."""
    typed = ((f, values.get(PREFIX + f.name, "")) for f in signature.fields)
    # Only spaces at the edges are removed, but not from categories, which may consist of spaces.
    kept = ((f, text if f.type == "category" else text.strip()) for f, text in typed)
    return {f.name: _RADIO.get(text, text) if f.type == "boolean" else text for f, text in kept if text != ""}
