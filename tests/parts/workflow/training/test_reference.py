"""A bundle describes the training rows and the model's predictions, the same way each time."""

from collections.abc import Callable

import pytest

from pantheon.files import read_json
from pantheon.workflow.bundle.reference import read
from pantheon.workflow.bundle.write import write_bundle
from pantheon.workflow.run import Run
from tests.support.training import toy_frame


def test_a_bundle_describes_its_training(trained: Callable[..., Run]) -> None:
    run = trained()
    bundle = write_bundle(run)
    described, inputs = read(bundle / "reference.json"), read_json(bundle / "signature.json")["inputs"]
    metrics = read_json(run.path("metrics.json"))
    assert described
    assert {name: each.kind for name, each in described.columns.items()} == {e["name"]: e["type"] for e in inputs}
    assert described.rows == metrics["rows"]["train"]
    age, battery = described.columns["age"], described.columns["battery"]
    assert [age.quantiles[0], age.quantiles[-1]] == pytest.approx(next(e["seen"] for e in inputs if e["name"] == "age"))
    assert battery.missing == pytest.approx(toy_frame()["battery"].null_count() / 600, abs=0.03)
    assert sum(battery.categories.values()) == pytest.approx(1)
    assert described.target
    assert described.predictions
    assert set(described.target.categories) == set(described.predictions.categories) == {"false", "true"}
    assert described.predictions.rows == metrics["rows"]["test"]
    again = trained()
    assert (write_bundle(again) / "reference.json").read_bytes() == (bundle / "reference.json").read_bytes()
