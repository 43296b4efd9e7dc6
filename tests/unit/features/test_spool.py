"""The spool of pushes."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.features.pushed import Pushed
from pantheon.features.spool import Pushes, Spool, read

ROWS = [Pushed("7", -1, {"age": 1 / 3, "bolts": 2**63 - 1, "text": "ä\n", "none": None}, 5)]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new")
    assert spool.empty
    spool.append(Pushes("robots", ROWS))
    spool.append(Pushes("wine", ROWS * 2))
    assert not spool.empty
    (segment,) = spool.closed()
    assert [(each.view, each.rows) for each in read(segment)] == [("robots", ROWS), ("wine", ROWS * 2)]
    spool.append(Pushes("robots", ROWS))
    assert len(spool.closed()) == 2
    spool.remove(segment)
    assert len(spool.closed()) == 1


def test_what_a_killed_process_left_is_read_up_to_an_unfinished_line(tmp_path: Path) -> None:
    Spool(tmp_path).append(Pushes("robots", ROWS))  # not closed
    (segment,) = Spool(tmp_path).closed() or tmp_path.iterdir()
    whole = segment.read_bytes()
    for length in range(len(whole) - 1):
        segment.write_bytes(whole + whole[:length])
        assert len(list(read(segment))) == 1


def test_damage_is_not_passed_over(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(Pushes("robots", ROWS))
    spool.append(Pushes("robots", ROWS))
    (segment,) = spool.closed()
    content = segment.read_bytes()
    segment.write_bytes(content.replace(b'"7"', b'"8"', 1))
    with pytest.raises(PantheonError, match=r"line 1 of .* is damaged"):
        list(read(segment))


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=300)
    spool.append(Pushes("robots", ROWS))
    with pytest.raises(PantheonError, match=r"the spool .* is full"):
        spool.append(Pushes("robots", ROWS * 3))
    assert sum(len(list(read(segment))) for segment in spool.closed()) == 1


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process can be larger: the disk is full in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_is_left_of_a_push_that_did_not_fit_on_the_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(Pushes("robots", ROWS))
    (segment,) = tmp_path.iterdir()
    size = segment.stat().st_size
    with files_up_to(2 * size + 10):
        with pytest.raises(PantheonError, match="is full"):
            spool.append(Pushes("robots", ROWS * 3))
        assert segment.stat().st_size == size
        spool.append(Pushes("robots", ROWS))
    (segment,) = spool.closed()
    assert len(list(read(segment))) == 2
