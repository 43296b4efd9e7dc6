"""The command line opens no files that containers write, even when it sends files or moves models."""

from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.bundles import bundle
from tests.support.closed_folders import guarded
from tests.support.compose import Composed

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.usefixtures("stand_in")
def test_a_file_a_model_notebooks_and_the_store_in_containers(composed: Composed, tmp_path: Path) -> None:
    file = ("--data", str(ROOT / "datasets" / "churn.csv"), "--target", "churned")
    first = guarded(composed, "up", "zeus", "--without", "airflow", *file, timeout=400)
    assert "notebook · evaluate" in first.err
    assert "churn version 1 is deployed" in first.err
    copy = composed.state / "data" / "churn.csv"
    assert copy.read_bytes() == (ROOT / "datasets" / "churn.csv").read_bytes()
    theirs = str(bundle(tmp_path / "theirs"))
    assert guarded(composed, "models", "publish", theirs, "--model", "theirs", "--json").json["version"] == "1"
    files = composed.files()
    for name in (".store.gate", ".store.lock"):  # an older Pantheon's, in a folder that containers cannot write to
        (composed.state / "state" / name).touch()
    moved = guarded(composed, "up", "nemesis", "--without", "airflow,jupyter", "--no-run", timeout=300)
    assert "2 versions, checksums match" in moved.err
    composed("down")
    back = guarded(composed, "up", "persephone", "--no-run", timeout=300)
    assert "2 versions, checksums match" in back.err
    assert files.items() <= composed.files().items()  # the way through S3 leaves a cache
