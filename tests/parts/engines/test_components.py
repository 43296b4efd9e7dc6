"""``WITHOUT=``: the services of a component are left out, on both engines, and added again."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.engines.compose.engine import ComposeEngine
from pantheon.engines.compose.project import write_override
from pantheon.engines.definition.resolve import Definition
from pantheon.engines.local.engine import LocalEngine
from pantheon.errors import PantheonError
from pantheon.processes import find
from tests.support.engines import Deployment

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
    return LocalEngine(deployment.options(without=names), lambda _: Path(sys.prefix))


def test_left_out_services_stop_and_start_again_and_the_others_keep_running(deployment: Deployment) -> None:
    deployment.up(**model())
    before = {name: status.pid for name, status in deployment.status().items()}
    assert set(before) == set(MODEL)
    engine = without(deployment, "airflow")
    engine.up()
    assert [service.name for service in engine.planned()] == ["lab", "page", "store"]
    after = {status.name: status.pid for status in engine.status()}
    assert after == {name: before[name] for name in ("lab", "page", "store")}
    assert not any(find(before[name]) for name in ("database", "scheduler"))
    deployment.engine().up()
    back = {name: status.pid for name, status in deployment.status().items()}
    assert set(back) == set(MODEL)
    assert {name: back[name] for name in after} == after


def test_leaving_out_a_component_of_another_tier_has_no_effect(deployment: Deployment) -> None:
    deployment.write(**model())
    assert len(without(deployment, "feast").planned()) == 5


@pytest.mark.parametrize("component", ["", "jupyter"])
def test_an_error_names_the_service_that_needs_a_left_out_one(deployment: Deployment, component: str) -> None:
    needing = {"depends_on": ["scheduler"], **({"x-component": component} if component else {})}
    deployment.write(**model(page=needing))
    with pytest.raises(PantheonError) as refused:
        without(deployment, "airflow").planned()
    own = f" (component {component})" if component else ""
    assert refused.value.cause == f"airflow cannot be left out: page{own} needs its service scheduler."
    assert refused.value.cure == ("Leave jupyter out too." if component else "Use WITHOUT=none to keep all components.")
    if component:
        assert [service.name for service in without(deployment, "airflow", "jupyter").planned()] == ["store"]


def definition(deployment: Deployment, *names: str) -> Definition:
    return ComposeEngine(deployment.options(without=names)).definition


def test_compose_reads_a_model_without_left_out_services(deployment: Deployment, tmp_path: Path) -> None:
    deployment.write(**model())
    resolved, override = definition(deployment, "airflow"), tmp_path / "override.yaml"
    whole = definition(deployment).resolve()
    first = resolved.resolve()
    assert set(first.services) == {"lab", "page", "store"}
    assert write_override(override, first, None, True)
    resolved.overrides.append(override)
    second = resolved.resolve()  # from now on, Compose only sees these services
    assert set(second.services) == set(first.services)
    assert not first.services["lab"]["depends_on"] and "depends_on" not in second.services["lab"]
    assert set(yaml.safe_load(resolved.run("config"))["services"]) == {"lab", "page", "store"}
    assert second.digest != whole.digest
    assert write_override(override, second, None, True), "the next command writes the same"
    assert resolved.resolve().digest == second.digest
    needing = model(page={"depends_on": ["scheduler"]})
    deployment.write(**needing)
    with pytest.raises(PantheonError, match="airflow cannot be left out: page needs"):
        definition(deployment, "airflow").resolve()


def test_destroy_stops_all_and_deletes_the_engines_files(deployment: Deployment) -> None:
    engine = deployment.up(page={"actor": ["sleep"]})
    pid = deployment.pid("page")
    engine.destroy()
    assert not find(pid)
    assert not (deployment.state / "local").exists()
    assert (deployment.state / "secrets" / "postgres").exists()
    engine.destroy()  # again: nothing to do
    deployment.engine().up()
    assert deployment.status()["page"].state == "running"
