"""What was known about an entity at a time: the rule of point-in-time training, for a few entities.

Of the rows whose event time and whose created time are not later, the one with the latest event time counts, and of
several such rows (corrections) the one created last. Feast's own read with ``filter_by_created_timestamp`` gives the
same values; a test compares the two. It takes seconds to prepare, and does not tell expired from unknown.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from pantheon.features.catalogue import iso, scan
from pantheon.features.contract import CREATED, EVENT, Known, View, canonical

ENTITIES: Final = 1000  # of one question
EXPIRED, KNOWN, UNKNOWN = "expired", "known", "unknown"


def at(view: View, paths: Sequence[Path], entities: Iterable[Any], time: datetime) -> list[Known]:
    """Return what was known about entities at a time, one row each, in the same order.

    Args:
        paths: the parts of the view.
        entities: ids.

    Raises:
        ValueError: one is not an id.
    """
    ids = [canonical(entity) for entity in entities]
    moment = time.astimezone(UTC)
    rows = (
        scan(view, paths)
        .filter(pl.col(view.key).is_in(ids), pl.col(EVENT) <= moment, pl.col(CREATED) <= moment)
        .sort(EVENT, CREATED, maintain_order=True)
        .group_by(view.key)
        .last()
        .collect()
    )
    by_id = {row[view.key]: row for row in rows.iter_rows(named=True)}
    return [_known(view, id, by_id.get(id), moment) for id in ids]


def _known(view: View, id: str, row: dict[str, Any] | None, moment: datetime) -> Known:
    if row is None:
        return Known(entity=id, view=view.name, time=None, state=UNKNOWN, features={})
    state = EXPIRED if expired(row[EVENT], view.ttl_seconds, moment) else KNOWN
    values = {field.name: plain(row[field.name]) for field in view.fields}
    return Known(entity=id, view=view.name, time=iso(row[EVENT]), state=state, features=values)


def expired(event: datetime, ttl_seconds: float, moment: datetime) -> bool:
    """Return whether a value of the time ``event`` is too old at ``moment``; 0: none ever is."""
    return bool(ttl_seconds) and moment - event > timedelta(seconds=ttl_seconds)


def plain(value: Any) -> Any:
    """Return a value as JSON can have it: dates as ISO 8601; what is not a number is missing."""
    if isinstance(value, datetime):
        return iso(value)
    return None if isinstance(value, float) and value != value else value


def missing_rows(
    view: View, paths: Sequence[Path], other: View, others: Sequence[Path], since: datetime | None
) -> pl.DataFrame:
    """Return the rows of ``view`` that ``other`` has none for, or only older ones, in the order of their creation.

    Args:
        other: a view of the same set, such as one that is computed from it.
        since: only rows of this time and later; None: all.
    """
    rows, on = scan(view, paths), [view.key, EVENT]
    if since is not None:
        rows = rows.filter(pl.col(EVENT) >= since.astimezone(UTC))
    have = scan(other, others).rename({other.key: view.key}).group_by(on).agg(pl.col(CREATED).max().alias("have"))
    lacking = pl.col("have").is_null() | (pl.col(CREATED) > pl.col("have"))
    return rows.join(have, on=on, how="left").filter(lacking).drop("have").sort(CREATED, maintain_order=True).collect()
