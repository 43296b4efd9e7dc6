"""The button and its peers as processes: their environments, and how to start each and send it requests."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pantheon import keys
from pantheon.engines.local import environments

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".pantheon" / "bench"
ROW = {"robot-age": 5, "rust-level": "9", "battery": "low"}
PACKAGES = {  # besides KServe's environment, which the variant kserve has
    "mlserver": ["mlserver==1.7.1", "onnxruntime==1.31.0"],
    "bentoml": ["bentoml==1.4.40", "onnxruntime==1.31.0"],
}


@dataclass
class Server:
    """One server that is measured.

    Attributes:
        path: of its prediction route.
        body: returns a request's JSON for a number of rows.
        answer: returns the predictions in a response's JSON.
        authorization: the header of each request; empty: none.
    """

    name: str
    command: list[str]
    path: str
    body: Callable[[int], Any]
    answer: Callable[[Any], list[Any]]
    environment: dict[str, str] = field(default_factory=dict)
    authorization: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def ask(self, rows: int) -> list[Any]:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": self.authorization} if self.authorization else {}
        )
        request = urllib.request.Request(self.url, json.dumps(self.body(rows)).encode(), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return self.answer(json.load(answer))

    def memory(self) -> float:
        """Proportional set size of the process and its children, MB."""
        assert self.process
        top = psutil.Process(self.process.pid)
        return sum(pss(each.pid) for each in (top, *top.children(recursive=True)))


def pss(pid: int) -> float:
    """Proportional set size, MB: the memory of a process with shared pages divided among those who share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(name: str) -> Path:
    """The ``bin`` of the peer's environment, made in ``.pantheon/bench`` where it is missing or of other versions."""
    folder, wanted = CACHE / name, "\n".join(PACKAGES[name])
    stamp = folder / "packages.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = ROOT / ".pantheon" / "uv" / "bin" / "uv"
        program = str(uv) if uv.exists() else shutil.which("uv") or sys.exit("uv is not installed: bin/bootstrap dev")
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([program, "venv", "-q", "--clear", "--python", sys.executable, str(folder)], check=True)
        python = str(folder / "bin" / "python")
        subprocess.run([program, "pip", "install", "-q", "--python", python, *PACKAGES[name]], check=True)
        stamp.write_text(wanted)
    return folder / "bin"


def objects(rows: int) -> list[dict[str, Any]]:
    return [ROW] * rows


def columns(rows: int) -> dict[str, Any]:
    """Version 2 of the protocol has tensors, not objects: a column for each input, numbers as numbers."""
    kinds = {"robot-age": ("FP64", 5), "rust-level": ("FP64", 9), "battery": ("BYTES", "low")}
    return {
        "inputs": [
            {"name": name, "shape": [rows], "datatype": kind, "data": [value] * rows}
            for name, (kind, value) in kinds.items()
        ]
    }


def button(state: Path) -> Server:
    return Server(
        "button",
        [sys.executable, "-m", "serving.button"],
        "/predict",
        lambda rows: {"payload": objects(rows)},
        lambda answer: list(answer["prediction"]),
        {"STATE_DIR": str(state), "BUTTON_HOST": "127.0.0.1", "BUTTON_PORT": "PORT", "PYTHONPATH": str(ROOT)},
    )


def endpoint(state: Path, log: str = "required", key: str = "") -> Server:
    """The endpoint with its log as ``ENDPOINT_LOG`` says, and a key of its own, named ``key``."""
    _, token = keys.add(state, key or f"bench-{log}")
    return Server(
        "endpoint" if log == "required" else f"endpoint, log {log}",
        [sys.executable, "-m", "serving.inference"],
        "/predict",
        lambda rows: {"payload": objects(rows)},
        lambda answer: list(answer["prediction"]),
        {"STATE_DIR": str(state), "ENDPOINT_PORT": "PORT", "ENDPOINT_LOG": log, "PYTHONPATH": str(ROOT)},
        f"Bearer {token}",
    )


def limit(bundle: Path) -> Server:
    """A bare socket around the same prediction: the most that one client can get from a Python process."""
    return Server(
        "bare socket",
        [sys.executable, str(HERE / "bare_socket.py"), str(bundle), "PORT"],
        "/predict",
        lambda rows: {"payload": objects(rows)},
        lambda answer: list(answer["prediction"]),
    )


def peers(bundle: Path, scratch: Path) -> list[Server]:
    """KServe, MLServer and BentoML with one worker each, as they come."""
    environments.make(["kserve"])
    python = environments.folder_of("kserve") / "bin" / "python"
    kserve = [str(python), str(HERE / "kserve_model.py"), str(bundle)]
    settings = scratch / "mlserver"
    settings.mkdir()
    (settings / "model-settings.json").write_text(
        json.dumps({"name": "robots", "implementation": "mlserver_model.Served", "parameters": {"uri": str(bundle)}})
    )
    (settings / "settings.json").write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "grpc_port": free_port(),
                "metrics_port": free_port(),
                "parallel_workers": 0,  # in the server's own process: faster than handing over to another
            }
        )
    )
    mlserver = [str(environment("mlserver") / "mlserver"), "start", str(settings)]
    bentoml = [str(environment("bentoml") / "bentoml"), "serve", "bentoml_model:Served"]
    quiet = {"PYTHONPATH": str(HERE), "BUNDLE": str(bundle), "BENTOML_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1"}
    return [
        Server(
            "kserve",
            [*kserve, "--http_port", "PORT", "--enable_grpc", "false"],
            "/v1/models/robots:predict",
            lambda rows: {"instances": objects(rows)},
            lambda answer: list(answer["predictions"]),
            quiet,
        ),
        Server(
            "mlserver",
            mlserver,
            "/v2/models/robots/infer",
            columns,
            lambda answer: list(answer["outputs"][0]["data"]),
            quiet | {"MLSERVER_HTTP_PORT": "PORT"},
        ),
        Server(
            "bentoml",
            [*bentoml, "--host", "127.0.0.1", "--port", "PORT"],
            "/predict",
            lambda rows: {"payload": objects(rows)},
            list,
            quiet,
        ),
    ]


@contextmanager
def running(server: Server, log: Path) -> Iterator[Server]:
    """The server, as soon as it predicts; ended at the end."""
    server.port = free_port()
    port = str(server.port)
    command = [port if part == "PORT" else part for part in server.command]
    given = {key: port if value == "PORT" else value for key, value in server.environment.items()}
    env = os.environ | {"OMP_NUM_THREADS": "1"} | given
    with log.open("wb") as output:
        server.process = subprocess.Popen(command, env=env, cwd=HERE, stdout=output, stderr=output)
    try:
        end = time.monotonic() + 90
        while True:
            try:
                server.ask(1)
                break
            except OSError:
                if server.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{server.name} did not start:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield server
    finally:
        children = psutil.Process(server.process.pid).children(recursive=True) if server.process.poll() is None else []
        server.process.terminate()
        try:
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            server.process.kill()
        for child in psutil.wait_procs(children, timeout=5)[1]:
            child.kill()
