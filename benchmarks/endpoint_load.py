"""The endpoint for ten minutes at 80 % of its capacity, with the service that stores its log.

In every second interval there are 1,000 idle connections and 50 slow senders beside the load. ``LOAD_MINUTES`` in the
environment sets another duration.
"""

import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from benchmarks.endpoint import process
from benchmarks.peers.beside import Beside
from benchmarks.peers.servers import Server, endpoint, pss, running
from benchmarks.serving import load, train
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.ship import ship, storing

SHARE = 0.8
PAUSE = 10  # ms between the requests of a connection
CAPACITY_CLIENTS, CAPACITY_ROUNDS, CAPACITY_SECONDS = 16, 5, 2
INTERVALS = 10


class Interval(NamedTuple):
    """What was measured in one interval: as ``load`` returns it, and the memory of both services after it, MB."""

    crowded: bool
    load: dict[str, float]
    memory: float
    storing_memory: float


def bench() -> dict[str, Any]:
    """Measure capacity, then latency and memory over time, with the bars that say that they do not change."""
    seconds = float(os.environ.get("LOAD_MINUTES") or 10) * 60 / INTERVALS
    with tempfile.TemporaryDirectory() as made, ExitStack() as open_:
        folder = Path(made)
        state, spool, body = folder / "state", folder / "state" / "volumes" / "spool", folder / "body.json"
        state.mkdir()
        train(state)
        with running(endpoint(state), folder / "endpoint.log") as server:
            storing_pid = open_.enter_context(process("pantheon.predictions", state, {"SPOOL_DIR": str(spool)}))
            body.write_text(json.dumps(server.body(1)))
            rates = [load(server, CAPACITY_CLIENTS, body, CAPACITY_SECONDS) for _ in range(CAPACITY_ROUNDS)]
            capacity = statistics.median(each["rate"] for each in rates)
            # a connection asks once in a pause and a latency
            clients = max(1, round(capacity * SHARE * (PAUSE + 1) / 1000))
            intervals = [interval(server, storing_pid, body, clients, seconds, n % 2 == 1) for n in range(INTERVALS)]
        open_.close()  # the service ends with what is closed by now
        answered = sum(each["requests"] for each in (*rates, *(each.load for each in intervals)))
        missing = answered - logged(state, spool)
    return figures(capacity, intervals) | {"answers without a record": {"value": max(0, missing), "bar": 0}}


def interval(server: Server, storing_pid: int, body: Path, clients: int, seconds: float, crowded: bool) -> Interval:
    with ExitStack() as open_:
        if crowded:
            open_.enter_context(Beside(server.port, server.authorization))
        found = load(server, clients, body, seconds, pause=PAUSE, strict=False)
    return Interval(crowded, found, server.memory(), pss(storing_pid))


def logged(state: Path, spool: Path) -> int:
    """Store what is left, and return how many rows the log has."""
    place = FolderPlace(state / "predictions")
    with storing(spool, timeout=60):
        ship(place, spool)
    paths = [place.folder / stored.key for part in Layout(place).parts(["robots"]) for stored in part.live.values()]
    return int(pl.scan_parquet(paths).select(pl.len()).collect().item())


def figures(capacity: float, intervals: list[Interval]) -> dict[str, Any]:
    quiet, crowded = ([each for each in intervals if each.crowded is wanted] for wanted in (False, True))
    half = len(quiet) // 2

    def middle(some: list[Interval], what: str) -> float:
        return statistics.median(each.load[what] for each in some)

    rate = statistics.median(each.load["rate"] for each in intervals)
    found: dict[str, Any] = {
        "capacity, requests/s": {"value": capacity},
        "load, requests/s": {"value": rate},
        "load, share of the capacity": {"value": rate / capacity},
        "requests that were not answered with 200": {"value": sum(each.load["wrong"] for each in intervals), "bar": 0},
    }
    for what in ("p50", "p99"):
        last, first = middle(quiet[-half:], what), middle(quiet[:half], what)
        found[f"{what}, ms"] = {"value": middle(quiet, what)}
        found[f"{what}, the last intervals ÷ the first"] = {"value": last / first}
        found[f"{what}, beside idle connections ÷ alone"] = {"value": middle(crowded, what) / middle(quiet, what)}
    for name in ("p99, the last intervals ÷ the first", "p99, beside idle connections ÷ alone"):
        found[name]["bar"] = 1.25
    # the first two intervals fill what is allocated once; idle connections take memory while they are open
    for name, of in (("endpoint", "memory"), ("predictions", "storing_memory")):
        found[f"memory (PSS), {name}, MB"] = {"value": getattr(intervals[-1], of)}
        for what, some in (("alone", quiet[1:]), ("beside idle connections", crowded[1:])):
            memory = [getattr(each, of) for each in some]
            found[f"memory (PSS), {name}, growth {what} after the first two intervals, MB"] = {
                "value": statistics.median(memory[-2:]) - statistics.median(memory[:2]),
                "bar": 10,
            }
    found["intervals"] = {"value": len(intervals), "each": [each._asdict() for each in intervals]}
    return found
