"""In containers, a deployment grows under load to the last tier without lost requests or replaced services."""

import json
from pathlib import Path

import pytest

from pantheon.engines import Options
from pantheon.engines.compose import images
from pantheon.engines.compose.client import Api
from pantheon.engines.compose.engine import ComposeEngine
from pantheon.tiers import ROOT, find
from tests.support.agreement import differences, experiments
from tests.support.climb import BUILT
from tests.support.command_line import make_pantheon
from tests.support.compose import Composed
from tests.support.compose_climb import AIRFLOW, DONE, EVERY, LAST, Climb, running
from tests.support.compose_keys import HONOURED

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]


def test_no_request_is_lost_while_it_grows_and_the_button_is_never_replaced(climb: Climb) -> None:
    assert climb.load.lost == []
    assert climb.load.refusals + climb.load.predictions > 200
    assert len(set(climb.buttons)) == 1


def test_versions_and_aliases_are_migrated_to_s3(climb: Climb) -> None:
    first, *others = climb.models[: BUILT.index("nemesis") + 1]  # nothing was published on the way there
    assert first
    assert all(models == first for models in others)
    last = climb.models[BUILT.index(LAST)]
    assert all(last[name] == version for name, version in first.items() if name[-1].isdigit()), (
        "what was published stays"
    )


def test_data_models_runs_and_notebooks_are_kept(climb: Climb) -> None:
    assert any(name.startswith("models/") for name in climb.files[0])
    assert "notebooks/mine.ipynb" in climb.files[0]
    for before, after in zip(climb.files, climb.files[1:], strict=False):
        assert before.items() <= after.items()


def test_up_first_prints_what_it_adds(climb: Climb) -> None:
    said = climb.said[2].err
    assert "growing in place: daedalus → prometheus" in said
    (adds,) = [line for line in said.splitlines() if line.startswith("  adds")]
    assert all(name in adds for name in AIRFLOW)


def test_runs_through_airflow_jupyter_and_kubeflow_end_with_the_model_that_the_local_engine_makes(
    climb: Climb, tmp_path: Path
) -> None:
    local = make_pantheon(tmp_path / "local", TRIALS="1")
    try:
        local("up", "persephone", "--no-run", "--data", "wine")
        run = local.state / "runs" / local("run", "--json").json["run"]
        wanted = json.loads((run / "metrics.json").read_text())
    finally:
        local("down")
    for tier in ("persephone", "nemesis", LAST):
        assert climb.outcomes[tier]["decision"] in ("promoted", "refused")
        assert (climb.run(tier) / "bundle" / "model.onnx").stat().st_size > 0
        assert json.loads((climb.run(tier) / "run.json").read_text())["tier"] == tier
        found = json.loads((climb.run(tier) / "metrics.json").read_text())
        assert list(differences(wanted, found)) == []
    assert (climb.run(LAST) / "version_control.json").exists()
    assert experiments(climb.run(LAST)), "Katib's Experiments tune"
    executed = [json.loads(path.read_text()) for path in (climb.run("nemesis") / "notebooks").glob("*.ipynb")]
    assert len(executed) >= 5
    assert all(any(cell.get("outputs") for cell in notebook["cells"]) for notebook in executed)


def test_exactly_the_services_of_the_tier_are_healthy(last: Composed, docker: Api) -> None:
    states = {service["name"]: service["state"] for service in last("status", "--json").json["services"]}
    assert states == dict.fromkeys(EVERY, "healthy") | dict.fromkeys(DONE, "completed")
    assert running(docker, last) == EVERY


def test_a_killed_scheduler_restarts(climb: Climb) -> None:
    """Before the run at the last tier, which the one that came back led."""
    before, after = climb.schedulers
    assert after["Id"] == before["Id"]
    assert after["State"]["Pid"] != before["State"]["Pid"]
    assert after["RestartCount"] == before["RestartCount"] + 1


def test_the_engine_applies_every_key_that_the_compose_files_use(last: Composed, docker: Api) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for image in ("POSTGRES_IMAGE", "S3_IMAGE", "VALKEY_IMAGE"):
            patch.setenv(image, last.settings[image])
        options = Options(last.name, last.state, find(LAST).compose_file, ROOT, last.offset, ("evidently",))
        engine = ComposeEngine(options, images.tags())
    for name, service in engine.resolved().started.items():
        found = last.inspect(docker, name)
        if "deploy" in service and "ports" in service:  # another container keeps the port open
            found["HostConfig"]["PortBindings"] = last.inspect(docker, f"{name}-port")["HostConfig"]["PortBindings"]
        broken = [key for key, wanted in service.items() if key in HONOURED and not HONOURED[key](found, wanted)]
        assert (name, broken) == (name, [])
