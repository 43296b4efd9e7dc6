"""Folders that run are closed to other users, once; bytecode that they could write is deleted."""

import os
from pathlib import Path

import pytest

from pantheon.deployment import permissions


def clone(folder: Path) -> Path:
    """A clone with one environment, made and used with the umask 000."""
    packages = folder / ".pantheon" / "envs" / "cli" / "lib" / "packages"
    for inside in (packages, folder / "pantheon"):
        (inside / "__pycache__").mkdir(parents=True)
        (inside / "module.py").write_text("")
        (inside / "__pycache__" / "module.pyc").write_text("planted")
    (packages / "link").symlink_to(folder / "outside")
    (folder / "outside").write_text("")
    for path in sorted(folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777)
    return packages


def test_others_cannot_write_an_environment_and_their_bytecode_is_gone(tmp_path: Path) -> None:
    packages = clone(tmp_path)
    permissions.close(tmp_path / ".pantheon", tmp_path)
    own = tmp_path / ".pantheon"
    for path in [own, *own.rglob("*")]:
        assert path.is_symlink() or not path.stat().st_mode & 0o022, path
    assert not (packages / "__pycache__").exists()
    assert not (tmp_path / "pantheon" / "__pycache__").exists()
    assert (tmp_path / "pantheon" / "module.py").stat().st_mode & 0o022, "the clone's own files are the user's"
    assert (tmp_path / "outside").stat().st_mode & 0o022, "links are not followed"


def test_an_environment_is_checked_once(tmp_path: Path) -> None:
    packages = clone(tmp_path)
    permissions.close(tmp_path / ".pantheon", tmp_path)
    packages.chmod(0o777)
    permissions.close(tmp_path / ".pantheon", tmp_path)
    assert packages.stat().st_mode & 0o022


def test_a_folder_that_all_users_share_is_not_changed(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    permissions.close(shared, tmp_path)
    assert shared.stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750])
def test_permissions_of_an_open_folder_are_restricted(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    folder.chmod(mode)
    permissions.make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_new_folder_is_private_from_the_start(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        permissions.make_private(tmp_path / "new" / "d")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "d").stat().st_mode & 0o777 == 0o700
