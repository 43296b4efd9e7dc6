"""From the spool to Parquet files and back: every row once, with its feedback, wherever it is at the moment."""

import itertools
import json
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.files import Busy
from pantheon.predictions import frames, tables
from pantheon.predictions import ship as module
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.read import predictions
from pantheon.predictions.records import Answered, Feedback
from pantheon.predictions.segments import segments
from pantheon.predictions.ship import DAMAGED, ship, storing
from pantheon.predictions.spool import Spool
from pantheon.predictions.tables import FEEDBACKS, PREDICTIONS
from tests.support.predictions import Fragile, Interrupted, answer, answered, rows, said, segment


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "place")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.mark.parametrize("records", [1, tables.RECORDS])
def test_rows_are_read_as_they_were_sent_before_and_after_they_are_stored(
    place: FolderPlace, spool: Path, records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "RECORDS", records)
    record, refused = answered(version="3", ms=1.5), answered(status=422, error="No.")
    with closing(Spool(spool)) as writer:
        writer.answered(record, b'[{"a": 1.50, "b": "\\u00fc"}, {"a": null}]', b'{"prediction": [0, 1]}')
        writer.answered(refused, b'[{"a": "x"}]', b"")
        writer.feedback(said(record.id, 1, correct=False, value="yes", comment="no"))
        before = predictions(place, spool)
    assert before.height == 3
    assert ship(place, spool).rows == 4
    assert segments(spool) == []
    after = predictions(place, spool)
    assert after.equals(before)
    assert after["input"].to_list() == ['{"a": 1.50, "b": "\\u00fc"}', '{"a": null}', '[{"a": "x"}]']
    assert after["prediction"].to_list() == ["0", "1", None]
    assert after["correct"].to_list() == [None, False, None]
    assert after["true_value"].to_list() == [None, '"yes"', None]
    assert after["at"][0] == datetime.fromtimestamp(record.at / 1e6, UTC)
    assert after["status"].to_list() == [200, 200, 422]


def test_filters(place: FolderPlace, spool: Path) -> None:
    first, second = answered(version="1", key="a"), answered(version="2", key="b", model="pumps", shadow=True)
    segment(spool, [(first, {}, 0), (second, {}, 1)])
    for stored in (False, True):
        if stored:
            ship(place, spool)

        def ids(**wanted: object) -> list[str]:
            return predictions(place, spool, **wanted)["id"].to_list()  # type: ignore[arg-type]

        assert ids() == [first.id, second.id]
        assert ids(model="pumps") == ids(version="2") == ids(key="b") == ids(id=second.id) == [second.id]
        assert ids(shadow=False) == [first.id]
        assert ids(most=1) == [second.id]
        now = datetime.now(UTC) + timedelta(seconds=1)
        assert ids(since=now) == ids(until=now - timedelta(days=1)) == []
        assert ids(since=now - timedelta(hours=1), until=now) == [first.id, second.id]
        assert predictions(place, spool, columns=("row", "prediction")).columns == ["row", "prediction"]
    with pytest.raises(PantheonError, match="'x' is not the id of a request"):
        predictions(place, spool, id="x")


def test_of_feedback_the_last_counts_whatever_its_order_and_however_often(place: FolderPlace, spool: Path) -> None:
    record = answered()
    pieces = [said(record.id, at=at, correct=at == 3, value=at) for at in (1, 2, 3)]
    for order in itertools.permutations(pieces):
        segment(spool, [], [*order, order[0]])
    segment(spool, [(record, {}, 0)])
    ship(place, spool)
    found = predictions(place, spool)
    assert found.select("correct", "true_value").rows() == [(True, "3")]


def test_a_shadow_has_the_true_value_but_not_the_opinion_about_another_answer(place: FolderPlace, spool: Path) -> None:
    record = answered()
    shadow = answered(id=record.id, version="2", shadow=True)
    segment(spool, [(record, {}, 0), (shadow, {}, 1)], [said(record.id, correct=False, value=1)])
    assert predictions(place, spool).select("shadow", "correct", "true_value").rows() == [
        (False, False, "1"),
        (True, None, "1"),
    ]


