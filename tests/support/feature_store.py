"""A feature store in memory, with the methods of ``pantheon.features.client.Features``: its rows are Polars frames, and
it answers point in time by the definition, row by row. It is also the oracle of the tests of the real one."""

from collections.abc import Iterable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import msgspec
import polars as pl

from pantheon.features.client import CURE, NAME, Features, Refused
from pantheon.features.contract import CREATED, EVENT, ROW, Check, Chosen, Materialized, View, Written
from pantheon.web.client import NoAnswer

Row = dict[str, Any]


class MemoryFeatures(Features):
    """A feature store of one process.

    Attributes:
        views: by name.
        rows: the rows of every view, in the order in which they came.
        services: by name.
        online: views that were materialised, in order.
        away: whether it does not answer.
        now: the time of a load, for corrections.
    """

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.rows: dict[str, list[Row]] = {}
        self.services: dict[str, Chosen] = {}
        self.online: list[str] = []
        self.away = False
        self.now = datetime(2100, 1, 1, tzinfo=UTC)

    def _answer(self) -> None:
        if self.away:
            raise NoAnswer(NAME, "http://feast:6568", "Connection refused", CURE)

    def apply(self, views: Iterable[View]) -> list[View]:
        self._answer()
        applied = []
        for view in views:
            name, number = view.name, 1
            while name in self.views and not _extends(self.views[name], view):
                number += 1
                name = f"{view.name}_{number}"
            self.views[name] = msgspec.structs.replace(view, name=name)
            self.rows.setdefault(name, [])
            applied.append(self.views[name])
        return applied

    def write(self, view: str, rows: bytes, run: str = "") -> Written:
        self._answer()
        known, key = self.views[view], self.views[view].key
        new, frame = 0, pl.read_parquet(BytesIO(rows))
        assert set(frame.columns) == {key, EVENT, CREATED, *(field.name for field in known.fields)}
        newest = {(row[key], row[EVENT]): row for row in self.rows[view]}
        for row in frame.to_dicts():
            before = newest.get((row[key], row[EVENT]))
            if before is None:
                row[CREATED] = row[EVENT]
            elif all(before.get(field.name) == row[field.name] for field in known.fields):
                continue
            else:
                row[CREATED] = self.now
            newest[row[key], row[EVENT]] = row
            self.rows[view].append(row)
            new += 1
        checks = [
            Check(field=field.name, check="maximum", ok=high <= field.maximum, value=high, expected=field.maximum)
            for field in known.fields
            if field.maximum is not None and (high := frame[field.name].max()) is not None
        ]
        return Written(part=f"{view}.parquet" if new else None, rows=frame.height, new=new, checks=checks)

    def choose(self, chosen: Chosen) -> str:
        self._answer()
        for feature in chosen.features:
            view, _, field = feature.partition(":")
            if view not in self.views or field not in {each.name for each in self.views[view].fields}:
                raise Refused(400, f"there is no feature {feature}.", "See `bin/pantheon features list`.")
        self.services[chosen.name] = chosen
        return chosen.name

    def historical(self, service: str, asked: bytes) -> bytes:
        self._answer()
        found, by_key = [], {view: self._by_key(view) for view in self.views}
        for row in pl.read_parquet(BytesIO(asked)).to_dicts():
            answer: Row = {ROW: row[ROW]}
            for feature in self.services[service].features:
                view, _, field = feature.partition(":")
                value = self.known(view, by_key[view].get(row[self.views[view].key], []), row[EVENT])
                answer[feature] = value.get(field) if value else None
            found.append(answer)
        columns = {ROW: pl.Int64(), **{name: self._dtype(name) for name in self.services[service].features}}
        file = BytesIO()
        pl.DataFrame(found[::-1], schema=columns).write_parquet(file)  # in another order than asked
        return file.getvalue()

    def _by_key(self, view: str) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows[view]:
            found.setdefault(row[self.views[view].key], []).append(row)
        return found

    def known(self, view: str, rows: list[Row], at: datetime) -> Row | None:
        """Return what was known of an entity at a time: the newest of its rows that had come by then."""
        ttl = self.views[view].ttl_seconds
        rows = [row for row in rows if row[EVENT] <= at and row[CREATED] <= at]
        newest = max(rows, key=lambda row: (row[EVENT], row[CREATED]), default=None)
        if newest and ttl and (at - newest[EVENT]).total_seconds() > ttl:
            return None
        return newest

    def materialize(self, views: Iterable[str] | None = None, *, everything: bool = False) -> dict[str, Materialized]:
        self._answer()
        self.online += list(self.views if views is None else views)
        return {}

    def described(self, view: str) -> dict[str, Any]:
        self._answer()
        if view not in self.views:
            raise Refused(404, f"there is no view {view}.", "See `bin/pantheon features list`.")
        return msgspec.to_builtins(self.views[view])

    def _dtype(self, feature: str) -> pl.DataType:
        view, _, name = feature.partition(":")
        field = next(field for field in self.views[view].fields if field.name == name)
        return {
            "number": pl.Float64(),
            "integer": pl.Int64(),
            "text": pl.String(),
            "boolean": pl.Boolean(),
            "date": pl.Datetime("us", "UTC"),
        }[field.type]


def _extends(old: View, new: View) -> bool:
    """Whether every field of the old view is in the new one, with its type, and both are of the same entity."""
    fields = {field.name: field.type for field in new.fields}
    return old.key == new.key and all(fields.get(field.name) == field.type for field in old.fields)
