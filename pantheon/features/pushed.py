"""Checks what is pushed to a view, and gives it the view's names and types."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pantheon.features.api import Problem
from pantheon.features.contract import EVENT, Field, View, canonical

MOST_ROWS = 10_000  # in one request
SKEW_SECONDS = 60.0  # how far a sender's clock may be ahead
EARLIEST, LATEST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)  # Feast counts nanoseconds
KINDS = {"number": "a number", "integer": "an integer", "text": "a text", "boolean": "true or false"}
KINDS["date"] = "a date such as 2026-11-29T08:00:00Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Pushed(msgspec.Struct, frozen=True):
    """A row that was pushed.

    Attributes:
        id: the entity's, canonical.
        event: microseconds since 1970, UTC; None: the time of arrival.
        values: by the name of the field, all of the view's; a date in microseconds since 1970.
        created: when it arrived; microseconds since 1970, UTC.
    """

    id: str
    event: int | None
    values: dict[str, Any]
    created: int = 0


def check(view: View, rows: Any, now: datetime) -> list[Pushed]:
    """Check rows as users send them: by column or field, with the entity's id, perhaps with a time.

    Raises:
        Problem: something is wrong with one of them.
    """
    if not view.entity:
        cause = f"{view.name} has no entity, so nothing of it is looked up online and nothing can be pushed to it."
        raise Problem(400, cause, 'Give a column role = "entity" in the dataset\'s spec, and run the workflow again.')
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes) or not rows:
        raise Problem(400, '"rows" is a list of objects, one per entity.', _example(view))
    if len(rows) > MOST_ROWS:
        raise Problem(400, f"{len(rows):,} rows are too many for one request.", f"Send up to {MOST_ROWS:,} at a time.")
    names = _names(view)
    return [_row(view, names, row, f"row {number}", now) for number, row in enumerate(rows, 1)]


def _names(view: View) -> dict[str, str]:
    """Return what users may call a field, the id and the time → our name."""
    found = {field.column: field.name for field in view.fields} | {view.entity: view.key}
    found |= {view.time: EVENT} if view.time else {}
    return found | {field.name: field.name for field in view.fields} | {view.key: view.key, EVENT: EVENT}


def _row(view: View, names: Mapping[str, str], row: Any, where: str, now: datetime) -> Pushed:
    if not isinstance(row, Mapping):
        raise Problem(400, f"{where} is not an object.", _example(view))
    given: dict[str, Any] = {}
    for key, value in row.items():
        name = names.get(key)
        if name is None:
            raise Problem(400, f"{where}: {view.name} has no field {key!r}.", f"It has: {_listed(view)}.")
        if name in given:
            raise Problem(400, f"{where}: {key!r} is given twice.", f"{name} is the same field.")
        given[name] = value
    if view.key not in given:
        raise Problem(400, f"{where}: {view.entity!r} is missing: whose values are these?", _example(view))
    try:
        id = canonical(given[view.key])
    except ValueError as error:
        raise Problem(400, f"{where}: {view.entity!r} is not an id: {error}.", _example(view)) from None
    missing = [field.column for field in view.fields if field.name not in given]
    if missing:
        what = ", ".join(map(repr, missing))
        cure = "Give every field of the view; null is a value that is not known."
        raise Problem(400, f"{where}: {what} {'is' if len(missing) == 1 else 'are'} missing.", cure)
    values = {field.name: _value(field, given[field.name], where) for field in view.fields}
    return Pushed(id, _event(given.get(EVENT), where, now), values)


def _event(value: Any, where: str, now: datetime) -> int | None:
    if value is None:
        return None
    moment = _moment(value)
    if moment is None:
        cure = "Give a time such as 2026-11-29T08:00:00Z, or none: then the time of arrival is used."
        raise Problem(400, f"{where}: {value!r} is not a time.", cure)
    if moment > now + timedelta(seconds=SKEW_SECONDS):
        cure = f"Check the sender's clock; here it is {now:%Y-%m-%dT%H:%M:%SZ}."
        raise Problem(400, f"{where}: the time {value} is in the future.", cure)
    return _microseconds(moment)


def _value(field: Field, value: Any, where: str) -> Any:
    if value is None:
        return None
    found = CONVERTERS[field.type](value)
    if found is None:
        shown = msgspec.json.encode(value)[:80].decode(errors="replace")
        cure = f"Give {KINDS[field.type]}, or null if it is not known."
        raise Problem(400, f"{where}: {field.column!r} is {KINDS[field.type]}, not {shown}.", cure)
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        return None
    return value


def _date(value: Any) -> int | None:
    moment = _moment(value)
    return None if moment is None else _microseconds(moment)


def _moment(value: Any) -> datetime | None:
    """Return a time in ISO 8601, in UTC where it names no zone; None: it is not one that Feast can store."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment < LATEST else None


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "text": lambda value: value if isinstance(value, str) else None,
    "boolean": lambda value: value if isinstance(value, bool) else None,
    "date": _date,
}


def _listed(view: View) -> str:
    return ", ".join(map(repr, [view.entity, *(field.column for field in view.fields), EVENT]))


def _example(view: View) -> str:
    values = {field.column: None for field in view.fields[:2]}
    shown = msgspec.json.encode({view.entity: 7} | values).decode().replace("null", "…")
    return f"For example: {shown}"
