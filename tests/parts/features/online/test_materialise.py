"""Bringing features online: the newest value of each entity, whatever arrives in whatever order."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.feature_writing import VIEW, Writing

pytestmark = pytest.mark.timeout(900)  # it starts Feast, which takes minutes on a busy machine
NOW = 1_795_000_000_000_000  # microseconds: in 2026
FIELDS = [field["name"] for field in VIEW["fields"]]
NOTHING = [None] * 5
KINDS = ("double_val", "int64_val", "string_val", "bool_val", "unix_timestamp_val")


def row(id: int | str, event: int, age: float | None) -> list[Any]:
    return [str(id), event, age, *NOTHING[1:]]


def ages(writing: Writing, *ids: int | str) -> list[Any]:
    """The time and the age of each entity, as Feast reads them; None: not there."""
    found = writing.do("read", view="robots", ids=[str(id) for id in ids])
    return [each and [each[0], each[1]["robot_age"] and each[1]["robot_age"][1]] for each in found]


def test_a_thousand_entities_are_the_same_online_and_offline(writing: Writing) -> None:
    random.seed(1)
    rows = []
    for place in range(3000):
        values = [
            random.choice([0.0, -0.0, 1 / 3, 5e-324, 1.7e308, float("nan")]),
            random.choice([0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]),
            random.choice(["", "low", "ä\n\0'\"", "7"]),
            random.choice([True, False]),
            random.choice([0, -1, 1, 1_600_000_000]) * 1_000_000,
        ]
        rows.append([str(place % 1000), NOW + place, *(None if random.random() < 0.2 else value for value in values)])
    writing.part(rows[:2000])
    writing.part(rows[2000:])
    counts = writing.do("materialise")["robots"]
    assert (counts["read"], counts["written"], counts["older"]) == (3000, 1000, 0)

    ids = [*map(str, range(1000)), "unknown"]
    offline = writing.do("offline", view="robots", ids=ids, time="2026-12-31T00:00:00Z")
    online = writing.do("read", view="robots", ids=ids)
    assert online.pop() is None and offline.pop() == NOTHING
    for id, (event, values), expected in zip(ids, online, offline, strict=False):
        assert event == NOW + 2000 + int(id)
        kinds = [None if value is None else kind for kind, value in zip(KINDS, expected, strict=True)]
        assert [values[name] and values[name][0] for name in FIELDS] == kinds
        assert [values[name] and values[name][1] for name in FIELDS] == expected

    applications = writing.do("sdk", view="robots", ids=ids)  # what Feast's SDK returns
    for place, name in enumerate(FIELDS[:-1]):
        assert applications[name][:1000] == [values[place] for values in offline], name
        assert applications[name][1000] is None


def test_only_parts_that_are_not_online_are_read(writing: Writing) -> None:
    writing.part([row(1, NOW, 1.0), row(2, NOW, 2.0)])
    assert writing.do("materialise")["robots"]["read"] == 2
    writing.part([row(3, NOW, 3.0)])
    counts = writing.do("materialise")["robots"]
    assert (counts["read"], counts["written"], counts["older"]) == (1, 1, 0)
    assert writing.do("materialise")["robots"]["read"] == 0
    before = writing.do("dump")
    counts = writing.do("materialise", all=True)["robots"]
    assert (counts["read"], counts["written"], counts["older"], counts["rebuilt"]) == (3, 0, 0, False)
    assert writing.do("dump") == before


def test_late_rows_do_not_overwrite_and_corrections_do(writing: Writing) -> None:
    writing.part([row(1, NOW, 1.0), row(2, NOW, 2.0)])
    writing.do("materialise")
    writing.part([row(1, NOW - 1, 0.5), row(2, NOW, 2.5)])
    counts = writing.do("materialise")["robots"]
    assert (counts["read"], counts["written"], counts["older"]) == (2, 1, 1)
    assert ages(writing, 1, 2) == [[NOW, 1.0], [NOW, 2.5]]


def test_a_correction_to_null_arrives(writing: Writing) -> None:
    writing.part([row(1, NOW, 1.0)])
    writing.do("materialise")
    writing.part([row(1, NOW, None)])
    writing.do("materialise")
    assert ages(writing, 1) == [[NOW, None]]


def test_what_feast_itself_writes_is_kept_unless_a_part_is_as_new(writing: Writing) -> None:
    values = [9.0, 9, "feast", True, None]
    writing.do("feast_writes", view="robots", rows=[["1", NOW + 2, *values], ["2", NOW, *values]])
    writing.part([row(1, NOW, 1.0), row(2, NOW, 2.0)])
    counts = writing.do("materialise")["robots"]
    assert (counts["written"], counts["older"]) == (1, 1)
    assert ages(writing, 1, 2) == [[NOW + 2, 9.0], [NOW, 2.0]]
    writing.do("feast_writes", view="robots", rows=[["2", NOW + 1, *values]])
    assert ages(writing, 2) == [[NOW + 1, 9.0]]


def test_feast_shows_what_was_materialised_and_can_go_on(writing: Writing) -> None:
    before = writing.do("intervals", view="robots")
    writing.part([row(1, NOW - 5_000_000, 1.0)])
    writing.do("materialise")
    writing.do("materialise")
    new = writing.do("intervals", view="robots")[len(before) :]
    assert len(new) == 1 and new[0][0] == "2026-11-18 11:06:35+00:00"
    writing.do("feast_materialises", view="robots")
    assert ages(writing, 1) == [[NOW - 5_000_000, 1.0]]


def test_without_an_entity_nothing_is_online(writing: Writing) -> None:
    writing.define(name="letters", entity="", key="row")
    assert writing.do("materialise", views=["letters"])["letters"]["read"] == 0


def test_rows_that_valkey_lost_are_written_again_and_counted(writing: Writing) -> None:
    writing.part([row(1, NOW, 1.0), row(1, NOW + 1, 1.5), row(2, NOW, 2.0)])
    writing.do("materialise")
    before = writing.do("dump")
    writing.do("flushall")
    counts = writing.do("materialise")["robots"]
    assert (counts["read"], counts["written"], counts["rebuilt"]) == (3, 2, True)
    assert writing.do("dump") == before
    writing.do("flushall")
    writing.do("look")  # what the service does by itself
    assert writing.do("dump") == before
    assert "robots: Valkey had lost it; 2 entities are online again" in writing.log.read_text()


def test_a_view_that_feast_removed_from_valkey_is_written_again(writing: Writing) -> None:
    writing.part([row(1, NOW, 1.0)])
    writing.do("materialise")
    before = writing.do("dump")
    writing.do("feast_deletes", view="robots")
    assert ages(writing, 1) == [None]
    assert writing.do("materialise")["robots"]["written"] == 1
    assert writing.do("dump") == before


def test_of_writers_at_the_same_time_the_newest_value_stays(writing: Writing) -> None:
    writing.part([row(id, NOW, 1.0) for id in range(500)])
    times = [NOW + 1 + place for place in range(40)]
    random.seed(2)
    random.shuffle(times)

    def pushed(event: int) -> dict[str, Any]:
        return {"do": "push_at", "view": "robots", "rows": [row(3, event, float(event - NOW))]}

    for start in range(0, len(times), 8):
        pushes = [pushed(event) for event in times[start : start + 8]]
        writing.do("at_once", commands=[*pushes, *({"do": "materialise", "all": True} for _ in range(3))])
    assert ages(writing, 3, 4) == [[NOW + 40, 40.0], [NOW, 1.0]]


EVENTS = st.sampled_from([-1_000_001, -1_000_000, -1, 0, 1, 999_999, 1_000_000, NOW, NOW + 1])
ROWS = st.tuples(st.integers(1, 2), EVENTS, st.sampled_from([None, 1.0, 2.0, 3.0]))
ACTIONS = st.one_of(
    st.tuples(st.just("part"), st.lists(ROWS, min_size=1, max_size=3, unique_by=lambda row: row[:2])),
    st.tuples(st.just("push"), st.lists(ROWS, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["materialise", "flush", "look", "flushall"]), st.none()),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=2, max_size=8))
def test_in_any_order_online_is_the_newest_value_that_arrived_last(
    process: Writing, actions: list[tuple[str, Any]]
) -> None:
    process.do("reset")
    newest: dict[int, tuple[int, float | None]] = {}
    for name, rows in actions:
        if name == "part":
            process.part([row(*each) for each in rows])
        elif name == "push":
            process.do("push_at", view="robots", rows=[row(*each) for each in rows])
        else:
            process.do(name)
        for id, event, age in rows or []:
            if id not in newest or event >= newest[id][0]:
                newest[id] = (event, age)
    expected = [list(newest[id]) if id in newest else None for id in (1, 2)]
    process.do("materialise")
    assert ages(process, 1, 2) == expected
    process.do("flushall")
    process.do("materialise")
    assert ages(process, 1, 2) == expected, "after Valkey has lost everything"
