"""The gate's decisions and reasons."""

from typing import Any

import numpy as np
import pytest

from pantheon.workflow.training.gate import chance, difference, judge

NONE = {"model": 0.9, "other": 0.5, "gain": 0.4, "margin": 0.03}


def comparison(
    baseline: dict[str, Any] = NONE, deployed: dict[str, Any] | None = None, greater: bool = True
) -> dict[str, Any]:
    metric = "roc_auc" if greater else "rmse"
    return {"metric": metric, "greater_is_better": greater, "baseline": baseline, "deployed": deployed}


def deployed(other: float, gain: float, margin: float) -> dict[str, Any]:
    return {"version": "3", "comparable": True, "model": other + gain, "other": other, "gain": gain, "margin": margin}


def test_the_first_model_only_has_to_beat_the_baseline() -> None:
    decision, reason = judge(comparison(), "auto")
    assert decision == "promoted"
    assert reason == "Better than the trivial baseline (ROC AUC 0.9 against 0.5); no model was deployed before."


def test_large_errors_are_written_out() -> None:
    baseline = {"model": 2875.4, "other": 56420.3, "gain": 53544.9, "margin": 900.0}
    assert "(RMSE 2,875 against 56,420)" in judge(comparison(baseline, greater=False), "auto")[1]


@pytest.mark.parametrize(
    ("gain", "decision"), [(0.043, "promoted"), (0.042, "refused"), (0.0, "refused"), (-0.2, "refused")]
)
def test_a_gain_over_the_baseline_within_chance_is_refused(gain: float, decision: str) -> None:
    result, reason = judge(comparison({"model": 0.5 + gain, "other": 0.5, "gain": gain, "margin": 0.03}), "auto")
    assert result == decision
    assert (decision == "refused") == ("Not better than the trivial baseline" in reason)


@pytest.mark.parametrize(
    ("gain", "margin", "decision", "words"),
    [
        (0.02, 0.01, "promoted", "better than the deployed version 3"),
        (0.0, 0.01, "promoted", "as good as the deployed version 3"),
        (-0.004, 0.005, "promoted", "not significantly worse than the deployed version 3"),
        (-0.006, 0.005, "refused", "Worse than the deployed version 3"),
        (-0.02, 0.5, "refused", "Worse than the deployed version 3"),  # few rows are no excuse for a great loss
        (-1e-12, 0.0, "promoted", "as good as the deployed version 3"),  # a run repeated on the same data
    ],
)
def test_against_the_deployed_model(gain: float, margin: float, decision: str, words: str) -> None:
    result, reason = judge(comparison(deployed=deployed(0.9, gain, margin)), "auto")
    assert result == decision
    assert words in reason


def test_an_error_may_grow_by_one_percent_at_most() -> None:
    baseline = {"model": 50.0, "other": 80.0, "gain": 30.0, "margin": 1.0}
    assert judge(comparison(baseline, deployed(50.0, -0.4, 5.0), greater=False), "auto")[0] == "promoted"
    assert judge(comparison(baseline, deployed(50.0, -0.6, 5.0), greater=False), "auto")[0] == "refused"


def test_a_model_that_cannot_be_compared_says_why() -> None:
    other = {"version": "3", "comparable": False, "why": "it needs the column 'age', which this data does not have"}
    decision, reason = judge(comparison(deployed=other), "auto")
    assert decision == "promoted"
    assert "not comparable with the deployed version 3: it needs the column 'age'" in reason


def test_where_approval_is_required_a_good_model_waits_and_a_bad_one_is_refused() -> None:
    decision, reason = judge(comparison(), "required")
    assert decision == "challenger"
    assert reason.endswith("APPROVAL=required: a person must approve it.")
    assert judge(comparison(deployed=deployed(0.9, -0.1, 0.01)), "required")[0] == "refused"


