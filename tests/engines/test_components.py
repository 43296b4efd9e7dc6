"""``WITHOUT=``: the services of a component are left out, on either engine, and taken back."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.engines.docker_model import Project, write_override
from pantheon.engines.local import LocalEngine
from pantheon.engines.processes import find
from pantheon.errors import PantheonError

from .conftest import ROOT, Deployment

MODEL: dict[str, dict[str, Any]] = {
    "database": {"actor": ["sleep"], "x-component": "airflow"},
    "scheduler": {"actor": ["sleep"], "x-component": "airflow", "depends_on": ["database"]},
    "lab": {
        "actor": ["sleep"],
        "x-component": "jupyter",
        "depends_on": {"scheduler": {"condition": "service_started", "required": False}},
    },
    "page": {"actor": ["sleep"]},
    "store": {"actor": ["sleep"]},
}


def model(**more: Any) -> dict[str, Any]:
    return {name: {**service, **more.get(name, {})} for name, service in MODEL.items()}


def without(deployment: Deployment, *names: str) -> LocalEngine:
    made = deployment.local()
    return LocalEngine(
        made.place.name, deployment.state, deployment.file, ROOT, made.environments, deployment.offset, without=names
    )


@pytest.mark.slow
def test_what_is_left_out_is_stopped_and_taken_back_and_the_rest_never_notices(deployment: Deployment) -> None:
    deployment.up(**model())
    before = {name: status.pid for name, status in deployment.status().items()}
    assert set(before) == set(MODEL)
    engine = without(deployment, "airflow")
    engine.up()
    assert [each.name for each in engine.planned()] == ["lab", "page", "store"]
    after = {status.name: status.pid for status in engine.status()}
    assert after == {name: before[name] for name in ("lab", "page", "store")}
    assert not any(find(before[name]) for name in ("database", "scheduler"))
    deployment.engine().up()
    back = {name: status.pid for name, status in deployment.status().items()}
    assert set(back) == set(MODEL)
    assert {name: back[name] for name in after} == after


def test_a_component_of_another_tier_is_nothing_to_leave_out(deployment: Deployment) -> None:
    deployment.write(**model())
    assert len(without(deployment, "feast").planned()) == 5


@pytest.mark.parametrize("component", ["", "jupyter"])
def test_a_service_that_stays_and_needs_one_that_is_left_out_is_named(deployment: Deployment, component: str) -> None:
    needing = {"depends_on": ["scheduler"], **({"x-component": component} if component else {})}
    deployment.write(**model(page=needing))
    with pytest.raises(PantheonError) as refused:
        without(deployment, "airflow").planned()
    own = f" (component {component})" if component else ""
    assert refused.value.cause == f"airflow cannot be left out: page{own} needs its service scheduler."
    assert refused.value.cure == ("Leave jupyter out too." if component else "Take it back: WITHOUT=none.")
    if component:
        assert [each.name for each in without(deployment, "airflow", "jupyter").planned()] == ["store"]


def project(deployment: Deployment, *names: str) -> Project:
    return Project(
        deployment.name, deployment.state, deployment.file, 0, {}, {}, "", lambda _: None, [], frozenset(names)
    )


def test_compose_itself_reads_a_model_without_them(deployment: Deployment, tmp_path: Path) -> None:
    deployment.write(**model())
    asked, override = project(deployment, "airflow"), tmp_path / "override.yaml"
    whole = project(deployment).resolve()
    first = asked.resolve()
    assert set(first.services) == {"lab", "page", "store"}
    assert write_override(override, first, None, True, asked.left_out)
    asked.overrides.append(override)
    second = asked.resolve()  # from now on Compose sees no more than these
    assert set(second.services) == set(first.services)
    assert not first.services["lab"]["depends_on"] and "depends_on" not in second.services["lab"]
    assert set(yaml.safe_load(asked.run("config"))["services"]) == {"lab", "page", "store"}
    assert second.digest != whole.digest
    assert write_override(override, second, None, True, asked.left_out), "the next command writes the same"
    assert asked.resolve().digest == second.digest
    needing = model(page={"depends_on": ["scheduler"]})
    deployment.write(**needing)
    with pytest.raises(PantheonError, match="airflow cannot be left out: page needs"):
        project(deployment, "airflow").resolve()


@pytest.mark.slow
def test_destroy_stops_all_and_keeps_nothing_of_the_engines_own(deployment: Deployment) -> None:
    engine = deployment.up(page={"actor": ["sleep"]})
    pid = deployment.pid("page")
    engine.destroy()
    assert not find(pid)
    assert not (deployment.state / "local").exists()
    assert (deployment.state / "secrets" / "postgres").exists()
    engine.destroy()  # again: nothing to do
    deployment.engine().up()
    assert deployment.status()["page"].state == "running"
