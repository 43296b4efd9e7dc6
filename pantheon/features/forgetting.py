"""The right to be forgotten: removes rows from parts. Only files that have such rows are written again.

A value of the entity's column names all rows of the entity. A value of another column names the rows that have it; the
rows of the same key and time in the other views of the set go with them, because they were computed from these.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import msgspec
import polars as pl

from pantheon.features import quality
from pantheon.features.catalogue import scan
from pantheon.features.contract import EVENT, Field, View, canonical


class Parts(Protocol):
    """Where parts are; ``pantheon.features.parts`` has them."""

    def copies(self, view: str) -> Sequence[Path]: ...

    def lock(self, view: str) -> AbstractContextManager[Any]: ...

    def replace(self, view: str, part: str, content: bytes | None) -> None: ...


@dataclass
class Removed:
    """What was removed.

    Attributes:
        rows, parts: how many rows, from how many parts.
        keys: by join key, the ids whose rows were removed, or were named.
    """

    rows: int = 0
    parts: int = 0
    keys: dict[str, set[str]] = field(default_factory=dict)


def remove(
    views: Sequence[View], parts: Parts, writing: Callable[[], AbstractContextManager[None]], column: str, value: Any
) -> Removed:
    """Remove the rows with ``value`` in ``column`` from all views.

    Args:
        writing: held while files are replaced, so that nobody reads half of a view.
        column: of the dataset, or its name in Feast.

    Raises:
        PantheonError: a part cannot be read or replaced; what is removed already stays removed.
    """
    done = Removed()
    for group in _sets(views):
        wanted = _wanted(group, parts, column, value, done)
        if wanted is None:
            continue
        # Views with the column go last: until then, they say which rows of the others have to go, also after a crash.
        for view in sorted(group, key=lambda view: any(column in (f.column, f.name) for f in view.fields)):
            with parts.lock(view.name):
                _remove(view, parts, writing, wanted, done)
    return done


def _sets(views: Sequence[View]) -> Iterator[list[View]]:
    """Yield the views with rows of the same keys and times."""
    found: dict[tuple[str, str], list[View]] = {}
    for view in views:
        found.setdefault((view.set, view.key), []).append(view)
    yield from found.values()


def _wanted(group: list[View], parts: Parts, column: str, value: Any, done: Removed) -> pl.DataFrame | None:
    """Return the rows to remove: their key, and their time unless all of a key are meant; None: none."""
    first = group[0]
    if first.entity and column in (first.entity, first.key):
        try:
            id = canonical(value)
        except ValueError:
            return None
        done.keys.setdefault(first.key, set()).add(id)
        return pl.DataFrame({first.key: [id]})
    found = []
    for view in group:
        for each in view.fields:
            if column in (each.column, each.name) and (matches := _matches(each, value)) is not None:
                rows = scan(view, parts.copies(view.name)).filter(matches).select(view.key, EVENT)
                found.append(rows.collect())
    wanted = pl.concat(found).unique() if found else None
    if wanted is None or not wanted.height:
        return None
    if first.entity:
        done.keys.setdefault(first.key, set()).update(wanted[first.key])
    return wanted


def _matches(field: Field, value: Any) -> pl.Expr | None:
    """Return the condition that a field has this value; None if it cannot have it."""
    column, text = pl.col(field.name), value if isinstance(value, str) else json.dumps(value)
    try:
        if field.type == "text":
            return column == text
        if field.type == "boolean":
            known = {"true": True, "false": False}
            return column == known[text.lower()]
        if field.type == "date":
            moment = datetime.fromisoformat(text)
            return column == (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        return column == float(text)
    except (ValueError, KeyError, OverflowError):
        return None


def _remove(
    view: View,
    parts: Parts,
    writing: Callable[[], AbstractContextManager[None]],
    wanted: pl.DataFrame,
    done: Removed,
) -> None:
    on = wanted.columns
    for path in list(parts.copies(view.name)):
        ids = pl.read_parquet(path, columns=on)
        gone = ids.join(wanted, on=on, how="semi").height
        if not gone:
            continue
        rest = pl.read_parquet(path).join(wanted, on=on, how="anti", maintain_order="left")
        content = _encoded(rest, path) if rest.height else None
        with writing():
            parts.replace(view.name, path.name, content)
        done.rows, done.parts = done.rows + gone, done.parts + 1


def _encoded(rest: pl.DataFrame, path: Path) -> bytes:
    """Return a part without some of its rows. Its checks stay, without the values that they saw: they may be those."""
    kept = quality.kept(path)
    metadata = {quality.RUN: kept.run}
    if kept.checks is not None:
        metadata[quality.CHECKS] = quality.encoded([msgspec.structs.replace(each, value=None) for each in kept.checks])
    file = BytesIO()
    rest.write_parquet(file, compression="zstd", statistics=True, metadata=metadata)
    return file.getvalue()
