"""How long the log is kept, and somebody's right to be forgotten.

Retention removes whole days. A request to be forgotten is stored first (``_forget/ID.json``); it is carried out when
every segment of the spool that was begun before it is stored, so that nothing of it appears again later. For each day,
what was said about the rows is removed before the rows themselves: carried out again after an interruption, it still
finds both. The caller is ``ship.storing``.
"""

import errno
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from pantheon.entities import canonical
from pantheon.errors import PantheonError
from pantheon.files import Busy
from pantheon.predictions.compact import GRACE, sweep
from pantheon.predictions.ids import new_id, time_of
from pantheon.predictions.layout import FEEDBACK, FORGET, Layout, Part
from pantheon.predictions.place import Place
from pantheon.predictions.segments import segments
from pantheon.predictions.ship import DAMAGED, ship, storing
from pantheon.predictions.tables import parquet

POLL_SECONDS = 0.2
ORIGIN: Final = "_features"  # in a logged row, where its inputs came from: see ``serving.features.origins``
_DONE: Final = ".done.json"
_ASKED: Final = ".json"
Keys = set[tuple[str, int]]


class Forget(msgspec.Struct, frozen=True):
    """A request to be forgotten: every row with this value in this column that was answered until then.

    Attributes:
        at: microseconds since the epoch.
    """

    id: str
    column: str
    value: str
    at: int


class Forgotten(msgspec.Struct, frozen=True):
    """What was done about a request; the value itself is not kept.

    Attributes:
        rows, feedback: how many were removed.
        files: how many files were written again without them.
        kept: files with unreadable bytes, in the spool, which may still have some.
    """

    id: str
    column: str
    rows: int
    feedback: int
    files: int
    at: str
    kept: tuple[str, ...] = ()

    def words(self) -> str:
        """Return the report as sentences."""
        rows = f"{self.rows:,} prediction{'s' * (self.rows != 1)}"
        said = f"{self.feedback:,} piece{'s' * (self.feedback != 1)} of feedback"
        text = f"{rows} and {said} were removed from {self.files:,} file{'s' * (self.files != 1)}."
        if self.kept:
            text += f" These damaged files may have more; look at them and remove them: {', '.join(self.kept)}."
        return f"{text} Datasets and models that were made of them are as they were."


def retain(layout: Layout, keep: timedelta, now: datetime | None = None) -> list[str]:
    """Remove the days that ended more than ``keep`` ago; return their folders."""
    last = ((now or datetime.now(UTC)) - keep).date()  # which did not end more than `keep` ago
    removed = []
    for part in list(layout.parts()):
        if part.day >= last:
            continue
        manifests = [f"{part.folder}/{name}.json" for name in part.manifests]
        for key in (*(stored.key for stored in part.live.values()), *part.void, *part.loose, *part.dead, *manifests):
            layout.place.remove(key)  # manifests last: what they replace must not count again
        removed.append(part.folder)
    return removed


