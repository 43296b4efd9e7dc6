"""Ids of entities, such as robots and customers: one text, however an id is written."""

import re
from typing import Any


def canonical(value: Any) -> str:
    """Return an entity's id as text, so that 7, ``"7"`` and 7.0 are the same entity.

    Raises:
        ValueError: it is not an id: null, a boolean, not finite, empty, or a list or an object.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("an id is a text or a number")
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("an id is finite")
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    text = value.strip()
    if not text:
        raise ValueError("an id is not empty")
    if re.fullmatch(r"[+-]?[0-9]+(\.0*)?", text):
        return str(int(text.partition(".")[0]))
    return text
