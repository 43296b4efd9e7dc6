"""An explanation as a sentence for people."""

from typing import Any

from serving.formatting import number, percent
from serving.model.signature import Signature

NAMED = 3  # inputs
SMALL = 0.02  # of everything that the inputs add: not worth a word


def sentence(explanation: dict[str, Any], signature: Signature) -> str:
    """Return an explanation in words, such as ``Bad Condition: 92 %, with typical values 40 %. Most of it: …``.

    Args:
        explanation: as ``serving.model.explain.explain`` returns it.
    """
    unit = f" {signature.output['unit']}" if signature.output.get("unit") else ""
    shares = signature.task == "classification"

    def shown(value: float) -> str:
        return percent(value) if shares else number(value) + unit

    def change(value: float) -> str:
        way = "more" if value > 0 else "less"
        size = f"{number(abs(value) * 100, 2)} percentage points" if shares else number(abs(value), 3) + unit
        return f"{size} {way}"

    start = f"{explanation['of']}: {shown(explanation['output'])}, with typical values {shown(explanation['base'])}."
    features = explanation["features"]
    everything = sum(abs(each["shapley"]) for each in features)
    if everything < 1e-9:
        return f"{start} No input makes a difference."
    told = [each for each in features[:NAMED] if abs(each["shapley"]) >= SMALL * everything]
    parts = [f"{each['name']} {_value(each['value'])} ({change(each['shapley'])})" for each in told]
    return f"{start} Most of it: {', '.join(parts)}."


def _value(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, (int, float)) else f'"{str(value)[:40]}"'
