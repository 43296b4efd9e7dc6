"""A folder that a container replaced by a link is not mounted: Docker would mount what the link names."""

from pathlib import Path

import pytest

from pantheon.engines.compose import project
from pantheon.errors import PantheonError


def test_a_mounted_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "d1"
    (state / "repositories").mkdir(parents=True)
    sources = [state / "repositories", state / "repositories" / "main.git", state / "new"]
    project.check_sources(sources, state)
    (state / "repositories" / "main.git").symlink_to("/")
    with pytest.raises(PantheonError, match=r"main\.git is a link, and a container mounts it"):
        project.check_sources(sources, state)
    (state / "repositories" / "main.git").unlink()
    (state / "repositories").rmdir()
    (state / "repositories").symlink_to("/etc")
    with pytest.raises(PantheonError, match="repositories is a link"):
        project.check_sources(sources[1:], state)


def test_a_deployment_may_be_below_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "d1" / "runs").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    project.check_sources([tmp_path / "home" / "d1" / "runs"], tmp_path / "home" / "d1")
