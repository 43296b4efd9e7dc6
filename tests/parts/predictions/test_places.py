"""A folder and two S3 servers as the place of the log: the same promises."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from pantheon.predictions.compact import compact
from pantheon.predictions.keep import ask, forget, retain
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import ROOT, FolderPlace, Place, S3Place, Stored, open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.segments import segments
from pantheon.predictions.service import Service
from pantheon.predictions.ship import ship
from pantheon.predictions.spool import Spool
from pantheon.store.move import relocate
from pantheon.store.place import bring_to_folder, moving
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


@pytest.mark.parametrize("state", ["moto", "seaweedfs"], indirect=True)
def test_the_log_follows_the_models_to_s3_and_back(state: Path, tmp_path: Path) -> None:
    folder, spool, said_so = FolderPlace(state / ROOT), tmp_path / "spool", list[str]()
    for _ in range(10):
        segment(spool, [(answered(), {"customer": 1}, 0)])
    ship(folder, spool)
    compact(Layout(folder))
    expected = predictions(folder, None)
    service = Service(state, spool, None, said_so.append)
    assert service.look()
    place = open_place(state)
    assert (predictions(place, None).equals(expected), list(folder.list())) == (True, [])
    assert said_so == [f"12 files of the log were moved from {folder.where} to {place.where}."]

    segment(spool, [(answered(), {"customer": 2}, 0)])
    ask(place, "customer", "2")  # what is asked is not lost, either
    with moving(state):
        assert service.look(), "it waits"
        assert segments(spool), "what was answered stays in the spool meanwhile"
        assert bring_to_folder(state) == {"predictions": 13, "features": 0}
        assert (list(place.list()), place._bucket.versions("predictions/")) == ([], [])  # type: ignore[attr-defined]
    service = Service(state, spool, None, said_so.append)
    assert service.look()  # whoever moved it was killed: the models are still in S3
    assert (predictions(place, None).equals(expected), list(folder.list())) == (True, [])

    assert relocate(state, None) == {}
    assert predictions(folder, None).equals(expected)
    segment(spool, [(answered(), {}, 0)])
    assert service.look()
    assert predictions(folder, None).height == expected.height + 1
    assert list(place.list()) == []
