"""A request of the log is asked again: the same answer, another one, or a sentence that says why there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from pantheon.predictions import frames
from pantheon.predictions.ids import new_id
from pantheon.predictions.place import spool_of
from pantheon.predictions.records import Answered
from pantheon.store import FolderStore
from serving.model.predictor import Predictor
from serving.problems import Problem
from serving.replay import alike, shown
from tests.support.bundles import bundle
from tests.support.feast_bytes import with_features
from tests.support.predictions import answered

ROWS = [{"robot-age": 5, "rust-level": 9, "battery": "low", "context": {"owner": 4711}}, {"robot-age": 1}]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A deployment with version 1 of robots."""
    FolderStore(tmp_path / "models").publish("robots", bundle(tmp_path / "bundle"), {"data": {"name": "robots"}})
    return tmp_path


def log(state: Path, record: Answered, rows: list[Any], answer: Any = None) -> str:
    spool = spool_of(state)
    spool.mkdir(parents=True, exist_ok=True)
    told = json.dumps(answer).encode() if answer else b""
    (spool / f"{new_id()}.closed").write_bytes(frames.of_answer(record, json.dumps(rows).encode(), told))
    return record.id


def answer(state: Path) -> dict[str, Any]:
    found = Predictor(state / "bundle", "robots", "1").predict([{**ROWS[0], "context": None}, ROWS[1]][1:])
    first = Predictor(state / "bundle", "robots", "1").predict([{"robot-age": 5, "rust-level": 9, "battery": "low"}])
    return {
        "prediction": first.prediction + found.prediction,
        "probabilities": (first.probabilities or []) + (found.probabilities or []),
    }


def test_the_same_answer_and_its_explanation(state: Path) -> None:
    given = answer(state)
    found = shown(state, log(state, answered(), ROWS, given))
    assert [row["replay"]["same"] for row in found["rows"]] == [True, True]
    assert [row["explanation"]["features"][0]["name"] for row in found["rows"]] != []
    assert found["rows"][0]["explanation"]["words"].startswith("Bad Condition")
    assert found["versions"]["1"]["data"] == {"name": "robots"}


def test_another_answer(state: Path) -> None:
    given = answer(state)
    wrong = {**given, "prediction": [1 - given["prediction"][0], given["prediction"][1]]}
    first, second = shown(state, log(state, answered(), ROWS, wrong))["rows"]
    assert (first["replay"]["same"], first["replay"]["prediction"]) == (False, given["prediction"][0])
    assert second["replay"]["same"] is True
    shares = {**given, "probabilities": [[0.5, 0.5], given["probabilities"][1]]}
    first, _ = shown(state, log(state, answered(), ROWS, shares))["rows"]
    assert (first["replay"]["same"], first["replay"]["probabilities"]) == (False, given["probabilities"][0])


def test_a_refusal_is_refused_again(state: Path) -> None:
    rows = [{"robot-age": "x"}]
    with pytest.raises(Problem) as refused:
        Predictor(state / "bundle", "robots", "1").predict(rows)
    record = answered(status=422, error=refused.value.message)
    (row,) = shown(state, log(state, record, rows))["rows"]
    assert row["replay"] == {"same": True, "error": refused.value.message}
    (row,) = shown(state, log(state, answered(status=422, error="another reason"), rows))["rows"]
    assert row["replay"]["same"] is False


@pytest.mark.parametrize(
    ("changes", "rows", "why"),
    [
        ({"version": "7"}, [{"robot-age": 1}], "version 7 of robots cannot be loaded: "),
        ({"status": 503, "error": "late"}, [{"robot-age": 1}], "it was answered with status 503"),
        ({"status": 400, "error": "no JSON"}, [], "its rows could not be read"),
    ],
)
def test_what_cannot_be_repeated_says_why(state: Path, changes: dict[str, Any], rows: list[Any], why: str) -> None:
    given = {"prediction": [0]} if "version" in changes else None
    (row,) = shown(state, log(state, answered(**changes), rows, given))["rows"]
    assert row["replay"]["same"] is None
    assert row["replay"]["why"].startswith(why)


def test_it_can_be_shown_only(state: Path) -> None:
    found = shown(state, log(state, answered(), ROWS, answer(state)), again=False)
    assert [(row["replay"], row["explanation"]) for row in found["rows"]] == [(None, None), (None, None)]


def test_numbers_may_differ_in_their_last_digits() -> None:
    assert alike([0.5, 0.5], [0.500001, 0.499999])
    assert alike(1234567.0, 1234567.5)
    assert not alike([0.5, 0.5], [0.51, 0.49])
    assert not alike(True, False)
    assert not alike("a", 1)
    assert not alike(1, 2)


def test_rows_with_features_are_replayed_with_the_values_that_were_used(state: Path) -> None:
    with_features(state / "bundle")
    FolderStore(state / "models").publish("robots", state / "bundle", {})
    origin = {"entity": {"robot-id": "7"}, "views": {"robots": {"time": "…", "inputs": ["battery"]}}}
    rows = [{**row, "_features": origin} for row in ROWS]
    found = shown(state, log(state, answered(version="2"), rows, answer(state)))
    assert [row["replay"]["same"] for row in found["rows"]] == [True, True]
    assert found["rows"][0]["explanation"] is not None

    beyond = [{"robot-age": 99.0, "_features": origin | {"views": {"robots": {"time": "…", "inputs": ["robot-age"]}}}}]
    why = 'Row 0, "robot-age": expected a number from 0 to 60, got 99.0. The value is from the view "robots": '
    why += "send the input, or push another value."
    (row,) = shown(state, log(state, answered(version="2", status=422, error=why), beyond))["rows"]
    assert row["replay"] == {"same": True, "error": why}


def test_a_refusal_by_the_feature_store_is_not_repeated(state: Path) -> None:
    with_features(state / "bundle")
    FolderStore(state / "models").publish("robots", state / "bundle", {})
    rows = [{"robot-id": 7, "_features": {"entity": {"robot-id": "7"}}}]
    (row,) = shown(state, log(state, answered(version="2", status=422, error="unknown"), rows))["rows"]
    assert row["replay"]["same"] is None
    assert "the feature store" in row["replay"]["why"]