def test_the_margin_shrinks_with_the_rows_and_is_the_same_every_time() -> None:
    random = np.random.default_rng(0)
    margins = {}
    for rows in (100, 1000, 20_000):
        y = random.integers(0, 2, rows)
        message = np.clip(0.5 + 0.2 * (y - 0.5) + random.normal(0, 0.2, rows), 0, 1)
        answer, guess = np.stack([1 - message, message], axis=1), np.full((rows, 2), 0.5)
        one, two = (difference("roc_auc", True, y, answer, guess, seed=5) for _ in range(2))
        assert one == two
        assert one["gain"] is not None
        assert one["gain"] > one["margin"]
        margins[rows] = one["margin"]
    assert margins[100] > 2 * margins[1000] > 4 * margins[20_000] > 0


def test_rows_of_one_entity_are_not_independent() -> None:
    random = np.random.default_rng(0)
    y = np.repeat(random.integers(0, 2, 60), 10)
    message = np.repeat(random.random(60), 10)
    answer, guess = np.stack([1 - message, message], axis=1), np.full((600, 2), 0.5)
    alone = difference("accuracy", True, y, answer, guess)
    together = difference("accuracy", True, y, answer, guess, groups=np.repeat(np.arange(60), 10))
    assert together["margin"] > 2 * alone["margin"]


def test_a_model_compared_with_itself_has_no_difference() -> None:
    y, answer = np.array([0, 1, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    assert difference("roc_auc", True, y, answer, answer) == {
        "model": 0.75,
        "other": 0.75,
        "gain": 0.0,
        "margin": 0.0,
    }


def judged(rows: int) -> tuple[float, str, str]:
    """Return how likely a perfect model of ``rows`` rows is by chance, the decision about it and the reason."""
    y = np.arange(rows) % 2
    answer = np.stack([1 - y, y], axis=1).astype(float)
    likely = chance("roc_auc", True, y, answer, 1, 0)
    decision, reason = judge(
        comparison({"model": 1.0, "other": 0.5, "gain": 0.5, "margin": 0.0, "chance": likely}), "auto"
    )
    return likely, decision, reason


def test_three_rows_prove_nothing() -> None:
    likely, decision, reason = judged(3)
    assert likely >= 0.01
    assert decision == "refused"
    assert "Too few held-out rows to prove anything: the same predictions in random order score as well in 3" in reason


def test_thirty_rows_prove_that_a_model_is_better() -> None:
    likely, decision, _ = judged(30)
    assert likely < 0.01
    assert decision == "promoted"


def test_rounding_never_refuses_a_repeated_regression() -> None:
    """Predictions are float32: the same model may score 1.4230001 and 1.4230002."""
    baseline = {"model": 1.423, "other": 3.0, "gain": 1.577, "margin": 0.1}
    for scale in (1e-6, 1.0, 1e6):
        scaled = {key: value * scale for key, value in baseline.items()}
        loss = deployed(1.423 * scale, -3e-6 * scale, 0.0)
        decision, reason = judge(comparison(scaled, loss, greater=False), "auto")
        assert (decision, "as good as the deployed version 3" in reason) == ("promoted", True)
    assert judge(comparison(baseline, deployed(1.423, -3e-5, 0.0), greater=False), "auto")[0] == "refused"


def test_after_another_split_a_better_score_of_the_deployed_model_decides_nothing() -> None:
    split = {"split": "its rows were split otherwise (by hash, 30% held out)"}
    decision, reason = judge(comparison(deployed=deployed(0.95, -0.05, 0.01) | split), "auto")
    assert decision == "promoted"
    assert "not comparable with the deployed version 3 (0.95 on these rows): its rows were split otherwise" in reason
    assert "it was trained on some of today's held-out rows." in reason
    decision, reason = judge(comparison(deployed=deployed(0.95, -0.05, 0.01) | split), "required")
    assert decision == "challenger"
    better = judge(comparison(deployed=deployed(0.8, 0.1, 0.01) | split), "auto")[1]
    assert "better than the deployed version 3" in better
    assert "may have been trained on some of these rows" in better


def test_after_another_metric_both_models_are_scored_anew() -> None:
    other = deployed(50.0, 1.0, 0.5) | {"metric": "mae"}
    baseline = {"model": 49.0, "other": 80.0, "gain": 31.0, "margin": 1.0}
    reason = judge(comparison(baseline, other, greater=False), "auto")[1]
    assert reason.endswith("Version 3 was chosen by MAE; both are scored anew by RMSE.")
