"""A killed service: who notices it, and when it is healthy again. Real processes on the local engine."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pantheon.compare import kills, usage
from pantheon.errors import PantheonError
from tests.support.engines import Deployment, making
from tests.support.waiting import until


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with making(tmp_path) as make:
        yield make("killed")


def probes(engine: Any, asks: Any = lambda: None) -> Any:
    return SimpleNamespace(engine=engine, ask=asks, status=engine.status, closed=lambda: ["the page"])


def refuse() -> None:
    raise PantheonError("nobody answers.")


def test_the_supervisor_notices_and_what_did_not_answer_is_named(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"], "restart": "always"})
    before = deployment.pid("web")
    found = kills.kill(probes(engine, refuse), "web")
    assert found.pop("healthy_s") < 5
    assert found == {"service": "web", "noticed_by": "the supervisor", "broken": ["ask", "the page"]}
    assert deployment.pid("web") != before


def test_a_service_that_nobody_restarts_is_never_healthy_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "HEAL_SECONDS", 0.5)
    engine = deployment.up(web={"actor": ["sleep"], "restart": "no"})
    found = kills.kill(probes(engine), "web")
    assert (found["noticed_by"], found["healthy_s"]) == ("", None)


def test_ports_and_memory_are_those_of_the_deployment_only(deployment: Deployment) -> None:
    port = 8091 + deployment.offset
    engine = deployment.up(web={"actor": ["serve", port], "restart": "always"}, other={"actor": ["sleep"]})
    assert until(lambda: usage.ports(engine)) == {port: False}
    assert len(engine.processes()) >= 3, "two services and their supervisor"
    assert 0 < usage.memory_mb(engine) < 200
