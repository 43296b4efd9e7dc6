"""Retention removes whole days; somebody who is forgotten is in no file any more, whatever interrupts it."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.predictions import keep
from pantheon.predictions.compact import compact
from pantheon.predictions.keep import ask, carry_out, forget, mentions, outcome, retain
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.read import predictions
from pantheon.predictions.ship import DAMAGED, ship
from pantheon.predictions.spool import Spool
from tests.support.predictions import Fragile, Interrupted, answer, answered, rows, said, segment

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "place")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def store(place: FolderPlace, spool: Path) -> list[str]:
    """Store rows of Ann and of others, with feedback; return the ids, of which the second and the fourth are Ann's."""
    records = [answered(model=model) for model in ("robots", "robots", "pumps", "pumps", "robots")]
    for number, record in enumerate(records):
        given = {"customer": "Ann" if number in (1, 3) else f"C{number}", "a": number}
        segment(spool, [(record, given, 0)], [said(record.id, comment=given["customer"])])  # type: ignore[arg-type]
    ship(place, spool)
    compact(Layout(place), fewest=2)
    return [record.id for record in records]


def everything(place: FolderPlace) -> bytes:
    return b"".join(path.read_bytes() for path in place.folder.rglob("*") if path.is_file())


def test_only_days_that_ended_long_ago_are_removed(place: FolderPlace, spool: Path) -> None:
    for days in range(5):
        at = int((NOON - timedelta(days=days)).timestamp() * 1e6)
        for number in range(3):
            segment(spool, [(answered(id=f"{days}-{number}", at=at), {}, 0)], [said(f"{days}-{number}", at=at)])
    ship(place, spool)
    compact(Layout(place), fewest=2)
    removed = retain(Layout(place), timedelta(days=2), NOON)
    days = ("2026-03-06", "2026-03-07")
    assert sorted(removed) == sorted(f"{part}/date={day}" for part in ("_feedback", "robots") for day in days)
    assert sorted(set(predictions(place, None)["id"].str.slice(0, 1))) == ["0", "1", "2"]
    assert retain(Layout(place), timedelta(days=2), NOON) == []


@pytest.mark.parametrize("after", [False, True])
def test_retention_interrupted_anywhere_brings_nothing_back(tmp_path: Path, spool: Path, after: bool) -> None:
    at = int((NOON - timedelta(days=9)).timestamp() * 1e6)
    for changes in itertools.count(1):
        folder = tmp_path / f"place-{changes}"
        for number in range(3):
            segment(spool, [(answered(id=f"old-{number}", at=at), {}, 0)])
        ship(FolderPlace(folder), spool)
        compact(Layout(FolderPlace(folder)), fewest=2)
        try:
            retain(Layout(Fragile(folder, changes, after)), timedelta(days=2), NOON)
        except Interrupted:
            assert predictions(FolderPlace(folder), None).height in (0, 3)
            retain(Layout(FolderPlace(folder)), timedelta(days=2), NOON)
        else:
            break
        assert list(FolderPlace(folder).list()) == []
    assert changes == 6


def test_a_person_is_forgotten_and_nobody_else(place: FolderPlace, spool: Path) -> None:
    ids = store(place, spool)
    assert b"Ann" in everything_read(place)
    done = forget(place, spool, "customer", "Ann")
    assert (done.rows, done.feedback) == (2, 2)
    assert done.words().startswith("2 predictions and 2 pieces of feedback were removed from 3 files. Datasets")
    left = predictions(place, spool)
    assert sorted(left["id"]) == sorted([ids[0], ids[2], ids[4]])
    assert left["correct"].to_list() == [True] * 3
    assert b"Ann" not in everything(place) + everything_read(place)
    assert forget(place, spool, "customer", "Ann").rows == 0


def everything_read(place: FolderPlace) -> bytes:
    """All values in all files, also in those that do not count."""
    import polars as pl

    return b"".join(str(pl.read_parquet(path).to_dicts()).encode() for path in place.folder.rglob("*.parquet"))


