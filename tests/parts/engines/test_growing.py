"""A deployment changes while it is up, and concurrent commands and deployments do not interfere."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines import ports
from pantheon.errors import PantheonError
from pantheon.processes import find
from tests.parts.engines.test_nothing_left import script
from tests.support.engines import Deployment
from tests.support.waiting import until


def sleeper(**more: Any) -> dict[str, Any]:
    return {"actor": ["sleep"], **more}


def test_changed_services_restart_new_ones_start_and_removed_ones_stop(deployment: Deployment) -> None:
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


def test_up_waits_for_the_new_service_if_the_old_one_stops_slowly(deployment: Deployment, tmp_path: Path) -> None:
    deployment.up(web={"actor": ["stubborn", tmp_path / "ready"], "stop_grace_period": "400ms"})
    until((tmp_path / "ready").exists)
    before = deployment.pid("web")
    deployment.up(web=sleeper())
    assert deployment.pid("web") not in (0, before)


def test_a_change_can_be_reverted_while_the_service_still_stops(deployment: Deployment, tmp_path: Path) -> None:
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


def test_two_concurrent_ups_start_every_service_once(deployment: Deployment, tmp_path: Path) -> None:
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
    for deployment in (one, two):
        deployment.up(
            web={
                "actor": ["serve", 8091 + deployment.offset],
                "ports": ["127.0.0.1:${WEB_PORT:-8091}:${WEB_PORT:-8091}"],
            }
        )
    assert one.status()["web"].address != two.status()["web"].address
    pid = two.pid("web")
    one.kill_supervisor()
    one.engine().down()
    assert one.left() == []
    assert two.pid("web") == pid
    assert two.status()["web"].state == "running"


def test_a_deployment_started_by_a_service_of_another_one_outlives_it(
    deployments: Callable[[str], Deployment],
) -> None:
    outer, inner = deployments("outer"), deployments("inner")
    inner.write(web=sleeper())
    outer.up(shell={"command": [word.replace("$", "$$") for word in script(inner, "up")]})
    until(lambda: inner.status().get("web") and inner.pid("web"))
    outer.engine().down()
    assert inner.status()["web"].state == "running"


def test_a_port_in_use_is_reported_with_the_process_and_a_free_offset(
    deployments: Callable[[str], Deployment],
) -> None:
    one, two = deployments("one"), deployments("two")
    two.offset = one.offset
    model = {"actor": ["serve", 8091 + one.offset], "ports": ["127.0.0.1:${WEB_PORT:-8091}:${WEB_PORT:-8091}"]}
    one.up(web=dict(model))
    until(lambda: not ports.is_free(8091 + one.offset))
    with pytest.raises(PantheonError) as caught:
        two.up(web=dict(model))
    error = caught.value
    assert f"Port {8091 + one.offset} of web is in use by pid {one.pid('web')} (" in error.cause
    assert "actor.py serve" in error.cause
    assert "use PORT_OFFSET=" in error.cure
    assert two.status() == {}


def test_the_users_own_port_takes_precedence_over_the_offset(
    deployment: Deployment, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_PORT", str(port))
    deployment.offset = 7
    deployment.up(web={"actor": ["serve", port], "ports": ["127.0.0.1:${WEB_PORT:-8091}:${WEB_PORT:-8091}"]})
    assert deployment.status()["web"].address == f"127.0.0.1:{port}"


def test_a_service_inherits_only_the_necessary_variables(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PASSWORD", "not for services")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/company.pem")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    deployment.up(web=sleeper(environment={"OWN": "a$$b c", "EMPTY": ""}, **{"x-local": {"environment": {"LOCAL": 1}}}))
    raw = Path(f"/proc/{deployment.pid('web')}/environ").read_bytes().decode().strip("\0").split("\0")
    variables = dict(entry.partition("=")[::2] for entry in raw)
    assert (variables["OWN"], variables["EMPTY"], variables["LOCAL"]) == ("a$b c", "", "1")
    assert variables["SSL_CERT_FILE"] == "/etc/ssl/company.pem"
    assert variables["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "127.0.0.1" in variables["NO_PROXY"]
    assert variables["PATH"].split(":")[0] == f"{sys.prefix}/bin" == variables["VIRTUAL_ENV"] + "/bin"
    assert not {"MY_PASSWORD", "PYTHONDONTWRITEBYTECODE"} & set(variables)
