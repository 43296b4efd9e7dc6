"""What the page says about one answer of the endpoint: the alert, how sure it is, and why."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .client import Reply
from .wording import label, number, percent, sure, title

BARS = 6  # inputs with a bar of their own
CHARACTERS = 60  # of a value that is shown
TINY = 0.001  # of the longest bar: a rounding error
NOTHING = "no effect"
TONES = 6  # hues of classes; a hue says nothing of good or bad


@dataclass
class Answer:
    """One answer, as it is shown and kept in the browser's cookie.

    Attributes:
        id: of the request; feedback names it.
        at: seconds since the epoch.
        model, version: that answered.
        predicted: the class or the number, as the endpoint gave it.
        headline: the class's label, or the number with its unit.
        figure: the probability; empty for a number, and if there is no explanation.
        sentence: what that means.
        tone: a hue by the class's place, so that a class always has the same one.
        typical: what the model says of typical inputs, from which the bars lead to this answer; empty: no explanation.
        bars: per input its label, its value, its effect as text, and the bar's length, -100 to 100.
        words: the explanation as a sentence.
        notes: about values that the model does not know.
        values: what was entered, by input.
        said: what the person said about it: "", "yes" or "no".
    """

    id: str
    at: int
    model: str
    version: str
    predicted: Any
    headline: str
    figure: str
    sentence: str
    tone: int
    typical: str
    bars: list[tuple[str, str, str, int]]
    words: str
    notes: list[str]
    values: dict[str, str]
    said: str = ""


def answer(signature: Mapping[str, Any], reply: Reply, values: dict[str, str]) -> Answer:
    """Return a reply of the endpoint in the page's words.

    Args:
        values: what was entered, by input.
    """
    output, why, value = signature["output"], reply.explanation, reply.prediction
    classes = output.get("classes") or []
    made = Answer(
        id=reply.id,
        at=int(time.time()),
        model=str(signature["name"]),
        version=reply.version,
        predicted=value,
        headline=label(output, value) if classes else with_unit(number(value), output),
        figure="",
        sentence="" if classes else "An estimate.",
        tone=classes.index(value) % TONES if value in classes else 1,
        typical="",
        bars=[],
        words="",
        notes=reply.notes,
        values=values,
    )
    if why is None:
        return made
    shown = percent if classes else lambda value: with_unit(number(value), output)
    if classes:
        made.figure, made.sentence = shown(why["output"]), sure(why["output"], len(classes))
    made.typical, made.words, made.bars = shown(why["base"]), str(why["words"]), bars(why["features"], output)
    return made


def bars(features: list[dict[str, Any]], output: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    """Return the bars of an explanation: the inputs that matter most, and the sum of the others; [] if none does."""
    named = features if len(features) <= BARS + 1 else features[:BARS]
    found = [(title(each["name"]), text(each["value"]), each["shapley"]) for each in named]
    if others := features[len(named) :]:
        found.append((f"{len(others)} other inputs", "", sum(each["shapley"] for each in others)))
    longest = max((abs(size) for *_, size in found), default=0.0)
    made = []
    for name, value, size in found:
        exact = size if abs(size) > longest * TINY else 0.0
        made.append((name, value, effect(exact, output), round(100 * exact / (longest or 1))))
    return made if any(told != NOTHING for _, _, told, _ in made) else []


def effect(size: float, output: Mapping[str, Any]) -> str:
    """Return what an input adds: percentage points of a probability, or an amount of a number."""
    sign = "+" if size > 0 else "\N{MINUS SIGN}"
    if output.get("classes"):
        points = f"{abs(size) * 100:.1f}" if abs(size) < 0.0995 else f"{abs(size) * 100:.0f}"
        return NOTHING if points == "0.0" else f"{sign}{points} points"
    return with_unit(f"{sign}{number(abs(size), 3)}", output) if size else NOTHING


def with_unit(shown: str, output: Mapping[str, Any]) -> str:
    return f"{shown} {output.get('unit') or ''}".strip()


def text(value: Any) -> str:
    """Return an input's value; an ellipsis if it is long."""
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    shown = number(value)
    return shown if len(shown) <= CHARACTERS else f"{shown[:CHARACTERS]}…"
