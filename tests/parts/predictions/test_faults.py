"""An S3 that is away for a while, and a disk that is full: nobody waits, nothing is lost, and it is said in words."""

from pathlib import Path

import pytest

from pantheon.predictions.frames import Damage, scan
from pantheon.predictions.place import FolderPlace, open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.segments import segments
from pantheon.predictions.ship import ship
from pantheon.predictions.spool import Spool, SpoolFull
from pantheon.state import write_store
from tests.support import s3_servers as servers
from tests.support.disks import fill, small_disk
from tests.support.prediction_writer import Writer, start_service
from tests.support.predictions import answer, answered, rows
from tests.support.waiting import until


def test_s3_is_away_under_load_and_the_log_is_complete_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    (tmp_path / "weed").mkdir()
    spool, log = tmp_path / "spool", tmp_path / "log"
    with servers.weed(tmp_path / "weed") as server:
        state = servers.deployment(tmp_path / "state", server)
        write_store(state, servers.where(server, server.bucket()))
        service, writer = start_service(state, spool, log), Writer(spool, pause=0.001)
        try:
            until(lambda: any(open_place(state).list()), what="the first file in S3")
            server.kill()
            until(lambda: "does not answer" in log.read_text(), what="the service's complaint")
            during = len(writer.acknowledged)
            until(lambda: len(writer.acknowledged) > during + 1000, what="answers without S3")
            server.start()
            until(lambda: "Predictions are stored again." in log.read_text(), what="its recovery")
        finally:
            acknowledged = writer.kill()
        until(lambda: not segments(spool), what="an empty spool")
        service.terminate()
        assert service.wait(timeout=60) == 0
        found = predictions(open_place(state), spool)
    assert found["id"].is_unique().all()
    assert set(acknowledged) <= set(found["id"])
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("does not answer") <= 3  # told once for each kind of request


def test_a_full_disk_refuses_in_words_and_recovers(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "600k") as disk:
        spool = Spool(disk / "spool", segment_bytes=100_000, sync_seconds=0.01)
        written = fill_up(spool)
        assert written
        ship(FolderPlace(tmp_path / "place"), spool.folder)
        written += fill_up(spool)
        filler = fill(disk)  # not a byte is left: no new segment either
        with pytest.raises(SpoolFull, match=r"disk is full\. Free some space; then it goes on by itself"):
            write(spool)
        filler.unlink()
        ship(FolderPlace(tmp_path / "place"), spool.folder)
        written.append(until(lambda: accepted(spool)))  # the file system frees the space a little later
        spool.close()
        assert not [
            each for path in segments(spool.folder) for each in scan(path.read_bytes()) if isinstance(each, Damage)
        ]
        found = predictions(FolderPlace(tmp_path / "place"), spool.folder)
    assert found["id"].to_list() == written


def write(spool: Spool) -> str:
    record = answered()
    spool.answered(record, rows({"a": "x" * 200}), answer(0))
    return record.id


def accepted(spool: Spool) -> str:
    """Write; empty if the spool refuses."""
    try:
        return write(spool)
    except SpoolFull:
        return ""


def fill_up(spool: Spool) -> list[str]:
    """Write until the spool refuses; return what was written."""
    written = []
    with pytest.raises(SpoolFull, match="its disk is full"):
        while True:
            written.append(write(spool))
    return written
