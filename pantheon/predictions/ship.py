"""Bring closed segments of the spool to the place of the log, as Parquet files.

A file's name is its segment's: whatever interrupts this, repeating it stores nothing twice. A segment is removed only
when all its files are stored.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import lock, sync
from pantheon.predictions.frames import Damage, Entry, scan
from pantheon.predictions.layout import DATA, Layout, Part
from pantheon.predictions.place import Place
from pantheon.predictions.records import Feedback
from pantheon.predictions.segments import finished
from pantheon.predictions.tables import parquet, tables

DAMAGED = ".damaged"  # a segment with unreadable bytes: kept, its readable records are stored
LOCK = ".storing"


@dataclass
class Shipped:
    """What was brought: segments, the rows in their files, and sentences about what went wrong."""

    segments: int = 0
    rows: int = 0
    problems: tuple[str, ...] = ()


@contextmanager
def storing(spool: Path, timeout: float | None = 0.0) -> Iterator[None]:
    """Be the only process that stores, merges and removes files of the log from this spool.

    Raises:
        Busy: another process does it, also after ``timeout`` seconds.
    """
    spool.mkdir(parents=True, exist_ok=True)
    with lock(spool / LOCK, timeout=timeout):
        yield


def ship(place: Place, spool: Path, layout: Layout | None = None) -> Shipped:
    """Store every closed segment; the caller is ``storing``.

    Raises:
        PantheonError: the place cannot be reached or written; the segments stay.
    """
    layout, done = layout or Layout(place), Shipped()
    parts: dict[str, Part] = {}  # each folder is listed once: what is stored meanwhile are other segments
    for path in finished(spool):
        try:
            rows, problem = _ship(layout, parts, path)
        except FileNotFoundError:  # renamed a moment ago: it is closed the next time
            continue
        except PantheonError:
            raise
        except Exception:  # noqa: BLE001 - a mistake of this program; the segment stays, and the others go on
            done.problems += (f"the segment {path.name} cannot be stored: {traceback.format_exc()}",)
            continue
        done.segments += 1
        done.rows += rows
        if problem:
            done.problems += (problem,)
    return done


class Contents:
    """The records of a segment, read as they are asked for, once.

    Attributes:
        damaged: bytes that could not be read, of what has been asked for; without a last, torn record.

    Raises:
        FileNotFoundError: there is no such segment any more.
    """

    def __init__(self, path: Path) -> None:
        self._data, self.damaged = path.read_bytes(), 0

    def __iter__(self) -> Iterator[Entry | Feedback]:
        for found in scan(self._data):
            if not isinstance(found, Damage):
                yield found
            elif not found.last:
                self.damaged += found.bytes


def _ship(layout: Layout, parts: dict[str, Part], path: Path) -> tuple[int, str]:
    records, rows = Contents(path), 0
    for folder, table in tables(records).items():
        rows += table.height
        if folder not in parts:
            parts[folder] = layout.part(folder)
        if not parts[folder].knows(path.stem):
            layout.place.put_new(f"{folder}/{path.stem}{DATA}", parquet(table))
    if not records.damaged:
        path.unlink()
        problem = ""
    else:
        kept = path.rename(path.with_suffix(DAMAGED))
        problem = (
            f"{records.damaged:,} bytes of a segment could not be read; it is kept as {kept}. "
            "Its other records are stored."
        )
    sync(path.parent)
    return rows, problem
