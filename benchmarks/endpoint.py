"""The endpoint over HTTP, with and without its log, beside KServe, MLServer and BentoML with the same ONNX model.

All run at the same time and are measured in turns, as in ``benchmarks.serving``.
"""

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.peers.servers import endpoint, peers, running
from benchmarks.serving import CLIENTS, measure, train

LOGGED, UNLOGGED = "endpoint", "endpoint, log off"


def bench() -> dict[str, Any]:
    """Measure requests per second, latency and memory, with the bars that the endpoint must meet."""
    with tempfile.TemporaryDirectory() as made, ExitStack() as open_:
        folder = Path(made)
        (folder / "state").mkdir()
        train(folder / "state")
        bundle = next((folder / "state" / "models" / "robots").glob("[0-9]*"))
        all_ = [endpoint(folder / "state"), endpoint(folder / "state", "off"), *peers(bundle, folder)]
        servers = [open_.enter_context(running(each, folder / f"{each.name}.log")) for each in all_]
        taken = measure(servers, folder)
        memory = servers[0].memory()
    return figures([server.name for server in servers], taken, memory)


Taken = dict[tuple[str, int, int], list[dict[str, float]]]  # as ``measure`` returns it


def figures(names: list[str], taken: Taken, memory: float) -> dict[str, Any]:
    others = [name for name in names if not name.startswith(LOGGED)]

    def middle(name: str, clients: int, what: str) -> float:
        return statistics.median(each[what] for each in taken[name, clients, 1])

    def times(clients: int) -> float:
        """Return the median of the rounds' ratios: load that slows one round down slows all servers down."""
        rounds = range(len(taken[LOGGED, clients, 1]))
        best = [max(taken[name, clients, 1][i]["rate"] for name in others) for i in rounds]
        return statistics.median(taken[LOGGED, clients, 1][i]["rate"] / best[i] for i in rounds)

    def share() -> float:
        pairs = zip(taken[LOGGED, 1, 1], taken[UNLOGGED, 1, 1], strict=True)
        return statistics.median(logged["p50"] - unlogged["p50"] for logged, unlogged in pairs)

    found: dict[str, Any] = {}
    for clients in CLIENTS:
        for name in names:
            found[f"one row, {clients} clients, {name}, requests/s"] = {"value": middle(name, clients, "rate")}
        found[f"one row, {clients} clients, times the best peer"] = {"value": times(clients), "at_least": 4.0}
    found["one row, 1 client, p50, ms"] = {"value": middle(LOGGED, 1, "p50"), "bar": 0.25}
    found["one row, 1 client, p99, ms"] = {"value": middle(LOGGED, 1, "p99"), "bar": 1.5}
    found["one row, 1 client, the log's share of p50, ms"] = {"value": share(), "bar": 0.05}
    found["memory (PSS), MB"] = {"value": memory, "bar": 110}
    return found
