"""Every way to run a stage uses the feature store where the deployment's route says so, and only there."""

from pathlib import Path

import pytest

from pantheon import notebook, worker
from pantheon.errors import PantheonError
from pantheon.features.client import Features
from pantheon.state import Route, Settings, write_settings
from pantheon.workflow import graph
from tests.support.feature_runs import UNTIL_TRAIN, Deployment
from tests.unit.features.test_stages import observations, robots


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    made = Deployment(tmp_path / "state", robots())
    monkeypatch.setattr(Features, "here", lambda: made.features)
    write_settings(made.state, Settings(route=Route(features="feast")))
    return made


def test_a_notebook_cell_stores_features(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    run = deployment.run(observations(), trained=False)
    for name in UNTIL_TRAIN[:-1]:
        notebook.stage(run, name)
    assert "! the feature store: features are looked up by 'robot-id'" in capsys.readouterr().out
    assert list(deployment.features.views) == ["robots"]
    work = graph.Other("pycaret", lambda run: {"by_hand": 1})
    notebook.stage(run, "train", other=work)
    assert notebook.is_current(run, "train", "pycaret")
    assert len(deployment.features.services) == 1
    notebook.stage(run, "train", other=work)  # skipped: it is done
    assert "train: done" in capsys.readouterr().out


@pytest.mark.parametrize("runner", sorted(graph.RUNNERS))
def test_runners_store_features(runner: str, deployment: Deployment) -> None:
    run = deployment.run(observations(), trained=False)
    events: list[str] = []
    hook = worker.hook(deployment.state)
    graph.RUNNERS[runner](run, None, lambda event: events.append(event["stage"]), "feature_engineering", hook)  # type: ignore[arg-type]
    assert events[-1] == "feature_engineering"
    assert list(deployment.features.views) == ["robots"]


def test_other_tiers_have_no_hook(tmp_path: Path) -> None:
    assert worker.hook(tmp_path) is None
    write_settings(tmp_path, Settings(route=Route()))
    assert worker.hook(tmp_path) is None


def test_a_process_that_does_not_know_the_store_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Deployment(tmp_path / "state", robots())
    write_settings(made.state, Settings(route=Route(features="feast")))
    monkeypatch.delenv("FEATURES_URL", raising=False)
    run = made.run(observations(), trained=False)
    for name in UNTIL_TRAIN[:4]:
        notebook.stage(run, name)
    with pytest.raises(PantheonError, match="FEATURES_URL or FEATURES_KEY_FILE is not set") as caught:
        notebook.stage(run, "feature_engineering")
    assert f"run --resume {run.id}" in caught.value.cure