@pytest.mark.parametrize("after", [False, True])
def test_interrupted_anywhere_nothing_is_lost_or_doubled(tmp_path: Path, spool: Path, after: bool) -> None:
    records = [answered(model=model) for model in ("robots", "pumps", "robots")]
    expected = sorted(record.id for record in records)
    for changes in itertools.count(1):
        place = Fragile(tmp_path / f"place-{changes}", changes, after)
        segment(spool, [(record, {}, 0) for record in records], [said(records[0].id)])
        try:
            ship(place, spool)
        except Interrupted:
            assert len(segments(spool)) == 1
        else:
            break
        assert sorted(predictions(place, spool)["id"]) == expected
        ship(FolderPlace(place.folder), spool)
        assert sorted(predictions(place, None)["id"]) == expected
    assert changes == 4


def test_one_segment_that_cannot_be_stored_does_not_hold_up_the_others(
    place: FolderPlace, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = segment(spool, [(answered(), {}, 0)]), segment(spool, [(answered(), {}, 0)])
    real, asked = module.tables, []
    monkeypatch.setattr(module, "tables", lambda entries: real(entries) if asked else asked.append(1) or 1 / 0)
    (problem,) = ship(place, spool).problems
    assert problem.startswith(f"the segment {bad}.closed cannot be stored: Traceback")
    assert "ZeroDivisionError" in problem
    assert [path.stem for path in segments(spool)] == [bad]
    assert [stored.key.rpartition("/")[2] for stored in place.list()] == [f"{good}.parquet"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"[{}]", b'{"prediction": []}'),
        (b"[{}, {}]", b'{"prediction": [1]}'),
        (b"[{}]", b"{}"),
        (b"x", b"y"),
        (b"[", b""),
    ],
)
def test_a_record_that_is_not_row_by_row_is_stored_as_a_whole(
    place: FolderPlace, spool: Path, given: bytes, told: bytes
) -> None:
    with closing(Spool(spool)) as writer:
        writer.answered(answered(), given, told)
    assert ship(place, spool).problems == ()
    assert predictions(place, spool).select("row", "input", "prediction").rows() == [
        (0, given.decode(), told.decode() or None)
    ]


def test_columns_are_in_the_order_of_the_records_fields() -> None:
    id, row, *others = PREDICTIONS
    assert (id, row) == ("id", "row")
    assert others[:-3] == list(Answered.__struct_fields__[1:])
    assert list(FEEDBACKS) == list(Feedback.__struct_fields__)


def test_a_damaged_segment_is_kept_and_what_is_readable_is_stored(place: FolderPlace, spool: Path) -> None:
    records = [answered() for _ in range(3)]
    name = segment(spool, [(record, {}, 0) for record in records])
    path = spool / f"{name}.closed"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (problem,) = ship(place, spool).problems
    assert "bytes of a segment could not be read; it is kept as" in problem
    assert (spool / f"{name}{DAMAGED}").exists()
    assert predictions(place, spool)["id"].to_list() == [records[0].id, records[2].id]


def test_a_torn_last_record_is_no_damage(place: FolderPlace, spool: Path) -> None:
    record = answered()
    name = segment(spool, [(record, {}, 0)])
    with (spool / f"{name}.closed").open("ab") as file:
        file.write(frames.of_answer(answered(), rows({}), answer(0))[:-1])
    assert ship(place, spool).problems == ()
    assert predictions(place, spool)["id"].to_list() == [record.id]


def test_ids_that_are_not_ours_and_odd_models_are_filed_too(place: FolderPlace, spool: Path) -> None:
    at = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1e6)
    segment(
        spool,
        [(answered(id="mine", at=at, model="../x"), {}, 0)],
        [said("ffffffff-ffff-7fff-8fff-ffffffffffff", at=at)],
    )
    ship(place, spool)
    folders = sorted(stored.key.rpartition("/")[0] for stored in place.list())
    assert folders == ["_feedback/date=2026-03-01", "_unknown/date=2026-03-01"]


def test_only_one_process_stores(spool: Path) -> None:
    with storing(spool), pytest.raises(Busy), storing(spool):
        pass


def test_many_rows_are_stored_quickly(place: FolderPlace, spool: Path) -> None:
    count = 20_000
    with closing(Spool(spool)) as writer:
        for number in range(count):
            writer.answered(answered(), rows({"a": number, "b": "x"}), answer(number % 2))
    begin = time.process_time()
    assert ship(place, spool).rows == count
    assert time.process_time() - begin < 5  # 10 µs per row, with room for a busy machine
    found = predictions(place, spool)
    assert [json.loads(each)["a"] for each in found["input"]] == list(range(count))
    assert pl.Series(found["id"]).is_unique().all()
    assert segments(spool) == []
