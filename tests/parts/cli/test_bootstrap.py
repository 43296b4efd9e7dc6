"""``bin/bootstrap`` creates environments also where the home folder cannot be written."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.mark.parametrize("home", ["/dev/null/none", "/proc", None])
def test_an_environment_is_created_without_a_home_folder(tmp_path: Path, home: str | None) -> None:
    (tmp_path / "requirements").mkdir()
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    shutil.copy(ROOT / "requirements" / "uv.txt", tmp_path / "requirements")
    (tmp_path / "requirements" / "empty.txt").write_text("# no packages\n")
    (tmp_path / ".pantheon").mkdir()
    (tmp_path / ".pantheon" / "uv").symlink_to(ROOT / ".pantheon" / "uv")
    left_out = ("HOME", "UV_CACHE_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {"HOME": home} if home else {}
    done = subprocess.run(
        [tmp_path / "bin" / "bootstrap", "empty"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".pantheon" / "envs" / "empty" / "bin" / "python").exists()
    assert (tmp_path / ".pantheon" / "cache").is_dir()
