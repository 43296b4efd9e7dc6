"""The form, built from the signature; and what a person typed, back into a row of JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.fields import Field
from serving.problems import Problem
from serving.signature import Signature
from serving.words import number, title

PREFIX = "in:"  # before an input's name: a column may be called anything, even like a control of ours
RADIOS = 4  # at most so many choices are shown side by side; more become a list


@dataclass(frozen=True)
class Control:
    """One field of the form.

    Attributes:
        kind: number, date, radio, select or text (with suggestions).
        options: (value, label) for radio, select and the suggestions of text.
        value: what it shows now.
        hint: what the field takes, in a few words.
        error: what is wrong with the value, if anything is.
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
    """The form's fields.

    Args:
        values: what was typed, by ``key``; None shows the signature's examples.
        problem: why the last press was refused; its field is marked.
    """
    return [
        _control(i, f, values.get(PREFIX + f.name, "") if values is not None else _example(f), _error(f, problem))
        for i, f in enumerate(signature.fields)
    ]


def _error(field: Field, problem: Problem | None) -> str:
    if problem is None or problem.field != field.name:
        return ""
    return "This must be filled in." if problem.got == "nothing" else f"Expected {problem.expected}."


def _control(index: int, field: Field, value: str, error: str) -> Control:
    raw = field.raw
    kind, options = field.type, []
    if kind == "boolean":
        kind, options = "radio", [("true", "Yes"), ("false", "No")]
    elif kind == "category":
        options = [(str(c), str(c)) for c in raw["categories"]]
        kind = "text" if raw.get("unknown") == "other" else "radio" if len(options) <= RADIOS else "select"
    elif kind == "integer":
        kind = "number"
    if kind == "radio" and field.nullable:
        options.append(("", "Not known"))
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
    """What it means, then what is usual: the range seen in training says more than the range allowed."""
    seen = field.raw.get("seen")
    parts = [str(field.raw["description"]).rstrip(".")] if field.raw.get("description") else []
    if seen and field.type in ("number", "integer", "date"):
        low, high = (number(v) if isinstance(v, (int, float)) else str(v) for v in seen)
        parts.append(f"seen in training: {low} to {high}")
    return ". ".join(p[0].upper() + p[1:] for p in parts)


def _example(field: Field) -> str:
    value: Any = field.raw.get("example")
    if value is None and not field.nullable and field.raw.get("seen"):
        value = field.raw["seen"][0]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def row(signature: Signature, values: Mapping[str, str]) -> dict[str, Any]:
    """What was typed as a row; a field left empty is absent."""
    typed = ((f, values.get(PREFIX + f.name, "")) for f in signature.fields)
    # Only blanks at the edges are taken off, which nobody types on purpose; a category may consist of them.
    kept = ((f, text if f.type == "category" else text.strip()) for f, text in typed)
    return {f.name: text for f, text in kept if text != ""}
