"""A bundle is either loaded completely and works, or rejected."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.model.predictor import BrokenBundle, Predictor, rounded
from serving.model.signature import Signature
from serving.problems import Problem
from tests.support.bundles import EVERY_TYPE, LABELS, bundle, model, signature


def test_a_prediction_has_labels_and_probabilities_that_add_up_to_one(tmp_path: Path) -> None:
    answer = Predictor(bundle(tmp_path / "b"), "robots", "1").predict(
        [{"robot-age": 5, "rust-level": 9}, {"robot-age": 0}]
    )
    assert answer.prediction == [0, 1]
    assert answer.probabilities is not None
    assert [round(sum(row), 5) for row in answer.probabilities] == [1.0, 1.0]
    assert answer.probabilities[1][0] == pytest.approx(1 / (1 + math.exp(4)), abs=1e-6)


def test_a_class_is_the_signatures_json_value(tmp_path: Path) -> None:
    said = Predictor(bundle(tmp_path / "b", classes=["bad", True], labels={"true": "Good"}), "robots", "1")
    assert said.predict([{"robot-age": 50}, {"robot-age": 0}]).prediction == ["bad", True]
    assert [said.signature.label(c) for c in ("bad", True)] == ["bad", "Good"]


def test_a_regression_answers_numbers(tmp_path: Path) -> None:
    answer = Predictor(bundle(tmp_path / "b", None, "regression"), "hours", "1").predict(
        [{"robot-age": 4}, {"robot-age": 6}]
    )
    assert answer.prediction == pytest.approx([6.0, 7.0])
    assert answer.probabilities is None


def test_rows_are_encoded_in_the_signatures_order() -> None:
    row = {
        "count": "7",
        "size": 1,
        "seen-on": "1970-01-01",
        "class": 2,
        "charging": "yes",
        "town": "Sparta",
        "built": None,
    }
    inputs = [
        {k: v for k, v in entry.items() if entry["name"] != "seen-on" or k not in ("min", "max")}
        for entry in EVERY_TYPE
    ]
    encoded = Signature(signature(inputs)).encode([row])
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded[0], [1, 7, 1, np.nan, 1, np.nan, np.nan, 0])


def test_a_number_too_large_for_the_model_is_the_clients_error(tmp_path: Path) -> None:
    huge = [{"name": "a", "type": "number"}, {"name": "b", "type": "number"}]
    predictor = Predictor(bundle(tmp_path / "b", huge, "regression"), "m", "1")
    model(tmp_path / "b" / "model.onnx", 2, "regression", bias=3.4e38)
    predictor = Predictor(tmp_path / "b", "m", "1")
    with pytest.raises(Problem, match="no finite answer") as caught:
        predictor.predict([{"a": 1, "b": 1}, {"a": 3.4e38, "b": 1}])
    assert (caught.value.status, caught.value.row) == (422, 1)


def edit(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "signature.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


BREAKAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no model": (lambda f: (f / "model.onnx").unlink(), "model.onnx"),
    "no signature": (lambda f: (f / "signature.json").unlink(), "signature.json"),
    "a model that is none": (lambda f: (f / "model.onnx").write_bytes(b"not ONNX"), "robots"),
    "another format": (edit(format=3), "format 3"),
    "no inputs": (edit(inputs=[]), "distinct"),
    "one input twice": (edit(inputs=[{"name": "a", "type": "number"}] * 3), "distinct"),
    "an input too few": (edit(inputs=[{"name": "a", "type": "number"}]), "1 inputs"),
    "an entry missing": (edit(onnx={}), "'input' is missing"),
    "other outputs": (edit(onnx={"input": "features", "outputs": ["label", "certainty"]}), "certainty"),
    "other classes": (
        edit(output={"name": "c", "type": "category", "classes": [0, 1, 2], "labels": LABELS}),
        "classes",
    ),
    "a signature that is no JSON": (lambda f: (f / "signature.json").write_text("{"), "robots"),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_a_broken_bundle_is_rejected(tmp_path: Path, what: str) -> None:
    breakage, why = BREAKAGES[what]
    breakage(bundle(tmp_path / "b"))
    with pytest.raises(BrokenBundle, match=why):
        Predictor(tmp_path / "b", "robots", "1")


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=5))
def test_one_row_is_rounded_as_many_are(shares: list[float]) -> None:
    one = np.array([shares], dtype=np.float32)
    assert rounded(one) * 2 == rounded(np.repeat(one, 2, axis=0))


def test_half_a_character_in_a_new_category_is_a_note(tmp_path: Path) -> None:
    town = {"name": "town", "type": "category", "nullable": True, "categories": ["Argos"], "unknown": "warn"}
    (note,) = Predictor(bundle(tmp_path / "b", [town]), "towns", "1").signature.notes([{"town": "\ud800"}])
    assert note.encode().decode() == '"town": the model does not know "?", and takes it as missing.'
