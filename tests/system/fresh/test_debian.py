"""The two commands of the README's quick start on a bare Debian, as root and as a user."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.engines.compose.client import DockerEngine
from tests.support import ROOT
from tests.support.compose import FOUND
from tests.support.debian import INSTALLED, RELEASES, image, machine
from tests.support.ports import free_port_offset
from tests.support.readme import commands

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    if not isinstance(FOUND, DockerEngine):
        pytest.skip(f"no Docker engine: {FOUND}")
    if os.getuid() != 0 or not shutil.which("debootstrap") or not shutil.which("apt-get"):
        pytest.skip("only root on a Debian system with debootstrap can make a Debian system")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", FOUND.host)
        yield


def test_the_readme_names_the_packages_that_the_machines_have() -> None:
    assert f"`apt-get install {INSTALLED.replace(',', ' ')}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("user", ["root", "rob"])
@pytest.mark.parametrize("release", list(RELEASES))
def test_the_first_two_commands_of_the_readme_work(tmp_path: Path, release: str, user: str) -> None:
    first = commands(ROOT / "README.md")[:2]
    assert "up" in first[0] and "predict" in first[1]
    with machine(image(release, tmp_path), user, free_port_offset()) as here:
        up, predict = (here.do(line) for line in first)
        assert up.returncode == 0, up.stdout + up.stderr
        assert "robots version 1 is deployed" in up.stdout + up.stderr
        assert predict.returncode == 0, predict.stdout + predict.stderr
        assert "Bad Condition" in predict.stdout
        version = here.do(".pantheon/envs/workflow/bin/python --version").stdout
        assert version.startswith(f"Python {RELEASES[release]}."), version
        again = here.do(first[0])
        assert "creating the environment" not in again.stderr
        down = here.do(first[0].replace(" up", " down"))
        assert down.returncode == 0, down.stderr
