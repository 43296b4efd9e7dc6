"""A folder and two S3 servers as the place of the log: the same promises."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from pantheon.predictions import service as module
from pantheon.predictions.compact import compact
from pantheon.predictions.keep import forget, retain
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace, Place, S3Place, Stored, open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.service import bring
from pantheon.predictions.ship import ship
from pantheon.predictions.spool import Spool
from tests.support.predictions import answer, answered, rows, said, segment


def test_files_are_stored_once_and_removed_for_good(place: Place, tmp_path: Path) -> None:
    assert list(place.list()) == []
    assert place.put_new("robots/date=2026-03-01/a.parquet", b"first")
    assert not place.put_new("robots/date=2026-03-01/a.parquet", b"second")
    assert place.put_new("pumps/b.json", b"")
    assert list(place.list("robots/")) == [Stored("robots/date=2026-03-01/a.parquet", 5)]
    assert [stored.key for stored in place.list()] == ["pumps/b.json", "robots/date=2026-03-01/a.parquet"]
    assert place.read("robots/date=2026-03-01/a.parquet") == b"first"
    copy = place.fetch("robots/date=2026-03-01/a.parquet", tmp_path)
    assert copy is not None
    assert copy.read_bytes() == b"first"
    place.remove("robots/date=2026-03-01/a.parquet")
    place.remove("robots/date=2026-03-01/a.parquet")
    assert place.read("robots/date=2026-03-01/a.parquet") is None
    assert place.fetch("robots/date=2026-03-01/a.parquet", tmp_path / "other") is None
    if isinstance(place, S3Place):  # also the versions that the bucket keeps
        versions = place._bucket.versions("predictions/") or []
        assert {listed.key for listed in versions} == {"predictions/pumps/b.json"}


def test_the_way_of_a_prediction(place: Place, tmp_path: Path) -> None:
    """Written, stored, merged, read, forgotten, and at last too old."""
    spool, records = tmp_path / "spool", [answered() for _ in range(12)]
    for number, record in enumerate(records):
        with closing(Spool(spool)) as writer:
            writer.answered(record, rows({"customer": number}), answer(0))
            writer.feedback(said(record.id))
    assert ship(place, spool).segments == 12
    assert compact(Layout(place)).merged == 24
    segment(spool, [(answered(), {"customer": 99}, 0)])
    found = predictions(place, spool)
    assert found["id"].to_list()[:12] == [record.id for record in records]
    assert found["correct"].to_list() == [True] * 12 + [None]
    assert forget(place, spool, "customer", "5").rows == 1
    assert predictions(place, spool)["input"].to_list() == [
        f'{{"customer": {number}}}' for number in (*range(5), *range(6, 12), 99)
    ]
    assert retain(Layout(place), timedelta(days=-2))
    assert predictions(place, spool).is_empty()


def test_when_models_move_to_s3_the_log_follows(state: Path, tmp_path: Path) -> None:
    place, before, spool = open_place(state), FolderPlace(state / module.ROOT), tmp_path / "spool"
    for _ in range(10):
        segment(spool, [(answered(), {}, 0)])
    ship(before, spool)
    compact(Layout(before))
    expected = predictions(before, None)
    said_so: list[str] = []
    moved = bring(before, place, said_so.append)
    assert predictions(place, None).equals(expected)
    if isinstance(place, S3Place):
        assert moved == 12
        assert "12 files of the log were moved from" in said_so[0]
        assert list(before.list()) == []
    assert bring(before, place) == 0
