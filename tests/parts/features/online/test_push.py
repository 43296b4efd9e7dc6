"""Push: fresh values are durable before the answer, online at once and offline in the next part."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pantheon.errors import PantheonError
from tests.support.feature_writing import VIEW, Writing

pytestmark = pytest.mark.timeout(900)  # it starts Feast, which takes minutes on a busy machine
FULL: dict[str, Any] = {
    "robot-age": 4.5,
    "bolts": 7,
    "battery": "low",
    "rusty": False,
    "built": "2020-02-29T12:00:00+02:00",
}
TIME = "2026-11-20T10:00:00Z"


def pushed(writing: Writing, **row: Any) -> Any:
    return writing.do("push", view="robots", rows=[{"robot-id": 7} | FULL | row])


def online(writing: Writing, id: str = "7") -> Any:
    """What an application reads with Feast's SDK."""
    found = writing.do("sdk", view="robots", ids=[id])
    return [found[field["name"]][0] for field in VIEW["fields"]]


def offline(writing: Writing, time: str, id: str = "7") -> Any:
    return writing.do("offline", view="robots", ids=[id], time=time)[0]


def test_a_push_is_online_at_once_and_offline_in_the_next_part(writing: Writing) -> None:
    assert pushed(writing) == {"written": 1, "older": 0}
    assert online(writing) == [4.5, 7, "low", False, "2020-02-29T10:00:00Z"]
    assert writing.do("parts", view="robots") == []
    writing.do("flush")
    now = datetime.now(UTC)
    assert offline(writing, now.isoformat()) == [4.5, 7, "low", False, 1_582_970_400]
    assert offline(writing, (now - timedelta(hours=1)).isoformat()) == [None] * 5, "it was not known then"


def test_ids_are_the_same_as_text_and_as_numbers(writing: Writing) -> None:
    for number, id in enumerate((7, "7", 7.0, "007")):
        pushed(writing, **{"robot-id": id, "bolts": number})
        assert online(writing)[1] == number
    assert len(writing.do("dump")["rows"]) == 1


def test_an_older_push_does_not_overwrite_and_is_kept_offline(writing: Writing) -> None:
    pushed(writing, bolts=2, event_timestamp=TIME)
    assert pushed(writing, bolts=1, seen="2026-11-20T09:00:00Z") == {"written": 0, "older": 1}
    assert online(writing)[1] == 2
    assert writing.do("materialise")["robots"]["read"] == 2
    assert online(writing)[1] == 2
    assert offline(writing, datetime.now(UTC).isoformat())[1] == 2
    assert len(writing.do("parts", view="robots")) == 1


def test_the_same_time_again_is_a_correction_online_and_offline(writing: Writing) -> None:
    for bolts in (1, 2, 3):
        assert pushed(writing, bolts=bolts, event_timestamp=TIME) == {"written": 1, "older": 0}
    assert online(writing)[1] == 3
    writing.do("materialise")
    assert online(writing)[1] == 3
    assert offline(writing, datetime.now(UTC).isoformat())[1] == 3


def test_of_two_rows_of_one_push_with_the_same_time_the_later_one_counts(writing: Writing) -> None:
    rows = [{"robot-id": 7, "event_timestamp": TIME} | FULL | {"bolts": bolts} for bolts in (1, 2)]
    writing.do("push", view="robots", rows=rows)
    assert online(writing)[1] == 2


def test_a_part_that_is_loaded_after_a_push_corrects_it(writing: Writing) -> None:
    pushed(writing, bolts=1, event_timestamp=TIME)
    moment = int(datetime.fromisoformat(TIME).timestamp()) * 1_000_000
    writing.part([["7", moment, 4.5, 2, "low", False, None]])
    writing.do("materialise")
    assert online(writing)[1] == 2


def test_storing_twice_what_was_pushed_makes_one_part(writing: Writing) -> None:
    pushed(writing)
    spool = writing.folder / "spool"
    kept = {path.name: path.read_bytes() for path in spool.iterdir()}
    writing.do("flush")
    parts = writing.do("parts", view="robots")
    for name, content in kept.items():  # as if the service had been killed before it removed them
        (spool / name).write_bytes(content)
    writing.do("flush")
    assert writing.do("parts", view="robots") == parts and not list(spool.iterdir())


