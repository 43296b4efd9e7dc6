"""Read the log: every prediction exactly once, whether it is stored, merged, or still in the spool; and its feedback.

The spool is looked at before the place: what is brought from one to the other meanwhile is seen twice, not missed, and
counted once, because a file is named after its segment. If a file is removed while it is read, because it was merged or
somebody was forgotten, everything is read again.
"""

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from pantheon.errors import PantheonError
from pantheon.predictions.ids import time_of
from pantheon.predictions.layout import FEEDBACK, Layout, Part
from pantheon.predictions.place import Place
from pantheon.predictions.segments import CLOSED, segments
from pantheon.predictions.ship import Contents
from pantheon.predictions.tables import FEEDBACKS, PREDICTIONS, tables

TRIES = 5
FETCHERS = 8  # files that are fetched at once
MARGIN = timedelta(minutes=10)  # between the time in an id, by which it is filed, and ``at``
KEY: Final = ("id", "row")
# What was said, as columns beside a prediction; null where nothing was said.
SAID: Final = {
    "correct": "correct",
    "value": "true_value",
    "comment": "comment",
    "at": "said_at",
    "by": "said_by",
    "source": "said_through",
}
T = TypeVar("T")
_Spooled = dict[str, dict[str, pl.DataFrame]]  # by folder, then by segment


@dataclass(frozen=True)
class Wanted:
    """Which predictions; empty and None: all.

    Attributes:
        model, version, key: their names.
        since, until: times of the answers, from and before (UTC).
        id: of one request.
        shadow: whether nobody saw the answer.
        columns: of the result.
        most: only the newest rows.
        said: whether only rows about which something was said.
    """

    model: str = ""
    version: str = ""
    key: str = ""
    since: datetime | None = None
    until: datetime | None = None
    id: str = ""
    shadow: bool | None = None
    columns: tuple[str, ...] = ()
    most: int | None = None
    said: bool = False

    def days(self) -> tuple[date, date]:
        """Return the first and the last day whose files may have some."""
        first, last = date.min, date.max
        if self.since:
            first = (self.since.astimezone(UTC) - MARGIN).date()
        if self.until:
            last = (self.until.astimezone(UTC) + MARGIN).date()
        if self.id:
            first = last = time_of(self.id).date()
        return first, last

    def filters(self) -> pl.Expr:
        found = pl.lit(True)
        for column in ("model", "version", "key", "id"):
            if value := getattr(self, column):
                found &= pl.col(column) == value
        if self.shadow is not None:
            found &= pl.col("shadow") == self.shadow
        if self.since:
            found &= pl.col("at") >= self.since.astimezone(UTC)
        if self.until:
            found &= pl.col("at") < self.until.astimezone(UTC)
        return found


def predictions(
    place: Place,
    spool: Path | None,
    *,
    model: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    version: str = "",
    key: str = "",
    id: str = "",
    shadow: bool | None = None,
    columns: Iterable[str] = (),
    most: int | None = None,
    said: bool = False,
) -> pl.DataFrame:
    """Return predictions, oldest first, with the columns of ``tables.PREDICTIONS`` and the values of ``SAID``.

    Args:
        spool: the folder of segments that are not stored yet; None: leave them out.
        model, version, key, id, since, until, shadow, columns, most, said: see ``Wanted``.

    Raises:
        PantheonError: the place cannot be reached, a file is damaged, or ``id`` is not an id.
    """
    wanted = Wanted(model, version, key, since, until, id, shadow, tuple(columns), most, said)
    with Reader(place, spool) as reader:
        return reader.read(wanted, lambda rows: _ordered(rows, wanted.columns).collect())


