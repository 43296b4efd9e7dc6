"""The endpoint on a free port of this process, and as a process of its own, with a client that has a key."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pantheon import keys
from pantheon.predictions.spool import Spool
from pantheon.web.server import Server
from serving.features.joining import Online
from serving.features.push import Push
from serving.inference.answering import Explain
from serving.inference.journal import Mode
from serving.inference.kserve import Kserve
from serving.inference.service import Endpoint
from tests.support import ROOT
from tests.support.button import Client, Deployment
from tests.support.ports import free_ports


def free_port() -> int:
    (port,) = free_ports(1)
    return port


def with_key(state: Path, client: Client, name: str, **given: object) -> Client:
    """A client with a new key; ``given`` as for ``keys.add``."""
    _, token = keys.add(state, name, **given)  # type: ignore[arg-type]
    return Client(client.port, {"Authorization": f"Bearer {token}"})


def spool_of(state: Path) -> Path:
    return state / "volumes" / "spool"


@contextlib.contextmanager
def endpoint(
    deployment: Deployment,
    mode: Mode = "required",
    explain: Explain | None = None,
    kserve: Kserve | None = None,
    port: int = 0,
    online: Online | None = None,
    push: Push | None = None,
    **given: Any,
) -> Iterator[tuple[Endpoint, Client]]:
    """The whole service in this process; ``given``: of its spool. The client has a key for all but the metrics."""
    port = port or free_port()
    client = with_key(deployment.folder, Client(port), f"app{port}")
    tokens, spool = deployment.folder / "secrets" / "endpoint_keys", Spool(spool_of(deployment.folder), **given)
    models: dict[str, Any] = {"explain": explain, "kserve": kserve, "online": online, "push": push}
    shadows = {"STATE_DIR": str(deployment.folder), "SPOOL_DIR": str(spool.folder), "ENDPOINT_LOG": mode}
    if online:
        shadows |= {"VALKEY_HOST": online.valkey.host, "VALKEY_PORT": str(online.valkey.port)}
        shadows["VALKEY_PASSWORD_FILE"] = str(online.valkey.password_file or "")
    models["environment"] = shadows | {"PYTHONPATH": str(ROOT)}
    service = Endpoint(deployment.folder, port, tokens=tokens, spool=spool, mode=mode, **models)
    server = Server("127.0.0.1", port, service)
    server.prepare()
    service.start()
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), kwargs={"signals": False}, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield service, client
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()
        service.stop()  # after the last request, as in the process


@contextlib.contextmanager
def process(state: Path, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", Client]]:
    """``python -m serving.inference``, ready. The client has a key."""
    port = free_port()
    client = with_key(state, Client(port), f"app{port}")
    settings = {"STATE_DIR": str(state), "ENDPOINT_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "serving.inference"]
    started = subprocess.Popen(command, env=os.environ | settings | environment, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if client.get("/healthz").json["ready"]:
                    break
            assert started.poll() is None, "the endpoint ended"
            assert time.monotonic() < end, "the endpoint is not ready after 60 s"
            time.sleep(0.01)
        yield started, client
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate(timeout=60)
