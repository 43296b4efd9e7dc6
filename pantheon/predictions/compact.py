"""Merge small files of the log, so that reading stays quick; interrupted anywhere, it loses and doubles nothing.

A new file is stored, then its manifest, which is the moment from which it counts instead of what it replaces
(``layout``). What is replaced is removed ``GRACE`` later: until then, who listed it before can still read it.
The caller is ``ship.storing``.
"""

import io
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pantheon.predictions.ids import time_of
from pantheon.predictions.layout import DATA, MERGED, Layout, Part
from pantheon.predictions.tables import schema_of

TARGET = 8 << 20  # bytes of a merged file, compressed: some 100,000 rows, which need some 100 MB to read
FEWEST = 8  # small files of a folder that are worth a merge
GRACE = 600.0  # seconds between the replacement of a file and its removal
ABANDONED = 3600.0  # seconds after which a merge without a manifest was killed
FETCHERS = 8


@dataclass
class Compacted:
    """What was done: files that were merged, those that they became, and those that were removed."""

    merged: int = 0
    made: int = 0
    removed: int = 0


def compact(layout: Layout, *, target: int = TARGET, fewest: int = FEWEST, grace: float = GRACE) -> Compacted:
    """Merge small files, and remove those that were replaced.

    Args:
        target: bytes of a merged file.
        fewest: small files of a folder that are worth a merge.
        grace: seconds for which replaced files are kept.

    Raises:
        PantheonError: the place cannot be reached or written, or a manifest is damaged.
    """
    done = Compacted()
    for part in layout.parts():
        done.removed += sweep(layout, part, grace)
        for group in groups(part, target, fewest):
            _merge(layout, part, group)
            done.merged += len(group)
            done.made += 1
    return done


def groups(part: Part, target: int, fewest: int) -> Iterator[list[str]]:
    """Yield the names of files that are worth a merge, oldest first, together of about ``target`` bytes."""
    small = sorted((name for name, stored in part.live.items() if stored.bytes < target // 2), key=_age)
    group: list[str] = []
    size = 0
    for name in small:
        group.append(name)
        size += part.live[name].bytes
        if size >= target:
            yield group
            group, size = [], 0
    if len(group) >= fewest:
        yield group


def sweep(layout: Layout, part: Part, grace: float) -> int:
    """Remove files that were replaced more than ``grace`` seconds ago, and what killed merges left; return how many."""
    now = time.time()
    old = [key for key, since in part.dead.items() if now - since >= grace]
    old += [key for key in part.loose if now - _made(key) >= ABANDONED]
    old.sort(key=lambda key: not key.endswith(DATA))  # data first: a manifest says that it is replaced
    for key in (*part.void, *old):  # what is void first: it must not count once the other merge is merged again
        layout.place.remove(key)
    return len(part.void) + len(old)


def _merge(layout: Layout, part: Part, names: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="predictions-") as folder:
        keys = [part.live[name].key for name in names]
        with ThreadPoolExecutor(FETCHERS) as threads:
            paths = list(threads.map(lambda key: layout.place.fetch(key, Path(folder)), keys))
        found = [path for path in paths if path]
        if len(found) < len(names):  # somebody removed files by hand: the next look knows which are left
            return
        content = io.BytesIO()
        frame = pl.scan_parquet(found, schema=schema_of(f"{part.folder}/"))
        frame.sink_parquet(content, compression="zstd", compression_level=3, statistics=True)
        rows = int(frame.select(pl.len()).collect().item())
    layout.replace(part, names, content.getvalue(), rows)


def _age(name: str) -> str:
    """Return what sorts files by the time of their id."""
    return name.removeprefix(MERGED)


def _made(key: str) -> float:
    """Return when a merged file was made, in seconds since the epoch."""
    return time_of(key.rpartition("/")[2].rpartition(".")[0].removeprefix(MERGED)).timestamp()
