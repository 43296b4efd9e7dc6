"""How many rows a second the service ``predictions`` stores: from the spool to Parquet files in a folder."""

import gc
import statistics
import tempfile
import time
from pathlib import Path

from pantheon.predictions.ids import new_id
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.records import Answered
from pantheon.predictions.ship import ship
from pantheon.predictions.spool import Spool

ROWS, ROUNDS = 100_000, 5
QUESTION = b'[{"robot-age": 5, "rust-level": "9", "battery": "low"}]'
ANSWER = b'{"prediction":[0],"probabilities":[[0.982013,0.017987]]}'
COLLECT = (100_000, 50, 100)  # as in pantheon.predictions.__main__


def rate() -> float:
    """Return the median of some rounds, rows a second: one request has one row."""
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT)
    try:
        return statistics.median(once() for _ in range(ROUNDS))
    finally:
        gc.set_threshold(*before)


def once() -> float:
    with tempfile.TemporaryDirectory(prefix="bench-shipping-") as scratch:
        spool = Spool(Path(scratch) / "spool")
        for _ in range(ROWS):
            now = time.time_ns() // 1000
            record = Answered(new_id(), now, "robots", "1", "champion", "champion", "shop", 0.123, 200)
            spool.answered(record, QUESTION, ANSWER)
        spool.close()
        began = time.perf_counter()
        shipped = ship(FolderPlace(Path(scratch) / "place"), spool.folder)
        return shipped.rows / (time.perf_counter() - began)
