"""A run in the deployment's repository is recorded once, usable with DVC commands, and restored exactly."""

import json
import re
import shutil
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from pantheon import versioning
from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.store import open_store
from pantheon.versioning import pipeline
from pantheon.versioning.record import Record, Recorded
from pantheon.workflow.run import Run
from tests.support.versioning import OWN, Deployment, content, figures, follow

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
DATA = ("data", "features", "candidates", "evaluation", "curves", "plots", "metrics.json", "tuning.json")


@pytest.fixture(scope="module")
def recorded(deployment: Deployment, trained: Run) -> Record:
    found: Record = read_json(trained.path("version_control.json"))
    return found


def test_a_run_is_recorded_before_its_model_is_deployed(deployment: Deployment, trained: Run) -> None:
    events = read_json(trained.path("events.json"))
    done = [event["stage"] for event in events if event.get("state") == "done"]
    assert done[-2:] == ["version_control", "deploy"] and set(done[:-2]) > set(pipeline.outputs())
    assert events[-1]["decision"] == "promoted"
    assert "testsecret" not in str(events)
    for event in events:
        if event.get("stage") == "version_control" and event["state"] == "done":
            print(f"recorded in {event['seconds']} s")
            assert event["summary"]["tag"] == f"run/{trained.id}"


def test_a_run_is_a_commit_with_its_data_in_s3(deployment: Deployment, trained: Run, recorded: Record) -> None:
    git, main = deployment.git, deployment.main
    assert git("status", "--porcelain") == ""
    assert recorded["commit"] == git("rev-parse", f"run/{trained.id}") == git.head()
    assert recorded["commit"] == deployment.history.commit_of("runs") == deployment.history.commit_of(recorded["tag"])
    assert recorded["remote"] == f"s3://{deployment.bucket}/dvc"
    value = figures(trained.path("metrics.json"))["held_out"]["roc_auc"]
    assert deployment.commits()[0] == f"robots: run {trained.id}, roc_auc {value:.4g}"
    assert content(main, *DATA)["data/train.parquet"] == trained.path("data/train.parquet").read_bytes()
    assert pipeline.read_params(main / "params.yaml") == trained.params
    assert (main / "spec.toml").read_bytes() == trained.path("spec.toml").read_bytes()
    assert (main / "extensions" / "mine.py").read_text() == OWN
    assert read_json(trained.path("version_control.json")) == recorded
    listed = deployment.server.client.list_objects_v2(Bucket=deployment.bucket, Prefix="dvc/files/md5/")["Contents"]
    there = {entry["Key"].removeprefix("dvc/files/md5/").replace("/", "") for entry in listed}
    assert recorded["data"]["path"] == "data/train.parquet"
    assert {recorded["data"]["md5"], recorded["files"]["evaluation"], recorded["files"]["data/source"]} <= there


def test_git_has_no_secret_and_no_data(deployment: Deployment, recorded: Record) -> None:
    git, main = deployment.git, deployment.main
    assert not [
        name for name in git.files() if name.endswith((".parquet", ".npz", ".joblib", ".csv", ".svg", ".local"))
    ]
    everything = git("log", "--all", "-p", "--format=fuller")
    assert "testsecret" not in everything and "testkey" not in everything
    keys = main / ".dvc" / "config.local"
    assert "testsecret" in keys.read_text() and stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert str(deployment.state) not in everything and "127.0.0.1" not in everything  # no place of this machine
    sizes = [int(line.split()[3]) for line in git("ls-tree", "-r", "-l", "HEAD").splitlines()]
    assert sum(sizes) < 60_000


def test_a_second_call_does_nothing(deployment: Deployment, trained: Run, recorded: Record) -> None:
    begin = time.perf_counter()
    assert versioning.record(trained) == Recorded(recorded, "")
    assert time.perf_counter() - begin < 10
    assert deployment.git.head() == recorded["commit"]


def test_a_run_already_recorded_is_reported(deployment: Deployment, recorded: Record) -> None:
    assert "Data and pipelines are up to date." in deployment.dvc("repro")
    assert deployment.git("status", "--porcelain") == ""


