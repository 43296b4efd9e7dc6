"""Containers that outlive Docker's daemon are found, and their deployment is not started a second time beside them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.deployment.deployment import Deployment
from pantheon.engines.compose import survivors
from pantheon.errors import PantheonError
from pantheon.tiers import find
from tests.support.waiting import until


@pytest.fixture
def moving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment in containers, whose engine does not answer."""
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / "a home"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    deployment = Deployment("moving")
    deployment.update(tier="persephone", engine="compose")
    return deployment


@pytest.fixture
def container(moving: Deployment, tmp_path: Path) -> Iterator[int]:
    """A process with a folder of the deployment mounted in a mount namespace of its own, as in a container."""
    (place := tmp_path / "place").mkdir()
    script = f"mount --bind '{moving.state}/volumes' '{place}' && echo ready && exec sleep 600"
    command = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            pytest.skip("mounting needs root")
        try:
            yield process.pid
        finally:
            process.kill()


def test_processes_with_a_mounted_folder_of_the_deployment_are_found(moving: Deployment, container: int) -> None:
    until(lambda: survivors.find(moving.state) == {container: "sleep"})
    assert survivors.find(moving.state.parent / "other") == {}


def test_a_deployment_whose_containers_run_without_their_engine_does_not_move(
    moving: Deployment, container: int
) -> None:
    tier = find("persephone")
    with pytest.raises(PantheonError) as refused:
        moving.move_to(moving.engine(tier, "local"), tier)
    assert f"still write to {moving.state}, such as" in refused.value.cause
    assert f"(pid {container})" in refused.value.cause
    assert refused.value.cure == "Start it, then run the command again."


def test_a_deployment_without_containers_moves_although_their_engine_does_not_answer(
    moving: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    tier = find("persephone")
    moving.move_to(moving.engine(tier, "local"), tier)
    assert "When compose works again" in capsys.readouterr().err
