"""The endpoint over HTTP, with and without its log and a shadow, beside KServe, MLServer and BentoML with the same
ONNX model; explanations; moving an alias; storing the log; and the memory of the tier.

Servers run at the same time and are measured in turns, as in ``benchmarks.serving``.
"""

import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import explaining, shipping, swapping
from benchmarks.peers.servers import ROOT, Server, endpoint, free_port, peers, pss, running
from benchmarks.serving import CLIENTS, ONE_ROW, measure, train
from pantheon.predictions.segments import finished
from pantheon.routing import operations as route
from pantheon.store import FolderStore

LOGGED, UNLOGGED = "endpoint", "endpoint, log off"
SHADOW_ROUNDS = 12  # two percentiles are compared, which vary more than medians
EXPLAIN_BARS = {3: 10, 8: 200, 30: 250}  # ms, by number of inputs

Taken = dict[tuple[str, int, int], list[dict[str, float]]]  # as ``measure`` returns it


def bench() -> dict[str, Any]:
    """Measure requests per second, latency and memory, with the bars that the endpoint must meet."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        state, shadowed, explained, swapped = (folder / each for each in ("state", "shadowed", "explained", "swapped"))
        state.mkdir()
        train(state)
        for copy in (shadowed, explained, swapped):
            shutil.copytree(state, copy)
        found = side_by_side(state, folder)
        found |= with_shadow(state, shadowed, folder)
        found |= swapping.figures(swapped, folder)
        for inputs, value in explaining.milliseconds(explained, folder).items():
            found[f"explain one row, {inputs} inputs, ms"] = {"value": value, "bar": EXPLAIN_BARS[inputs]}
    found["storing the log, rows/s"] = {"value": shipping.rate(), "at_least": 100_000}
    return found


def side_by_side(state: Path, folder: Path) -> dict[str, Any]:
    """Measure the endpoint and its peers; then the memory of all services of the tier."""
    bundle = next((state / "models" / "robots").glob("[0-9]*"))
    all_ = [endpoint(state), endpoint(state, "off"), *peers(bundle, folder)]
    with ExitStack() as open_:
        servers = [open_.enter_context(running(each, folder / f"{each.name}.log")) for each in all_]
        taken = measure(servers, folder, ONE_ROW)
        memory = {LOGGED: servers[0].memory(), **others(state, servers[0])}
    return figures([server.name for server in servers], taken) | {
        **{f"memory (PSS), {name}, MB": {"value": value} for name, value in memory.items()},
        "memory (PSS), all services of the tier, MB": {"value": sum(memory.values()), "bar": 250},
    }


def others(state: Path, server: Server) -> dict[str, float]:
    """Return the memory (PSS, MB) of the service that stores the log, after it stored all, and of the front end."""
    spool = state / "volumes" / "spool"
    found = {}

    def stored() -> bool:
        return not finished(spool) and any((state / "predictions").rglob("*.parquet"))

    with process("pantheon.predictions", state, {"SPOOL_DIR": str(spool)}, stored) as pid:
        found["predictions"] = pss(pid)
    port, key, secret = free_port(), state / "key", state / "secret"
    key.write_text(server.authorization.removeprefix("Bearer "))
    secret.write_text(secrets.token_hex(20))
    settings = {
        "ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "ENDPOINT_KEY_FILE": str(key),
        "FRONTEND_SECRET_FILE": str(secret),
        "FRONTEND_DIR": str(state / "volumes" / "frontend"),
        "FRONTEND_PORT": str(port),
    }
    with process("serving.frontend", state, settings, lambda: answers(f"http://127.0.0.1:{port}/")) as pid:
        found["frontend"] = pss(pid)
    return found


@contextmanager
def process(
    module: str, state: Path, settings: dict[str, str], ready: Callable[[], bool] = lambda: True
) -> Iterator[int]:
    """A service of ours as soon as ``ready`` is true: its process id."""
    env = os.environ | {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT)} | settings
    log = state / f"{module}.log"
    with log.open("wb") as output, subprocess.Popen([sys.executable, "-m", module], env=env, stderr=output) as started:
        try:
            end = time.monotonic() + 60
            while not ready():
                if started.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{module} is not ready:\n{log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield started.pid
        finally:
            started.terminate()


def answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def with_shadow(state: Path, shadowed: Path, folder: Path) -> dict[str, Any]:
    """Measure the endpoint beside one that has a shadow: the same model as a second version."""
    store = FolderStore(shadowed / "models")
    bundle = folder / "bundle"  # without what the store adds
    shutil.copytree(store.get("robots", "1"), bundle, ignore=shutil.ignore_patterns("manifest.json"))
    version = store.publish("robots", bundle, {})
    route.shadow(store, "robots", [version])
    plain, other = endpoint(state, key="plain"), endpoint(shadowed, key="shadowed")
    plain.name, other.name = "plain", "shadowed"
    with running(plain, folder / "plain.log"), running(other, folder / "shadowed.log"):
        taken = measure([plain, other], folder, [(1, 1)], SHADOW_ROUNDS)
    pairs = list(zip(taken["shadowed", 1, 1], taken["plain", 1, 1], strict=True))
    found: dict[str, Any] = {}
    for what in ("p50", "p99"):
        more = statistics.median(with_[what] / without[what] - 1 for with_, without in pairs) * 100
        found[f"one row, 1 client, a shadow's share of {what}, %"] = {"value": more}
    found["one row, 1 client, a shadow's share of p99, %"]["bar"] = 5
    return found


def figures(names: list[str], taken: Taken) -> dict[str, Any]:
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
    return found
