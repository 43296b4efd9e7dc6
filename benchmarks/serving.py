"""Predictions over HTTP: the button beside KServe, MLServer and BentoML, with the same ONNX model, in one run.

All run at the same time and are measured in turns, so that other load on the machine affects all of them. The load
comes from wrk, which needs little CPU: ``apt-get install wrk``. A bare socket around the same prediction shows the
upper limit for one client; it is not a peer.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.peers.servers import HERE, ROOT, Server, button, limit, peers, running

ROUNDS, SECONDS = 5, 1.5
CLIENTS = (1, 16, 64)
BATCH = 1000
ONE_ROW = tuple((clients, 1) for clients in CLIENTS)  # clients and rows of a request
LIMIT = "bare socket"
NOT_PEERS = ("button", LIMIT)
AT_LEAST = {1: 4.0, 16: 6.0, 64: 6.0}  # times the best peer's requests a second


def train(state: Path) -> tuple[Path, Path]:
    """Train and deploy a model of the robots in ``state``; return the paths of its training rows and of its metrics."""
    for name in ("state", "runs", "models", "data", "extensions"):
        (state / name).mkdir()
    (state / "state" / "deployment.json").write_text('{"tier": "persephone", "dataset": "robots"}')
    command = ["-m", "pantheon.worker", "run", "--dataset", "robots"]
    env = os.environ | {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, *command, "--params", '{"trials": 2}'],
        env=env,
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    run = next((state / "runs").glob("2*"))
    return run / "data" / "train.parquet", run / "metrics.json"


def load(
    server: Server, clients: int, body: Path, seconds: float = SECONDS, *, pause: int = 0, strict: bool = True
) -> dict[str, float]:
    """Return requests/s (``rate``), latencies in ms (``p50``, ``p99``), the number of ``requests``, and of those that
    were not answered with 200 (``wrong``), for a number of kept-alive connections.

    Args:
        pause: milliseconds between two requests of a connection, on average.
        strict: raise RuntimeError if a request was not answered with 200.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    command = [wrk, "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "-s", str(HERE / "request.lua"), server.url]
    env = os.environ | {"BODY": str(body), "AUTHORIZATION": server.authorization, "PAUSE": str(pause)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["wrong"] and strict:
        raise RuntimeError(f"{server.name}: {found['wrong']:.0f} requests were not answered at {clients} clients")
    return found


def measure(
    servers: list[Server], folder: Path, loads: Iterable[tuple[int, int]] = (*ONE_ROW, (1, BATCH)), rounds: int = ROUNDS
) -> dict[tuple[str, int, int], list[dict[str, float]]]:
    """Return ``{(name, clients, rows): the results of each round}``; the servers are measured in turns.

    Args:
        loads: clients, and rows of a request.
    """
    bodies: dict[tuple[str, int], Path] = {}
    for server in servers:
        for rows in (1, BATCH):
            bodies[server.name, rows] = folder / f"{server.name}-{rows}.json"
            bodies[server.name, rows].write_text(json.dumps(server.body(rows)))
        load(server, 1, bodies[server.name, 1], 1)  # warm up
    taken: dict[tuple[str, int, int], list[dict[str, float]]] = {}
    for _ in range(rounds):
        for clients, rows in loads:
            for server in servers if clients == 1 else [each for each in servers if each.name != LIMIT]:
                found = load(server, clients, bodies[server.name, rows])
                taken.setdefault((server.name, clients, rows), []).append(found)
    return taken


def bench() -> dict[str, Any]:
    """Measure requests per second, latency and memory, with the bars that the button must meet."""
    with tempfile.TemporaryDirectory() as made, ExitStack() as open_:
        folder = Path(made)
        (folder / "state").mkdir()
        train(folder / "state")
        bundle = next((folder / "state" / "models" / "robots").glob("[0-9]*"))
        all_ = [button(folder / "state"), limit(bundle), *peers(bundle, folder)]
        servers = [open_.enter_context(running(each, folder / f"{each.name}.log")) for each in all_]
        expected = servers[0].ask(2)
        for server in servers:
            if [int(each) for each in server.ask(2)] != expected:
                raise RuntimeError(f"{server.name} does not predict the same as the button")
        taken = measure(servers, folder)
        memory = {server.name: server.memory() for server in servers}
    return figures([server.name for server in servers], taken, memory)


def figures(
    names: list[str], taken: dict[tuple[str, int, int], list[dict[str, float]]], memory: dict[str, float]
) -> dict[str, Any]:
    def middle(name: str, clients: int, rows: int, what: str) -> float:
        return statistics.median(each[what] for each in taken[name, clients, rows])

    def times(clients: int, rows: int) -> float:
        """Return the median of the rounds' ratios: load that slows one round down slows all servers down."""
        rounds = range(len(taken["button", clients, rows]))
        best = [max(taken[name, clients, rows][i]["rate"] for name in names if name not in NOT_PEERS) for i in rounds]
        return statistics.median(taken["button", clients, rows][i]["rate"] / best[i] for i in rounds)

    found: dict[str, Any] = {}
    for clients in CLIENTS:
        for name in [name for name in names if (name, clients, 1) in taken]:
            found[f"one row, {clients} clients, {name}, requests/s"] = {"value": middle(name, clients, 1, "rate")}
        figure = {"value": times(clients, 1), "at_least": AT_LEAST[clients]}
        found[f"one row, {clients} clients, times the best peer"] = figure
    for name in names:
        found[f"one row, 1 client, {name}, p50, ms"] = {"value": middle(name, 1, 1, "p50")}
        if name == "button":
            found["one row, 1 client, button, p50, ms"]["bar"] = 0.15
    found["one row, 1 client, button, p99, ms"] = {"value": middle("button", 1, 1, "p99"), "bar": 3.0}
    for name in names:
        found[f"{BATCH:,} rows, {name}, requests/s"] = {"value": middle(name, 1, BATCH, "rate")}
    found[f"{BATCH:,} rows, times the best peer"] = {"value": times(1, BATCH), "at_least": 2.0}
    for name in names:
        found[f"memory (PSS), {name}, MB"] = {"value": memory[name]}
    found["memory (PSS), button, MB"]["bar"] = 110
    return found