def test_dvc_commands_work_in_the_repository(deployment: Deployment, trained: Run, recorded: Record) -> None:
    """An experiment, its place in the table, what it changed; and its changes are not overwritten by the next run."""
    said = deployment.dvc("exp", "run", "-S", "train.trials=3", "-n", "three")
    assert "Stage 'train' didn't change, skipping" in said and "Running stage 'hyperparameter_tuning'" in said
    table = json.loads(deployment.dvc("exp", "show", "--json"))
    three = next(e["revs"][0] for row in table for e in row["experiments"] or [] if e["name"] == "three")
    assert three["data"]["params"]["params.yaml"]["data"]["train"]["trials"] == 3
    assert len(figures(deployment.main / "tuning.json")["families"]["linear"]["trials"]) == 3
    metrics = json.loads(deployment.dvc("metrics", "diff", "--json", "--all"))["scores.json"]
    assert metrics["roc_auc"]["old"] == figures(trained.path("scores.json"))["roc_auc"]
    assert 0.5 < metrics["roc_auc"]["new"] <= 1
    plots = json.loads(deployment.dvc("plots", "diff", "HEAD", "--json"))["data"]
    assert plots["curves/roc.csv"][0]["revisions"] == ["workspace", "HEAD"]
    assert len(plots["curves/roc.csv"][0]["content"]["data"]["values"]) > 20
    assert sorted(entry["revisions"][0] for entry in plots["plots/confusion_matrix.svg"]) == ["HEAD", "workspace"]

    before = content(deployment.main, "params.yaml", "dvc.lock", *DATA)
    found = deployment.record(deployment.finished("20260101-000000-0001"))
    assert re.fullmatch(
        r"The work tree repositories/main was not moved: changes are not committed: dvc\.lock, params\.yaml.*\. "
        r"To get the run: git stash && git merge deployment/runs && dvc checkout",
        found.note,
    )
    assert found.record["commit"] == deployment.history.commit_of("runs") != deployment.git.head()
    assert content(deployment.main, "params.yaml", "dvc.lock", *DATA) == before
    assert deployment.git.head() == recorded["commit"]
    follow(deployment, found.note)
    assert deployment.git.head() == found.record["commit"]
    assert (deployment.main / "tuning.json").read_text() == "tuning.json of 20260101-000000-0001"
    assert "three" in deployment.dvc("exp", "list", "--all-commits")
    assert deployment.git("stash", "list")


def test_a_version_is_restored_exactly_and_can_be_repeated(
    deployment: Deployment, trained: Run, recorded: Record, tmp_path: Path
) -> None:
    """Out of S3: the cache is empty. Then all stages again there: the same labels, the same metrics."""
    store, version = open_store(deployment.state), read_json(trained.path("outcome.json"))["version"]
    told = store.describe("robots", version).metadata["version_control"]
    assert told == {"commit": recorded["commit"], "data_md5": recorded["data"]["md5"]}
    lineage = read_json(store.get("robots", version) / "lineage.json")
    assert lineage["version_control"] == recorded
    shutil.rmtree(deployment.state / "repositories" / "cache")
    found = versioning.checkout(deployment.state, store, "robots", version)
    folder = Path(found["path"])
    assert (found["there"], found["commit"], found["warning"]) == (False, recorded["commit"], "")
    assert content(folder, *DATA) == content(trained.folder, *DATA) | content(folder, "data/source", "data/source.dvc")
    assert pipeline.read_params(folder / "params.yaml") == trained.params
    assert (folder / "extensions" / "mine.py").read_text() == OWN

    deployment.dvc("repro", "-f", folder=folder)
    with np.load(folder / "evaluation/test.npz") as again, np.load(trained.path("evaluation/test.npz")) as first:
        assert (again["chosen"].argmax(axis=1) == first["chosen"].argmax(axis=1)).all()
    assert figures(folder / "scores.json") == pytest.approx(figures(trained.path("scores.json")), abs=1e-9)
    assert content(folder, "data", "features") == content(trained.folder, "data", "features") | content(
        folder, "data/source", "data/source.dvc"
    )

    with pytest.raises(PantheonError, match="exists and has changes of yours"):
        versioning.checkout(deployment.state, store, "robots", version)
    shutil.rmtree(folder)
