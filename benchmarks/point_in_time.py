"""The point-in-time join of a million rows with 20 features, from the request to the answer's last byte."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peers.servers import pss
from pantheon.features.client import Features
from pantheon.features.contract import CREATED, EVENT, ROW, Chosen, Field, View

ROWS, FEATURES, EACH = 1_000_000, 20, 10  # EACH: rows of an entity, on average
KEY = "robot_id"
BEGIN = 1_700_000_000_000_000  # microseconds since 1970


def measure(store: Features, pid: int) -> dict[str, Any]:
    """Measure seconds, and the service's largest memory.

    Args:
        pid: of the service.

    Raises:
        RuntimeError: the answer has other values than were written.
    """
    names = [f"f{number}" for number in range(FEATURES)]
    fields = [Field(name=name, column=name, type="number") for name in names]
    view = View(name="past", set="past", kind="raw", key=KEY, entity="robot-id", time="seen", fields=fields)
    (view,) = store.apply([view])
    random = np.random.default_rng(0)
    ids = pl.Series(random.integers(0, ROWS // EACH, ROWS)).cast(pl.String)
    moments = pl.Series(random.permutation(ROWS) * 1_000_000 + BEGIN).cast(pl.Datetime("us", "UTC"))
    keys = pl.DataFrame({KEY: ids, EVENT: moments})
    rows = keys.with_columns(pl.col(EVENT).alias(CREATED), *(pl.Series(name, random.random(ROWS)) for name in names))
    store.write(view.name, parquet(rows))
    features = [f"{view.name}:{name}" for name in names]
    service = store.choose(Chosen(name="past_1", set="past", features=features))
    asked = parquet(keys.with_columns(pl.int_range(ROWS, dtype=pl.Int64).alias(ROW)))
    began = time.monotonic()
    with peak(pid) as largest:
        content = store.historical(service, asked)
    seconds = time.monotonic() - began
    answer = pl.read_parquet(BytesIO(content)).sort(ROW)
    if not answer.select(features).equals(rows.select(pl.col(name).alias(f"{view.name}:{name}") for name in names)):
        raise RuntimeError("the point-in-time join gave other values than were written")
    what = f"point-in-time join of {ROWS:,} rows, {FEATURES} features"
    return {
        f"{what}, s": {"value": seconds, "bar": 60.0},
        f"{what}, largest memory (PSS) of the service, MB": {"value": largest[0], "bar": 2000.0},
    }


@contextmanager
def peak(pid: int) -> Iterator[list[float]]:
    """Yield a list whose only item is the largest memory of a process during the block, in MB."""
    found, over = [pss(pid)], threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            found[0] = max(found[0], pss(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file."""
    file = BytesIO()
    frame.write_parquet(file)
    return file.getvalue()
