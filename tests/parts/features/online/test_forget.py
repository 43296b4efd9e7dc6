"""To forget an entity, or the rows with a value: online, in Valkey's file and in the parts, and nothing else."""

from typing import Any

import pytest

from tests.support.feature_writing import Writing

pytestmark = pytest.mark.timeout(900)  # it starts Feast, which takes minutes on a busy machine
NOW = 1_795_000_000_000_000


def row(id: int | str, event: int, battery: str) -> list[Any]:
    return [str(id), event, 1.5, 3, battery, True, None]


def batteries(writing: Writing, *ids: int | str) -> list[Any]:
    """The battery of each entity that is online, by the service; its state if it is not."""
    found = writing.do("online", ids=list(ids), view="robots")
    return [each["features"].get("battery", each["state"]) for each in found]


def test_only_the_keys_of_a_forgotten_entity_are_removed(writing: Writing) -> None:
    writing.part([row(id, NOW, "low") for id in (1, 7, 77)])
    writing.part([row(7, NOW + 1, "full"), row(8, NOW, "full")])
    writing.do("materialise")
    before = writing.do("dump")["rows"]
    assert writing.do("forget", column="robot-id", value=7.0) == {"online": 1, "parts": 2, "rows": 2}
    after = writing.do("dump")["rows"]
    assert len(after) == 3 and after.items() <= before.items()
    assert batteries(writing, 1, 7, "77", 8) == ["low", "unknown", "low", "full"]
    assert writing.do("materialise")["robots"]["read"] == 0, "the others are still known to be online"
    assert writing.do("materialise", all=True)["robots"]["written"] == 0
    assert writing.do("dump")["rows"] == after
    assert writing.do("forget", column="robot-id", value="7") == {"online": 0, "parts": 0, "rows": 0}


def test_what_was_pushed_a_moment_ago_is_forgotten(writing: Writing) -> None:
    writing.do("push_at", view="robots", rows=[row(7, NOW, "low"), row(8, NOW, "low")])
    assert writing.do("forget", column="robot_id", value="7")["online"] == 1
    writing.do("look")
    writing.do("flushall")
    writing.do("materialise", all=True)
    assert batteries(writing, 7, 8) == ["unknown", "low"]


def test_a_forgotten_entity_is_not_in_valkeys_file(writing: Writing) -> None:
    def stored() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(writing.valkey.folder.rglob("*.aof")))

    writing.part([row("r2d2-of-the-north", NOW, "low"), row(2, NOW, "low")])
    writing.do("materialise")
    assert b"r2d2-of-the-north" in stored()
    writing.do("forget", column="robot-id", value="r2d2-of-the-north")
    assert b"r2d2-of-the-north" not in stored()


def test_without_the_rows_of_a_value_the_newest_other_row_is_online(writing: Writing) -> None:
    writing.part([row(1, NOW, "low"), row(1, NOW + 1, "secret"), row(2, NOW, "secret"), row(3, NOW, "full")])
    writing.do("materialise")
    assert batteries(writing, 1, 2, 3) == ["secret", "secret", "full"]
    assert writing.do("forget", column="battery", value="secret")["rows"] == 2
    assert batteries(writing, 1, 2, 3) == ["low", "unknown", "full"]
    assert writing.do("materialise")["robots"]["read"] == 0


def test_if_forgetting_is_interrupted_the_next_materialisation_completes_it(writing: Writing) -> None:
    writing.part([row(1, NOW, "low")])
    name = writing.part([row(1, NOW + 1, "secret"), row(2, NOW, "secret")])
    writing.part([row(3, NOW, "full")])
    writing.do("materialise")
    writing.do("remove", view="robots", part=name)  # as if killed before the online store was changed
    counts = writing.do("materialise")["robots"]
    assert (counts["read"], counts["written"]) == (2, 2)
    assert batteries(writing, 1, 2, 3) == ["low", "unknown", "full"]


def test_what_is_online_is_known_expired_or_unknown(writing: Writing) -> None:
    writing.define(ttl_seconds=3600)
    try:
        writing.part([row(1, NOW, "low")])
        writing.do("materialise")
        values = {"robot-age": None, "bolts": 3, "battery": "full", "rusty": False, "built": "2020-01-01"}
        writing.do("push", view="robots", rows=[{"robot-id": 2} | values])
        first, second, third = writing.do("online", ids=[1, 2, 3])
    finally:
        writing.define()
    assert (first["state"], second["state"], third["state"]) == ("expired", "known", "unknown")
    assert first["time"] == "2026-11-18T11:06:40+00:00" and third["time"] is None
    assert second["features"] == {
        "robot_age": None,
        "bolts": 3,
        "battery": "full",
        "rusty": False,
        "built": "2020-01-01T00:00:00+00:00",
    }