def test_nothing_is_written_of_a_push_with_a_mistake(writing: Writing) -> None:
    rows = [{"robot-id": 1} | FULL, {"robot-id": 2} | FULL | {"bolts": "many"}]
    with pytest.raises(PantheonError, match="row 2: 'bolts' is an integer, not \"many\""):
        writing.do("push", view="robots", rows=rows)
    with pytest.raises(PantheonError, match="in the future"):
        pushed(writing, event_timestamp=(datetime.now(UTC) + timedelta(minutes=5)).isoformat())
    writing.do("flush")
    assert writing.do("dump")["rows"] == {} and writing.do("parts", view="robots") == []


def test_an_answered_push_survives_kill_9(writing: Writing) -> None:
    pushed(writing, bolts=41)
    writing.kill()
    writing.valkey.ask("FLUSHALL")
    writing.start()
    writing.define()
    writing.do("look")  # what the service does when it starts
    assert online(writing)[1] == 41
    assert offline(writing, datetime.now(UTC).isoformat())[1] == 41


def test_a_push_without_valkey_is_stored_and_online_when_it_is_back(writing: Writing) -> None:
    writing.valkey.kill()
    try:
        with pytest.raises(PantheonError, match="the rows are stored, but they are not online yet") as refused:
            pushed(writing, bolts=42)
        assert refused.value.status == 1
    finally:
        writing.valkey.start()
    writing.do("look")
    assert online(writing)[1] == 42


def engineered(number: int, *others: str) -> dict[str, Any]:
    """A view that is computed from those columns of the smiths, and perhaps from others, which they do not have."""
    inputs = [{"name": "bolts", "type": "integer", "origin": 5.0}, {"name": "built", "type": "date"}]
    inputs += [{"name": "battery", "type": "category", "categories": ["high", "low"]}]
    is_low = ["equal", ["column", "battery"], ["number", 1.0]]
    bolts = ["add", ["column", "bolts"], ["number", 5.0]]
    formulas = {"low-bolts": ["mul", bolts, is_low], "days": ["column", "built"]}
    inputs += [{"name": name, "type": "number"} for name in others]
    of = ["bolts", "battery", "built", *others]
    fields = [{"name": name.replace("-", "_"), "column": name, "type": "number", "of": of} for name in formulas]
    code = {"inputs": inputs, "formulas": formulas}
    return {"name": f"smiths_engineered_{number}", "kind": "engineered", "fields": fields, "code": code}


def test_engineered_features_are_computed_from_what_is_pushed(writing: Writing) -> None:
    smiths = {"set": "smiths"}
    writing.define(name="smiths", **smiths)
    for view in (engineered(1), engineered(2, "hammers")):
        writing.define(**smiths, **view)
    rows = [{"robot-id": id, "event_timestamp": TIME} | FULL | more for id, more in ((7, {}), (8, {"battery": None}))]
    done = writing.do("push", view="smiths", rows=rows)
    assert done == {"written": 2, "older": 0, "computed": ["smiths_engineered_1"], "stale": ["smiths_engineered_2"]}
    name = "smiths_engineered_1"
    days = datetime(2020, 2, 29, 10, tzinfo=UTC).timestamp() / 86_400
    expected = [[7.0, pytest.approx(days, abs=1e-3)], [None, pytest.approx(days, abs=1e-3)]]
    found = writing.do("sdk", view=name, ids=["7", "8"])
    assert [list(each) for each in zip(found["low_bolts"], found["days"], strict=True)] == expected
    older = rows[0] | {"event_timestamp": "2026-11-20T09:00:00Z", "bolts": 1}
    assert writing.do("push", view="smiths", rows=[older])["older"] == 1
    assert writing.do("sdk", view=name, ids=["7"])["low_bolts"] == [7.0]
    writing.do("flush")
    assert writing.do("offline", view=name, ids=["7", "8"], time=datetime.now(UTC).isoformat()) == expected
    assert writing.do("offline", view=name, ids=["7"], time="2026-11-20T09:30:00Z")[0][0] is None, "not known then"
    with pytest.raises(PantheonError, match="is an integer"):
        writing.do("push", view="smiths", rows=[rows[0] | {"bolts": "many"}])
