"""What is sent along with a row and is only logged: columns that the model never sees, such as a region or a customer.

    {"robot-age": 5, "battery": "low", "context": {"region": "north", "customer": 4711}}

The monitor compares groups by them, and `bin/pantheon forget` finds persons by them. Of a model with an input of that
name, it is the input.
"""

from collections.abc import Iterable
from typing import Any

from serving.problems import Problem, shown

CONTEXT = "context"
MOST, LONGEST = 20, 200  # columns of a row; characters of a name or a text
EXPECTED = f"an object of at most {MOST} texts, numbers, booleans or nulls, each of at most {LONGEST} characters"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "columns that the model does not see; they are only logged",
    "maxProperties": MOST,
    "propertyNames": {"minLength": 1, "maxLength": LONGEST},
    "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": LONGEST},
}


def without(rows: list[Any], names: Iterable[str]) -> list[Any]:
    """Return the rows without what is sent along; the same list if nothing is.

    Args:
        names: of the model's inputs.

    Raises:
        Problem: 422; it is not an object of plain values, or has the name of an input.
    """
    if not any(CONTEXT in row for row in rows if type(row) is dict) or CONTEXT in names:
        return rows
    inputs, found = frozenset(names), []
    for index, row in enumerate(rows):
        if type(row) is dict and CONTEXT in row:
            _check(row[CONTEXT], inputs, index)
            row = {name: value for name, value in row.items() if name != CONTEXT}
        found.append(row)
    return found


def _check(given: Any, inputs: frozenset[str], index: int) -> None:
    plain = type(given) is dict and len(given) <= MOST and all(_fits(*each) for each in given.items())
    if not plain:
        message = f'Row {index}, "{CONTEXT}": expected {EXPECTED}.'
        raise Problem(422, message, row=index, field=CONTEXT, expected=EXPECTED, got=shown(given))
    if both := inputs & given.keys():
        name = min(both)
        message = f'Row {index}: "{name}" is an input of the model, and cannot be in "{CONTEXT}".'
        raise Problem(422, message, row=index, field=CONTEXT, expected="other columns", got=shown(name))


def _fits(name: str, value: Any) -> bool:
    if not 0 < len(name) <= LONGEST or not (value is None or isinstance(value, (str, int, float))):
        return False
    return not isinstance(value, str) or len(value) <= LONGEST
