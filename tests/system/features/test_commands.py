"""``bin/pantheon features``, ``ask`` and ``forget`` with the real feature store: looked up, shown, and gone."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.features.client import Features
from tests.support.command_line import Pantheon
from tests.support.features import ENGINEERED, ROBOTS, SERVICE, START, rows
from tests.support.hephaestus import API

pytestmark = pytest.mark.timeout(600)
PERSON = "penelope-of-ithaca"


def parquet(frame: pl.DataFrame) -> bytes:
    file = BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def features(hephaestus: Pantheon) -> Features:
    """Two loads, which are online: a robot that belongs to somebody, and another one."""
    key = hephaestus.state / "secrets" / "features" / "key"
    client = Features(f"http://127.0.0.1:{API + hephaestus.offset}", key)
    client.apply([ROBOTS, ENGINEERED])
    for day in (0, 10):
        values: list[dict[str, Any]] = [
            {"id": PERSON, "at": day, "robot_age": 5.0 + day, "rust_level": 4, "battery": "low", "inspected": START},
            {"id": 8, "at": day, "robot_age": 25.0, "rust_level": 1, "painted": True},
        ]
        client.write("robots", parquet(rows(ROBOTS, values)), "a-run")
        computed = [{**each, "rust_per_year": each["rust_level"] / (each["robot_age"] + 1)} for each in values]
        client.write(ENGINEERED.name, parquet(rows(ENGINEERED, computed)), "a-run")
    client.choose(SERVICE)
    client.materialize(["robots", ENGINEERED.name])
    return client


def files_with(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_the_catalogue_has_views_checks_and_distributions(hephaestus: Pantheon, features: Features) -> None:
    views = {view["name"]: view for view in hephaestus("features", "list", "--json").json["views"]}
    robots = views["robots"]
    assert (robots["rows"], robots["entities"], robots["parts_count"]) == (4, 2, 2)
    failed = {(each["field"], each["check"]) for each in robots["failed"]}
    assert failed == {("robot_age", "maximum"), ("battery", "max_missing"), ("", "freshness")}
    shown = hephaestus("features", "show", ENGINEERED.name).out
    for text in ("robot-id, 2 of them", '"rust-level" / ("robot-age" + 1)', SERVICE.name, "a-run", "robots"):
        assert text in shown


def test_what_was_known_then_and_what_is_online_now(hephaestus: Pantheon, features: Features) -> None:
    then = START + timedelta(days=5)
    rows = hephaestus("features", "at", then.isoformat(), "--entity", PERSON, "--json").json["rows"]
    by_view = {row["view"]: row for row in rows}
    assert by_view["robots"]["features"] == {
        "robot_age": 5.0,
        "rust_level": 4,
        "battery": "low",
        "inspected": START.isoformat(),
        "painted": None,
    }
    assert by_view[ENGINEERED.name]["features"]["rust_per_year"] == pytest.approx(4 / 6)
    online = {row["view"]: row for row in hephaestus("features", "get", f"robot-id={PERSON}", "--json").json["rows"]}
    assert online[ENGINEERED.name]["features"]["rust_per_year"] == pytest.approx(4 / 16)
    assert online["robots"]["state"] == "expired", "it is older than 30 days"
    last = hephaestus("features", "at", (START + timedelta(days=11)).isoformat(), "--entity", PERSON, "--json").json[
        "rows"
    ]
    for row in last:
        assert online[row["view"]]["features"] == row["features"], (
            "online is what offline knows, types and nulls included"
        )
    asked = hephaestus("ask", "--entity", f"robot-id={PERSON}", "--at", then.isoformat(), "--json").json["questions"]
    (answer,) = (each for each in asked if each["id"] == "features_at")
    assert answer["state"] == "answered" and f"robot-id {PERSON} had: robot_age 5" in answer["answer"]


def test_somebody_is_forgotten_everywhere_and_others_are_not(hephaestus: Pantheon, features: Features) -> None:
    valkey, parts = hephaestus.state / "volumes" / "valkey", hephaestus.state / "volumes" / "features"
    others = hephaestus("features", "get", "8", "--json").json["rows"]
    assert files_with(valkey, PERSON.encode()), "Valkey's append-only file has the key"
    words = hephaestus("forget", f"robot-id={PERSON}", "--confirm", "yes").err
    assert "4 rows of features were removed from 4 parts, and 1 entity from the online store." in " ".join(
        words.split()
    )
    assert {row["state"] for row in hephaestus("features", "get", PERSON, "--json").json["rows"]} == {"unknown"}
    at = hephaestus("features", "at", "now", "--entity", PERSON, "--json").json["rows"]
    assert {row["state"] for row in at} == {"unknown"}
    assert files_with(valkey, PERSON.encode()) == []
    for folder in (parts, hephaestus.state / "features"):
        left = [path for path in folder.rglob("*.parquet") if PERSON in pl.read_parquet(path)["robot_id"]]
        assert left == []
    assert hephaestus("features", "get", "8", "--json").json["rows"] == others
