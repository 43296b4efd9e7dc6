"""How names, numbers and the question to the model read. Change the words here, or replace them by your own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def title(name: str) -> str:
    """Return a column's or model's name as a label: ``robot-age`` → ``Robot age``."""
    text = name.replace("_", " ").replace("-", " ").strip() or name
    return text[:1].upper() + text[1:]


def number(value: Any, digits: int = 4) -> str:
    """Return a number with at most ``digits`` significant digits and separated thousands; other values as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """Return a probability in percent, never rounded to 0 % or 100 %."""
    if share >= 0.9995:
        return "> 99.9 %"
    if share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.1f} %" if share > 0.99 or share < 0.01 else f"{share * 100:.0f} %"


def label(output: dict[str, Any], value: Any) -> str:
    """Return the label of a class: of the article's robots, 0 is ``Bad Condition``."""
    labels = output.get("labels") or {}
    plain = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return str(labels.get(plain, plain))


def question(signature: dict[str, Any]) -> str:
    """Return what the page asks, such as ``Is my robot in bad condition?`` or ``Wine: red, white or rosé?``."""
    name, output = title(str(signature["name"])), signature["output"]
    target = title(str(output["name"])).lower()
    labels = [label(output, value) for value in output.get("classes") or []]
    if not labels:
        return f"{name}: what will the {target} be?"
    first = labels[0].lower()
    if len(labels) == 2 and first.endswith(f" {target}"):  # "bad condition", of the condition
        return f"Is my {singular(name.lower())} in {first}?"
    if len(labels) > 4:
        return f"{name}: which {target}?"
    plain = all(text.isdecimal() for text in labels)  # numbers say nothing without their name
    return f"{name}: {target} {either(labels)}?" if plain else f"{name}: {either(labels)}?"


def either(labels: Sequence[str]) -> str:
    return f"{', '.join(labels[:-1])} or {labels[-1]}" if len(labels) > 1 else labels[0]


def singular(noun: str) -> str:
    return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) else noun


def moment(seconds: int) -> str:
    """Return a time, seconds since the epoch, such as ``1 March 2026, 10:30 UTC``."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def sure(share: float, classes: int) -> str:
    """Return a sentence about a probability, for people who do not read probabilities every day."""
    if share >= 0.95:
        start = "The model is very confident."
    elif share >= 0.75:
        start = "The model is fairly confident."
    else:
        start = (
            "The model is not very confident." if share >= 1.2 / classes else "The classes are almost equally likely."
        )
    many = "nearly all" if share >= 0.995 else f"about {share * 100:.0f}"
    return f"{start} Of 100 similar cases, it expects {many} to be like this."
