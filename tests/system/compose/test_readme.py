"""Every command of the README that needs Docker, run in order."""

from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.compose import Composed
from tests.support.readme import commands

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(600)]


def test_every_command_of_the_readme_works_in_containers(composed: Composed, stand_in: None, tmp_path: Path) -> None:
    lines = commands(ROOT / "README.md", "sh docker")
    assert any("ENGINE=compose" in line for line in lines)
    for line in lines:  # not compressed: two gigabytes take a minute, and test_images.py looks at that
        composed.command(["bash", "-euc", line.replace("images.tar.gz", str(tmp_path / "images.tar"))], timeout=300)
