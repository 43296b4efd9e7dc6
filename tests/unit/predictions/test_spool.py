"""The spool: every acknowledged record is in a segment, once; a full one says so and recovers."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from pantheon.predictions import spool as module
from pantheon.predictions.frames import Damage, read, scan
from pantheon.predictions.segments import PART, finished, segments
from pantheon.predictions.spool import NotLogged, Spool, SpoolFull
from tests.support.predictions import answer, answered, rows, said
from tests.support.waiting import until


def ids(folder: Path) -> list[str]:
    return [getattr(each, "record", each).id for path in segments(folder) for each in read(path.read_bytes())]


def write(spool: Spool, count: int = 1) -> list[str]:
    records = [answered() for _ in range(count)]
    for record in records:
        spool.answered(record, rows({"a": 1}), answer(0))
    return [record.id for record in records]


def test_a_record_can_be_read_at_once_and_its_segment_is_closed_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool")
    written = write(spool, 3)
    assert ids(spool.folder) == written
    assert finished(spool.folder) == []  # it is held by this process
    spool.feedback(said(written[0], correct=False, value=1))
    spool.close()
    assert [path.suffix for path in segments(spool.folder)] == [".closed"]
    assert ids(spool.folder) == [*written, written[0]]
    with pytest.raises(NotLogged, match="is closed"):
        write(spool)


def test_segments_are_closed_by_size_and_by_age(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1000, segment_seconds=0.05, sync_seconds=0.01)
    written = write(spool, 20)
    assert len(segments(tmp_path)) > 3
    until(lambda: len(finished(tmp_path)) == len(segments(tmp_path)))
    assert ids(tmp_path) == written
    spool.close()


def test_threads_write_at_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=20_000)
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=lambda own=own: own.extend(write(spool, 500))) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    assert sorted(ids(tmp_path)) == sorted(each for own in made for each in own)


def test_a_full_spool_refuses_in_words_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_SECONDS", 0.02)
    spool = Spool(tmp_path, most_bytes=3000, segment_bytes=1000, sync_seconds=0.01)
    written: list[str] = []
    with pytest.raises(SpoolFull, match=r"is full: 0\.0 MiB of 0\.0 MiB wait to be stored\. .*logs --service"):
        while True:
            written += write(spool)
    assert ids(tmp_path) == written
    until(lambda: finished(tmp_path) != [])
    for path in finished(tmp_path):
        path.unlink()  # as the shipper does

    def works() -> bool:
        try:
            return bool(write(spool))
        except SpoolFull:
            return False

    until(works)
    spool.close()


@pytest.mark.parametrize("half", [True, False])
def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool) -> None:
    spool = Spool(tmp_path)
    written = write(spool)
    real = os.write

    def full(file: int, data: bytes) -> int:
        if half:
            return real(file, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(SpoolFull, match=r"its disk is full\. Free some space"):
        write(spool)
    monkeypatch.setattr(module.os, "write", real)
    written += write(spool)
    spool.close()
    (segment,) = segments(tmp_path)
    assert ids(tmp_path) == written
    assert not any(isinstance(found, Damage) for found in scan(segment.read_bytes()))


def test_after_a_failed_sync_nothing_counts_as_written_until_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, sync_seconds=0.01)
    real, broken = os.fdatasync, threading.Event()

    def sync(file: int) -> None:
        if broken.is_set():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(file)

    monkeypatch.setattr(module.os, "fdatasync", sync)
    broken.set()
    written = write(spool)
    until(lambda: spool._failed != "")
    with pytest.raises(NotLogged, match="Input/output error"):
        write(spool)
    broken.clear()
    written += write(spool)
    spool.close()
    assert sorted(ids(tmp_path)) == written
    assert spool._failed == ""


def test_what_a_writer_left_before_it_began_is_removed(tmp_path: Path) -> None:
    old, new = tmp_path / f".1{PART}", tmp_path / f".2{PART}"
    for path, age in ((old, 100), (new, 0)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    Spool(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [new.name]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="file/spool cannot be used"):
        Spool(tmp_path / "file" / "spool")
