"""One deployment of the last tier, for the tests of this folder, on a disk of its own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.climb import BUILT
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon

SIZE = 4 * 1024**3  # of the disk for the state folder, in bytes; SeaweedFS needs room for its volumes


@pytest.fixture(scope="package")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own, so that a test can fill it: a file system in a sparse file."""
    image, folder = tmp_path_factory.mktemp("image") / "disk", tmp_path_factory.mktemp("disk")
    with image.open("wb") as file:
        file.truncate(SIZE)
    for command in (["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting a small disk needs root and loop devices: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        image.unlink()


@pytest.fixture(scope="package")
def deployment(disk: Path) -> Iterator[Pantheon]:
    made = make_pantheon(disk / "home", TRIALS="1")
    try:
        made("up", BUILT[-1], timeout=600)
        yield made
    finally:
        made("down")
    assert_nothing_left(made.home)
