"""A button, an endpoint and the service of its log, as they are together from epimetheus on."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.files import write_json
from serving.button import Button
from serving.inference.service import Endpoint
from serving.model.explain import explain
from serving.remote.log import Log
from tests.support.button import Client, Deployment, serving
from tests.support.endpoint import endpoint, free_port
from tests.support.prediction_writer import start_service
from tests.support.waiting import until

KEY = "ButtonsKey0123456789ButtonsKey0123456789"


@dataclass
class Operated:
    """The three services.

    Attributes:
        client: of the button, logged in.
        direct: of the endpoint, with a key.
        log: as the button asks it.
    """

    deployment: Deployment
    button: Button
    client: Client
    endpoint: Endpoint
    direct: Client
    log: Log


def hand_over(deployment: Deployment, answers: str = "endpoint", **settings: Any) -> None:
    """Write the settings that `up` publishes when the endpoint is healthy; empty: the button answers itself."""
    file = deployment.folder / "state" / "deployment.json"
    old = json.loads(file.read_text())
    write_json(file, {**old, "tier": "epimetheus", "route": {"answers": answers}, **settings})


def keys(deployment: Deployment) -> None:
    """Write the button's key where the endpoint, the button and the service of the log look for it."""
    secrets = deployment.folder / "secrets"
    for path in (
        secrets / "endpoint_keys" / "button",
        secrets / "button" / "endpoint_key",
        secrets / "predictions_key",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(KEY)


@contextlib.contextmanager
def log_service(state: Path, port: int, **settings: str) -> Iterator[None]:
    """``python -m pantheon.predictions``, ready, without the endpoint's sleep before a segment is closed."""
    spool = state / "volumes" / "spool"
    started = start_service(state, spool, state / "predictions.log", PREDICTIONS_PORT=str(port), **settings)
    client = Client(port)

    def ready() -> bool:
        assert started.poll() is None, (state / "predictions.log").read_text()
        with contextlib.suppress(OSError):
            return client.get("/healthz").status == 200
        return False

    try:
        until(ready, 60, "the service of the log")
        yield
    finally:
        started.terminate()
        started.wait(60)


@contextlib.contextmanager
def operated(deployment: Deployment, with_log: bool = True, **given: Any) -> Iterator[Operated]:
    """All three, handed over; ``given`` as for ``tests.support.endpoint.endpoint``."""
    keys(deployment)
    log = free_port()
    with contextlib.ExitStack() as stack:
        service, direct = stack.enter_context(endpoint(deployment, **{"explain": explain, **given}))
        if with_log:
            stack.enter_context(log_service(deployment.folder, log))
        addresses = {"endpoint": f"http://127.0.0.1:{direct.port}", "log": f"http://127.0.0.1:{log}"}
        button, client = stack.enter_context(serving(deployment, **addresses))
        hand_over(deployment)
        until(lambda: button.endpoint.active)
        key = deployment.password.parent / "endpoint_key"
        yield Operated(deployment, button, client, service, direct, Log(addresses["log"], key))
