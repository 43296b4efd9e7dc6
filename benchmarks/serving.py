"""One-row ``POST /predict``: the button beside an empty app on its server, and beside a pipeline called on a DataFrame.

The three run as processes at once and are asked in turns, so that whatever else the machine does meets all of them.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROW = {"robot-age": 5, "rust-level": "9", "battery": "low"}
BODY = json.dumps({"payload": [ROW]}).encode()
ROUNDS, REQUESTS, WARM_UP = 12, 250, 200
CLIENTS, SECONDS = 4, 1.0


class Asker:
    """A kept-alive connection that asks one row at a time; a plain socket, so that the client costs little."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        self.request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY

    def __call__(self) -> bytes:
        self.socket.sendall(self.request)
        answer = b""
        while b"}" not in answer[-1:]:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer.decode())
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(command: list[str], port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens on ``port``; ended at the end."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    started = subprocess.Popen([sys.executable, *command], env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                Asker(port)()
                break
            except (OSError, RuntimeError):
                if started.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield started
    finally:
        started.terminate()
        started.wait(20)


def train(state: Path) -> tuple[Path, Path]:
    """A deployed model of the robots in ``state``: the training rows, and what was chosen."""
    for name in ("state", "runs", "models", "data", "extensions"):
        (state / name).mkdir()
    (state / "state" / "deployment.json").write_text('{"tier": "persephone", "dataset": "robots"}')
    command = ["-m", "pantheon.tasks", "run", "--spec", str(ROOT / "datasets" / "robots.toml"), "--dataset", "robots"]
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


def latencies(ports: dict[str, int]) -> dict[str, list[float]]:
    """Milliseconds of each request, one client, the servers in turns."""
    askers = {name: Asker(port) for name, port in ports.items()}
    taken: dict[str, list[float]] = {name: [] for name in ports}
    for asker in askers.values():
        for _ in range(WARM_UP):
            asker()
    for _ in range(ROUNDS):
        for name, asker in askers.items():
            for _ in range(REQUESTS if name != "pipeline" else REQUESTS // 5):
                begin = time.perf_counter()
                asker()
                taken[name].append((time.perf_counter() - begin) * 1000)
    return taken


def throughput(port: int) -> float:
    """Requests a second at ``CLIENTS`` clients."""
    counts = [0] * CLIENTS
    end = time.perf_counter() + SECONDS

    def client(i: int) -> None:
        asker = Asker(port)
        while time.perf_counter() < end:
            asker()
            counts[i] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def pss(pid: int) -> float:
    """Proportional set size, MB: the memory of a process with shared pages divided among those who share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def bench() -> dict[str, Any]:
    """Latency, requests a second and memory, beside what they are compared with."""
    by_hand = str(ROOT / "benchmarks" / "serving_by_hand.py")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        state = Path(folder)
        rows, metrics = train(state)
        ports = {name: free_port() for name in ("empty", "button", "pipeline")}
        servers.enter_context(process([by_hand, "empty", str(ports["empty"])], ports["empty"]))
        settings = {"STATE_DIR": str(state), "BUTTON_HOST": "127.0.0.1", "BUTTON_PORT": str(ports["button"])}
        button = servers.enter_context(process(["-m", "serving.button"], ports["button"], **settings))
        pipeline = [by_hand, "pipeline", str(ports["pipeline"]), str(rows), str(metrics)]
        servers.enter_context(process(pipeline, ports["pipeline"]))
        if Asker(ports["button"])()[-19:] != Asker(ports["pipeline"])()[-19:]:
            raise RuntimeError("the button and the pipeline do not answer the same")
        taken = latencies(ports)
        rounds = [{name: throughput(port) for name, port in ports.items()} for _ in range(3)]
        memory = pss(button.pid)
    p50 = {name: statistics.median(values) for name, values in taken.items()}
    rate = {name: statistics.median(r[name] for r in rounds) for name in ports}
    return {
        "one row, p50, ms": {"value": p50["button"]},
        "one row, p50, empty app, ms": {"value": p50["empty"]},
        "one row, p50, pipeline on a DataFrame, ms": {"value": p50["pipeline"]},
        "one row, p50 beyond the empty app, ms": {"value": p50["button"] - p50["empty"], "bar": 0.4},
        "one row, p99, ms": {"value": percentile(taken["button"], 0.99), "bar": 3.0},
        "one row, p99, empty app, ms": {"value": percentile(taken["empty"], 0.99)},
        f"requests/s, {CLIENTS} clients": {"value": rate["button"]},
        f"requests/s, {CLIENTS} clients, pipeline on a DataFrame": {"value": rate["pipeline"]},
        "requests/s, times the pipeline's": {"value": rate["button"] / rate["pipeline"], "at_least": 5.0},
        "button's memory (PSS), MB": {"value": memory, "bar": 130},
    }