def ask(place: Place, column: str, value: str) -> Forget:
    """Store the request that every row with ``value`` in ``column``, as text, be removed; return it.

    Raises:
        PantheonError: the place cannot be reached, or there is no column or no value.
    """
    if not column or not value:
        raise PantheonError("name a column and a value, such as customer=4711.")
    request = Forget(new_id(), column, value, time.time_ns() // 1000)
    place.put_new(f"{FORGET}/{request.id}{_ASKED}", msgspec.json.encode(request))
    return request


def asked(place: Place) -> Iterator[Forget]:
    """Yield the requests that are not carried out yet."""
    for stored in list(place.list(f"{FORGET}/")):
        if not stored.key.endswith(_DONE) and (content := place.read(stored.key)) is not None:
            yield msgspec.json.decode(content, type=Forget)


def outcome(place: Place, id: str) -> Forgotten | None:
    """Return what was done about a request; None: nothing yet."""
    content = place.read(f"{FORGET}/{id}{_DONE}")
    return None if content is None else msgspec.json.decode(content, type=Forgotten)


def waits_for(request: Forget, spool: Path) -> list[Path]:
    """Return the segments that must be stored before the request is carried out."""
    return [path for path in segments(spool) if time_of(path.stem).timestamp() * 1e6 <= request.at]


def carry_out(layout: Layout, spool: Path, request: Forget) -> Forgotten | None:
    """Carry out a request; None: it must wait for segments of the spool.

    Raises:
        PantheonError: the place cannot be reached or written; the next call goes on.
    """
    if waits_for(request, spool):
        return None
    parts: dict[date, list[Part]] = {}
    for part in list(layout.parts()):
        sweep(layout, part, GRACE)
        parts.setdefault(part.day, []).append(part)
    for day in parts.values():
        said = [part for part in day if part.model == FEEDBACK]
        rows = [part for part in day if part.model != FEEDBACK]
        keys = _matching(layout, rows, request)
        for part in (*said, *rows) if keys else ():  # what was said first: the rows tell which it is
            _rewrite(layout, part, keys, request)
    return _finish(layout, spool, request)


def forget(place: Place, spool: Path, column: str, value: str, seconds: float = 60.0) -> Forgotten:
    """Ask to forget, and wait until it is done: by the service ``predictions`` if it runs, else by this process.

    Raises:
        PantheonError: the place cannot be reached; or it is not done after ``seconds``, and remains to be done.
    """
    request, end = ask(place, column, value), time.monotonic() + seconds
    layout = Layout(place)
    while (done := outcome(place, request.id)) is None:
        if time.monotonic() > end:
            what = f"{len(waits_for(request, spool))} segments in {spool} are not stored yet"
            raise PantheonError(
                f"the request {request.id} to forget is stored, but not carried out yet: {what}.",
                "The service `predictions` does it as soon as they are: `bin/pantheon logs --service predictions`",
                1,
            )
        try:
            with storing(spool):
                ship(place, spool, layout)
                carry_out(layout, spool, request)
        except Busy:
            pass
        except OSError as error:
            if error.errno != errno.EROFS:  # a task in a container can only read the spool
                raise
        time.sleep(POLL_SECONDS)
    return done


def mentions(text: str | None, column: str, value: str) -> bool:
    """Whether the JSON text of a row, or of all rows of a refused request, has this value in this column.

    A column may also be one that was sent along with a row, in ``context``, or that of the entity whose features were
    looked up, in ``_features``. What is not JSON counts if it contains the value.
    """
    if not text:
        return False
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return value in text
    return any(_has(row, column, value) for row in (found if isinstance(found, list) else [found]))


def _has(row: Any, column: str, value: str) -> bool:
    if not isinstance(row, dict):
        return False
    if ORIGIN in row and _is_about(row[ORIGIN], column, value):
        return True
    if column not in row:
        return "context" in row and column != "context" and _has(row["context"], column, value)
    given = row[column]
    return given == value or (not isinstance(given, str) and msgspec.json.encode(given) == value.encode())


def _is_about(origin: Any, column: str, value: str) -> bool:
    """Whether features of this entity were looked up for a row; 7, 7.0 and ``"7"`` are one."""
    entity = origin.get("entity") if isinstance(origin, dict) else None
    try:
        return isinstance(entity, dict) and column in entity and canonical(entity[column]) == canonical(value)
    except ValueError:
        return False


def _matching(layout: Layout, parts: list[Part], request: Forget) -> Keys:
    found: Keys = set()
    for part in parts:
        for name in part.live:
            table = _table(layout, part, name, ["id", "row", "at", "input"])
            asked_before = table.filter(pl.col("at").dt.timestamp("us") <= request.at)
            for id, row, given in asked_before.select("id", "row", "input").iter_rows():
                if mentions(given, request.column, request.value):
                    found.add((id, row))
    return found


def _rewrite(layout: Layout, part: Part, keys: Keys, request: Forget) -> None:
    wanted = pl.DataFrame(list(keys), {"id": pl.String, "row": pl.Int32}, orient="row")
    for name in list(part.live):
        if removed := _table(layout, part, name, ["id", "row"]).join(wanted, on=["id", "row"], how="semi").height:
            rest = _table(layout, part, name).join(wanted, on=["id", "row"], how="anti", maintain_order="left")
            layout.replace(part, [name], parquet(rest), rest.height, request.id, removed)


def _finish(layout: Layout, spool: Path, request: Forget) -> Forgotten:
    """Remove the files that were replaced, then the request with its value."""
    rows = feedback = files = 0
    for part in layout.parts():
        for manifest in part.manifests.values():
            if manifest.forget == request.id:
                files += 1
                rows += manifest.removed if part.model != FEEDBACK else 0
                feedback += manifest.removed if part.model == FEEDBACK else 0
        sweep(layout, part, 0.0)
    kept = tuple(str(path) for path in sorted(spool.glob(f"*{DAMAGED}")))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    done = Forgotten(request.id, request.column, rows, feedback, files, now, kept)
    layout.place.put_new(f"{FORGET}/{request.id}{_DONE}", msgspec.json.encode(done))
    layout.place.remove(f"{FORGET}/{request.id}{_ASKED}")
    return outcome(layout.place, request.id) or done


def _table(layout: Layout, part: Part, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    content = layout.place.read(part.live[name].key)
    if content is None:
        raise PantheonError(f"{part.live[name].key} was removed meanwhile.", "It is tried again.", 1)
    return pl.read_parquet(content, columns=columns)