@pytest.mark.parametrize("after", [False, True])
def test_interrupted_anywhere_it_is_carried_out_the_next_time(tmp_path: Path, after: bool) -> None:
    for changes in itertools.count(1):
        folder, spool = tmp_path / f"place-{changes}", tmp_path / f"spool-{changes}"
        ids = store(FolderPlace(folder), spool)
        request = ask(FolderPlace(folder), "customer", "Ann")
        try:
            carry_out(Layout(Fragile(folder, changes, after)), spool, request)
        except Interrupted:
            assert len(set(predictions(FolderPlace(folder), spool)["id"]) & {ids[0], ids[2], ids[4]}) == 3
        else:
            break
        for again in keep.asked(FolderPlace(folder)):
            carry_out(Layout(FolderPlace(folder)), spool, again)
        done = outcome(FolderPlace(folder), request.id)
        assert done is not None
        assert (done.rows, done.feedback) == (2, 2)
        assert sorted(predictions(FolderPlace(folder), spool)["id"]) == sorted([ids[0], ids[2], ids[4]])
        assert b"Ann" not in everything_read(FolderPlace(folder)) + everything(FolderPlace(folder))
        assert list(keep.asked(FolderPlace(folder))) == []
    assert changes > 10


def test_what_is_in_the_spool_is_stored_first(place: FolderPlace, spool: Path) -> None:
    writer = Spool(spool)
    writer.answered(answered(), rows({"customer": 4711}), answer(0))
    with pytest.raises(PantheonError, match=r"is stored, but not carried out yet: 1 segments in .* are not stored yet"):
        forget(place, spool, "customer", "4711", seconds=0)
    (request,) = keep.asked(place)
    writer.close()
    ship(place, spool)
    done = carry_out(Layout(place), spool, request)
    assert done is not None
    assert done.rows == 1
    assert predictions(place, spool).is_empty()


def test_later_rows_stay_and_damaged_files_are_named(place: FolderPlace, spool: Path) -> None:
    request = ask(place, "customer", "Ann")
    segment(spool, [(answered(), {"customer": "Ann"}, 0)])
    ship(place, spool)
    (spool / f"x{DAMAGED}").touch()
    done = carry_out(Layout(place), spool, request)
    assert done is not None
    assert done.rows == 0
    assert f"x{DAMAGED}" in done.words()
    assert predictions(place, spool).height == 1


@pytest.mark.parametrize(("column", "value"), [("", "x"), ("x", "")])
def test_a_column_and_a_value_are_needed(place: FolderPlace, column: str, value: str) -> None:
    with pytest.raises(PantheonError, match="name a column and a value"):
        ask(place, column, value)


texts = st.text(max_size=10)


@given(st.dictionaries(texts, texts | st.integers() | st.booleans()), texts, texts)
def test_a_row_is_found_however_its_text_is_written(row: dict[str, object], column: str, value: str) -> None:
    for ascii in (True, False):
        assert mentions(json.dumps({**row, column: value}, ensure_ascii=ascii), column, value)
    without = {name: each for name, each in row.items() if name != column}
    assert not mentions(json.dumps(without), column, value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[{"c": "x"}, {"c": "Ann"}]', True),
        ('{"c": 12}', False),
        ('{"c": ["Ann"]}', False),
        ("not JSON: Ann", True),
        ("not JSON", False),
        (None, False),
        ("", False),
        ("[1, null]", False),
    ],
)
def test_requests_that_were_refused_are_looked_at_too(text: str | None, found: bool) -> None:
    assert mentions(text, "c", "Ann") is found


def test_what_was_sent_along_is_found_too() -> None:
    text = '[{"age": 5, "context": {"customer": 4711}}]'
    assert mentions(text, "customer", "4711")
    assert not mentions(text, "customer", "4712")
    assert not mentions('{"context": "customer"}', "customer", "4711")


def test_a_row_whose_features_were_looked_up_is_found_by_its_entity() -> None:
    origin = {"entity": {"robot-id": "7"}, "views": {}}
    text = json.dumps({"age": 5, "_features": origin, "context": {"customer": 4711}})
    refused = json.dumps([{"robot-id": "007", "_features": {"entity": {"robot-id": "7"}}}])
    for value in ("7", "7.0", " 7"):
        assert mentions(text, "robot-id", value)
        assert mentions(refused, "robot-id", value)
    assert mentions(text, "customer", "4711")
    assert not mentions(text, "robot-id", "8")
    assert not mentions(text, "customer", "7")
    assert not mentions(text, "entity", "7")
    assert not mentions('{"_features": [7]}', "robot-id", "7")
