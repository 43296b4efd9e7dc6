"""One deployment changes while it is up, and several commands or deployments do not get into each other's way."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines.processes import find
from pantheon.errors import PantheonError

from .conftest import Deployment, until
from .test_nothing_left import script

pytestmark = pytest.mark.slow


def sleeper(**more: Any) -> dict[str, Any]:
    return {"actor": ["sleep"], **more}


def test_only_what_changed_is_restarted_what_is_new_starts_and_what_is_gone_stops(deployment: Deployment) -> None:
    deployment.up(same=sleeper(), changed=sleeper(), gone=sleeper())
    before = {name: status.pid for name, status in deployment.status().items()}
    deployment.up(same=sleeper(), changed=sleeper(environment={"NEW": "1"}), new=sleeper(depends_on=["same"]))
    after = {name: status.pid for name, status in deployment.status().items()}
    assert set(after) == {"same", "changed", "new"}
    assert after["same"] == before["same"]
    assert after["changed"] != before["changed"]
    assert find(before["gone"]) is None and find(before["changed"]) is None


def test_a_new_dependency_does_not_restart_a_service(deployment: Deployment) -> None:
    deployment.up(web=sleeper())
    pid = deployment.pid("web")
    deployment.up(web=sleeper(depends_on=["database"]), database=sleeper())
    assert deployment.pid("web") == pid


def test_up_waits_for_the_new_service_where_the_old_one_takes_its_time_to_stop(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.up(web={"actor": ["stubborn", tmp_path / "ready"], "stop_grace_period": "400ms"})
    until((tmp_path / "ready").exists)
    before = deployment.pid("web")
    deployment.up(web=sleeper())
    assert deployment.pid("web") not in (0, before)


def test_a_change_back_while_the_service_still_stops_is_honoured(deployment: Deployment, tmp_path: Path) -> None:
    stubborn = {"actor": ["stubborn", tmp_path / "ready"], "stop_grace_period": "400ms"}
    deployment.up(web=dict(stubborn))
    until((tmp_path / "ready").exists)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(deployment.up, web=sleeper())
        until(lambda: "is being replaced" in deployment.status()["web"].why)
        deployment.up(web=dict(stubborn))
        first.result()
    assert deployment.status()["web"].state == "running"
    assert b"stubborn" in Path(f"/proc/{deployment.pid('web')}/cmdline").read_bytes()


def test_two_ups_at_once_start_each_service_once(deployment: Deployment, tmp_path: Path) -> None:
    deployment.write(
        migrate={"actor": ["once", tmp_path / "runs"]},
        web=sleeper(depends_on={"migrate": {"condition": "service_completed_successfully"}}),
    )
    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(deployment.engine().up) for _ in range(3)]:
            future.result()
    assert (tmp_path / "runs").read_text() == "ran\n"
    assert sum("actor.py sleep" in line for line in deployment.left()) == 1


def test_two_deployments_run_side_by_side(deployments: Callable[[str], Deployment]) -> None:
    one, two = deployments("one"), deployments("two")
    for each in (one, two):
        each.up(
            web={"actor": ["serve", 8091 + each.offset], "ports": ["127.0.0.1:${WEB_PORT:-8091}:${WEB_PORT:-8091}"]}
        )
    assert one.status()["web"].address != two.status()["web"].address
    pid = two.pid("web")
    one.kill_supervisor()
    one.engine().down()
    assert one.left() == []
    assert two.pid("web") == pid
    assert two.status()["web"].state == "running"


def test_a_deployment_started_from_inside_another_ones_service_outlives_it(
    deployments: Callable[[str], Deployment],
) -> None:
    outer, inner = deployments("outer"), deployments("inner")
    inner.write(web=sleeper())
    outer.up(shell={"command": [word.replace("$", "$$") for word in script(inner, "up")]})
    until(lambda: inner.status().get("web") and inner.pid("web"))
    outer.engine().down()
    assert inner.status()["web"].state == "running"


def test_a_port_that_is_taken_is_named_with_its_holder_and_a_free_offset(
    deployments: Callable[[str], Deployment],
) -> None:
    one, two = deployments("one"), deployments("two")
    two.offset = one.offset
    model = {"actor": ["serve", 8091 + one.offset], "ports": ["127.0.0.1:${WEB_PORT:-8091}:${WEB_PORT:-8091}"]}
    one.up(web=dict(model))
    until(lambda: one.status()["web"].state == "running")
    with pytest.raises(PantheonError) as caught:
        until(lambda: two.up(web=dict(model)))  # until one's process listens, two would get the port
    error = caught.value
    assert f"Port {8091 + one.offset} of web is taken by pid {one.pid('web')} (" in error.cause
    assert "actor.py serve" in error.cause
    assert "use PORT_OFFSET=" in error.cure
    assert two.status() == {}


def test_the_users_own_port_wins_over_the_offset(
    deployment: Deployment, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_PORT", str(port))
    deployment.offset = 7
    deployment.up(web={"actor": ["serve", port], "ports": ["127.0.0.1:${WEB_PORT:-8091}:${WEB_PORT:-8091}"]})
    assert deployment.status()["web"].address == f"127.0.0.1:{port}"


def test_a_service_gets_its_own_environment_and_only_what_is_needed_of_ours(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PASSWORD", "not for services")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/company.pem")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    deployment.up(web=sleeper(environment={"OWN": "a$$b c", "EMPTY": ""}, **{"x-local": {"environment": {"LOCAL": 1}}}))
    raw = Path(f"/proc/{deployment.pid('web')}/environ").read_bytes().decode().strip("\0").split("\0")
    found = dict(entry.partition("=")[::2] for entry in raw)
    assert (found["OWN"], found["EMPTY"], found["LOCAL"]) == ("a$b c", "", "1")
    assert found["SSL_CERT_FILE"] == "/etc/ssl/company.pem"
    assert found["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "127.0.0.1" in found["NO_PROXY"]
    assert found["PATH"].split(":")[0] == f"{sys.prefix}/bin" == found["VIRTUAL_ENV"] + "/bin"
    assert not {"MY_PASSWORD", "PYTHONDONTWRITEBYTECODE"} & set(found)