class Reader:
    """Reads the log several times, and fetches each of its files once; a context manager.

    Args:
        spool: as for ``predictions``.
    """

    def __init__(self, place: Place, spool: Path | None) -> None:
        self.place, self.spool, self._layout = place, spool, Layout(place)
        self._fetched = tempfile.TemporaryDirectory(prefix="predictions-")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *failure: object) -> None:
        self._fetched.cleanup()

    def read(self, wanted: Wanted, work: Callable[[pl.LazyFrame], T], *, joined: bool = True) -> T:
        """Return what ``work`` makes of the wanted predictions, which have no order, and all columns.

        Args:
            work: is called again if a file is removed meanwhile.
            joined: whether with the values of ``SAID``; without, less is read.

        Raises:
            PantheonError: as ``predictions``.
        """
        try:
            days = wanted.days()
        except ValueError:
            raise PantheonError(
                f"{wanted.id!r} is not the id of a request.", "It is the header x-request-id of its answer."
            ) from None
        return self._again(lambda: work(self._predictions(wanted, days, joined)))

    def feedback(self, first: date, last: date, work: Callable[[pl.LazyFrame], T]) -> T:
        """Return what ``work`` makes of all feedback about predictions of some days; see ``read``."""

        def whole() -> T:
            spooled = _spooled(self.spool, Wanted(), (first, last)) if self.spool else {}
            return work(self._frame(self._parts([FEEDBACK], spooled, (first, last)), spooled, FEEDBACKS))

        return self._again(whole)

    def days(self, model: str) -> list[date]:
        """Return the days (UTC) of which predictions of a model are stored, oldest first."""
        return sorted(part.day for part in self._layout.parts([model]) if part.live)

    def _again(self, work: Callable[[], T]) -> T:
        for _ in range(TRIES):
            try:
                return work()
            except FileNotFoundError:
                continue
            except pl.exceptions.ComputeError as error:  # polars names the file, or a copy of it with the same name
                cause = f"a file of the log in {self.place.where} is damaged: {error}."
                raise PantheonError(cause, "Restore it from a backup, or move it away.", 1) from None
        raise PantheonError(f"the files in {self.place.where} change all the time.", "Try again.", 1)

    def _predictions(self, wanted: Wanted, days: tuple[date, date], joined: bool) -> pl.LazyFrame:
        spooled = _spooled(self.spool, wanted, days) if self.spool else {}  # before the place is looked at
        chosen = self._parts([wanted.model, FEEDBACK] if wanted.model else None, spooled, days)
        answers = [part for part in chosen if part.model != FEEDBACK]
        said = [part for part in chosen if part.model == FEEDBACK and (joined or wanted.said)]
        if wanted.said:  # feedback is filed by the day of its answer
            answers = [part for part in answers if part.day in {each.day for each in said}]
        feedback = self._frame(said, spooled, FEEDBACKS)
        found = self._frame(answers, spooled, PREDICTIONS).filter(wanted.filters())
        if wanted.said:
            ids = feedback.select(pl.col("id").unique()).collect()["id"]
            found = found.filter(pl.col("id").is_in(ids.implode())).join(feedback, on=KEY, how="semi")
        if wanted.most is not None:
            found = _newest(found, wanted.most)
        return _joined(found, feedback) if joined else found

    def _parts(self, models: list[str] | None, spooled: _Spooled, days: tuple[date, date]) -> list[Part]:
        parts = {part.folder: part for part in self._layout.parts(models)}
        for name in spooled:
            parts.setdefault(name, Part(name))
        return [
            part
            for part in parts.values()
            if days[0] <= part.day <= days[1] and (models is None or part.model in models)
        ]

    def _frame(self, parts: list[Part], spooled: _Spooled, schema: dict[str, pl.DataType]) -> pl.LazyFrame:
        """Return what is in some folders.

        Raises:
            FileNotFoundError: a file was removed meanwhile.
        """
        keys = [stored.key for part in parts for stored in part.live.values()]
        folder = Path(self._fetched.name)
        with ThreadPoolExecutor(FETCHERS) as threads:
            paths = list(threads.map(lambda key: self.place.fetch(key, folder), keys))
        if None in paths:
            raise FileNotFoundError
        waiting = [
            table for part in parts for name, table in spooled.get(part.folder, {}).items() if not part.knows(name)
        ]
        frames = [pl.scan_parquet([path for path in paths if path], schema=schema)] if paths else []
        return pl.concat([*frames, *(table.lazy() for table in waiting), pl.LazyFrame(schema=schema)])


def _ordered(rows: pl.LazyFrame, columns: tuple[str, ...]) -> pl.LazyFrame:
    ordered = rows.sort("at", *KEY, "shadow")
    return ordered.select(columns) if columns else ordered


def _newest(found: pl.LazyFrame, most: int) -> pl.LazyFrame:
    """Return the newest rows. Which those are is decided by their times alone: all columns may not fit into memory."""
    times = found.select("at").top_k(most, by="at").collect()["at"]
    return found.filter(pl.col("at") >= times.min()).sort("at", *KEY).tail(most) if len(times) else found


def _joined(found: pl.LazyFrame, said: pl.LazyFrame) -> pl.LazyFrame:
    """Add the feedback: of several pieces about a row, the last one."""
    order = ("at", "source", "by", "comment", "value", "correct")  # the same piece wins whatever the files' order
    last = said.sort(order, nulls_last=False).unique(KEY, keep="last", maintain_order=True)
    joined = found.join(
        last.select(*KEY, **{name: pl.col(column) for column, name in SAID.items()}), on=KEY, how="left"
    )
    # users saw another version's answer, so they did not say whether a shadow's was right
    return joined.with_columns(correct=pl.when(~pl.col("shadow")).then(pl.col("correct")))


def _spooled(spool: Path, wanted: Wanted, days: tuple[date, date]) -> _Spooled:
    """Return what is wanted of the spool: all of it may be larger than the memory."""
    found: _Spooled = {}
    for path in segments(spool):
        for each in (path, path.with_suffix(CLOSED)):  # it may be closed meanwhile
            try:
                records = Contents(each)
            except FileNotFoundError:  # stored meanwhile
                continue
            for folder, table in tables(records).items():
                part = Part(folder)
                if part.model != FEEDBACK:
                    table = table.filter(wanted.filters())
                if days[0] <= part.day <= days[1]:
                    found.setdefault(folder, {})[path.stem] = table
            break
    return found
