"""What is promoted, what is refused, and what is said about it."""

from typing import Any

import numpy as np
import pytest

from pantheon.workflow.gate import chance, difference, judge

NONE = {"model": 0.9, "other": 0.5, "gain": 0.4, "margin": 0.03}


def comparison(
    baseline: dict[str, Any] = NONE, deployed: dict[str, Any] | None = None, greater: bool = True
) -> dict[str, Any]:
    metric = "roc_auc" if greater else "rmse"
    return {"metric": metric, "greater_is_better": greater, "baseline": baseline, "deployed": deployed}


def deployed(other: float, gain: float, margin: float) -> dict[str, Any]:
    return {"version": "3", "comparable": True, "model": other + gain, "other": other, "gain": gain, "margin": margin}


def test_the_first_model_needs_to_beat_the_baseline_alone() -> None:
    decision, reason = judge(comparison(), "auto")
    assert decision == "promoted"
    assert reason == "Better than the trivial baseline (ROC AUC 0.9 against 0.5); no model was deployed yet."


@pytest.mark.parametrize(
    ("gain", "decision"), [(0.043, "promoted"), (0.042, "refused"), (0.0, "refused"), (-0.2, "refused")]
)
def test_a_gain_over_the_baseline_that_chance_could_make_is_refused(gain: float, decision: str) -> None:
    found, reason = judge(comparison({"model": 0.5 + gain, "other": 0.5, "gain": gain, "margin": 0.03}), "auto")
    assert found == decision
    assert (decision == "refused") == ("Not better than the trivial baseline" in reason)


@pytest.mark.parametrize(
    ("gain", "margin", "decision", "words"),
    [
        (0.02, 0.01, "promoted", "better than version 3"),
        (0.0, 0.01, "promoted", "as good as version 3"),
        (-0.004, 0.005, "promoted", "within chance of version 3"),
        (-0.006, 0.005, "refused", "Worse than version 3"),
        (-0.02, 0.5, "refused", "Worse than version 3"),  # few rows are no excuse for a great loss
        (-1e-12, 0.0, "promoted", "as good as version 3"),  # a run repeated on the same data
    ],
)
def test_against_the_deployed_model(gain: float, margin: float, decision: str, words: str) -> None:
    found, reason = judge(comparison(deployed=deployed(0.9, gain, margin)), "auto")
    assert found == decision
    assert words in reason


def test_an_error_may_grow_by_one_percent_at_most() -> None:
    baseline = {"model": 50.0, "other": 80.0, "gain": 30.0, "margin": 1.0}
    assert judge(comparison(baseline, deployed(50.0, -0.4, 5.0), greater=False), "auto")[0] == "promoted"
    assert judge(comparison(baseline, deployed(50.0, -0.6, 5.0), greater=False), "auto")[0] == "refused"


def test_a_model_that_cannot_be_compared_says_why() -> None:
    other = {"version": "3", "comparable": False, "why": "it needs the column 'age', which this data does not have"}
    decision, reason = judge(comparison(deployed=other), "auto")
    assert decision == "promoted"
    assert "not compared with version 3, which is deployed: it needs the column 'age'" in reason


def test_where_approval_is_required_a_good_model_waits_and_a_bad_one_is_refused() -> None:
    decision, reason = judge(comparison(), "required")
    assert decision == "challenger"
    assert reason.endswith("APPROVAL=required: a person decides.")
    assert judge(comparison(deployed=deployed(0.9, -0.1, 0.01)), "required")[0] == "refused"


def test_the_margin_shrinks_with_the_rows_and_is_the_same_every_time() -> None:
    random = np.random.default_rng(0)
    margins = {}
    for rows in (100, 1000, 20_000):
        y = random.integers(0, 2, rows)
        said = np.clip(0.5 + 0.2 * (y - 0.5) + random.normal(0, 0.2, rows), 0, 1)
        answer, guess = np.stack([1 - said, said], axis=1), np.full((rows, 2), 0.5)
        one, two = (difference("roc_auc", True, y, answer, guess, seed=5) for _ in range(2))
        assert one == two
        assert one.gain is not None
        assert one.gain > one.margin
        margins[rows] = one.margin
    assert margins[100] > 2 * margins[1000] > 4 * margins[20_000] > 0


def test_rows_of_one_entity_are_not_so_many_witnesses() -> None:
    random = np.random.default_rng(0)
    y = np.repeat(random.integers(0, 2, 60), 10)
    said = np.repeat(random.random(60), 10)
    answer, guess = np.stack([1 - said, said], axis=1), np.full((600, 2), 0.5)
    alone = difference("accuracy", True, y, answer, guess)
    together = difference("accuracy", True, y, answer, guess, groups=np.repeat(np.arange(60), 10))
    assert together.margin > 2 * alone.margin


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    y, answer = np.array([0, 1, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    assert difference("roc_auc", True, y, answer, answer).as_dict() == {
        "model": 0.75,
        "other": 0.75,
        "gain": 0.0,
        "margin": 0.0,
    }


@pytest.mark.parametrize(("rows", "proven"), [(3, False), (30, True)])
def test_few_rows_prove_little(rows: int, proven: bool) -> None:
    y = np.arange(rows) % 2
    answer = np.stack([1 - y, y], axis=1).astype(float)
    likely = chance("roc_auc", True, y, answer, 1, 0)
    assert (likely < 0.01) == proven
    decision, reason = judge(
        comparison({"model": 1.0, "other": 0.5, "gain": 0.5, "margin": 0.0, "chance": likely}), "auto"
    )
    assert decision == ("promoted" if proven else "refused")
    assert proven or "Too few held-out rows to prove anything: answers in random order do as well in 3" in reason
