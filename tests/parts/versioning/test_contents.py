"""The contents that a run adds to the repository: source, stages, parameters and links; and the messages."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from pantheon import versioning
from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.store import FolderStore
from pantheon.versioning import contents, launch, pipeline
from pantheon.versioning.commands import Git
from pantheon.versioning.record import Record
from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support.versioning import SPEC, Deployment, everything


def test_a_users_file_is_kept_as_the_run_read_it(light: Deployment, clean: Git) -> None:
    file = light.state / "data" / "my robots.csv"
    whole = b"robot-id,rust\n1,2\n"
    file.write_bytes(whole)
    spec = SPEC.replace('kind = "generator"', 'kind = "file"').replace(
        'name = "robots"\nrows', 'path = "my robots.csv"\nrows'
    )
    assert 'path = "my robots.csv"' in spec
    run = light.finished("20260101-000200-0000", spec)
    write_json(run.path("reports/load_data.json"), {"sha256": hashlib.sha256(whole).hexdigest()})
    file.write_bytes(whole + b"3,4\n")
    before, head = everything(light), clean.head()
    with pytest.raises(PantheonError, match="has changed since run 20260101-000200-0000 loaded it"):
        versioning.record(run)
    assert (everything(light), clean.head()) == (before, head)
    file.write_bytes(whole)
    found = light.record(run).record
    source = light.main / "data" / "source" / "my robots.csv"
    assert source.read_bytes() == whole and found["files"]["data/source"].endswith(".dir")
    assert file.stat().st_mode & 0o200 and not source.stat().st_mode & 0o200
    file.write_bytes(b"written over in place")  # no link of ours leads to it
    assert source.read_bytes() == whole
    assert not [name for name in clean.files() if name.endswith(".csv")]


def test_pycarets_stages_are_recorded_as_such(light: Deployment, clean: Git) -> None:
    """DVC does not pretend that it can repeat them; what an older Pantheon has not written is left out."""
    run = light.finished("20260101-000300-0000")
    shutil.rmtree(run.path("curves"))
    write_json(run.path("pycaret/options.json"), {"train": {"include": ["gbc"]}})
    run.mark(structs.replace(run.records()["train"], by="PyCaret"))
    (run.path("evaluation") / "chosen.onnx").write_bytes(b"onnx")
    found = light.record(run).record
    assert "curves" not in found["files"] and not (light.main / "curves").exists()
    assert "gbc" in clean("show", f"{found['commit']}:pycaret/options.json")
    assert (light.main / "evaluation" / "chosen.onnx").read_bytes() == b"onnx"
    done = subprocess.run(
        [ROOT / "pantheon/versioning/bin/pantheon-stage", "train"],
        cwd=light.main,
        env=light.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and "train was done by PyCaret" in done.stderr and "Traceback" not in done.stderr


def test_checkout_of_a_version_from_an_earlier_tier_reports_what_was_recorded(
    light: Deployment, first: Record, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"onnx")
    data = {"name": "robots", "sha256": "0123456789abcdef"}
    version = store.publish("robots", tmp_path / "bundle", {"run": "20250101-000000-0000", "data": data})
    with pytest.raises(
        PantheonError, match=r"before this deployment had DVC.*run 20250101-000000-0000, data robots with sha256 0123"
    ):
        versioning.checkout(light.state, store, "robots", version)


def test_the_launcher_reports_where_dvc_can_run(light: Deployment, tmp_path: Path) -> None:
    assert "is not in a deployment" in light.dvc("repro", folder=tmp_path, check=False)
    write_json(tmp_path / "state" / "deployment.json", {"tier": "zeus", "engine": "local"})
    assert "make tier-odysseus up" in light.dvc("repro", folder=tmp_path, check=False)
    planted = light.main / "planted"  # a service can make a folder that looks like a deployment
    write_json(planted / "state" / "deployment.json", {"tier": "odysseus", "engine": "local"})
    assert launch.state_of(planted) == launch.state_of(planted / "state") == light.state
    shutil.rmtree(planted)
    from pantheon.deployment import versions

    assert versions.inside(light.state, light.main / "data") == Path("repositories/main/data")
    assert versions.inside(light.state, tmp_path) == Path("repositories/main")
    assert not versioning.enabled(tmp_path)
    assert versioning.record(Run(tmp_path / "runs" / "20260101-000000-0000")) is None


def test_parameters_are_written_in_groups(tmp_path: Path) -> None:
    path, params = tmp_path / "params.yaml", Params(trials=3, metric="f1", time_limit=60.0)
    path.write_text(pipeline.params_text(params))
    assert pipeline.read_params(path) == params
    assert pipeline.params_text(params, path.read_text()) == path.read_text()
    path.write_text("train: {trials: many}\n")
    with pytest.raises(PantheonError, match="trials must be a whole number"):
        pipeline.read_params(path)


def test_files_are_hard_linked_or_else_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    contents.link(source, tmp_path / "a" / "linked")
    contents.copy(source, tmp_path / "b" / "copied")
    assert (tmp_path / "a" / "linked").samefile(source) and not (tmp_path / "b" / "copied").samefile(source)
    assert (tmp_path / "b" / "copied").read_bytes() == source.read_bytes()


def test_a_group_of_parameters_that_is_not_a_mapping_is_rejected() -> None:
    with pytest.raises(PantheonError, match=r"train in params.yaml must be a group of parameters") as error:
        pipeline.params_text(Params(), "train: 5\n")
    assert "trials" in error.value.cure
