"""The metrics compared with scikit-learn's and with values computed by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from pantheon.errors import PantheonError
from pantheon.workflow.training.metrics import GREATER_IS_BETTER, calibration, primary, roc_auc, score, scores


@pytest.fixture(params=[2, 3, 5])
def answered(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(request.param)
    answer = random.dirichlet(np.ones(request.param), 400).round(2)
    answer /= answer.sum(axis=1, keepdims=True)
    y = np.array([random.choice(request.param, p=row) for row in answer])
    return y, answer


def test_classification_metrics_equal_those_of_scikit_learn(answered: tuple[np.ndarray, np.ndarray]) -> None:
    y, answer = answered
    result = scores("classification", y, answer, positive=1)
    label, two = answer.argmax(axis=1), answer.shape[1] == 2
    assert result["accuracy"] == pytest.approx(sk.accuracy_score(y, label), abs=1e-12)
    assert result["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, label), abs=1e-12)
    assert result["f1"] == pytest.approx(sk.f1_score(y, label, average="binary" if two else "macro"), abs=1e-12)
    ranked = sk.roc_auc_score(y, answer[:, 1] if two else answer, multi_class="ovr")
    assert result["roc_auc"] == pytest.approx(ranked, abs=1e-12)
    assert result["pr_auc"] == pytest.approx(sk.average_precision_score(y, answer[:, 1] if two else answer), abs=1e-12)
    assert result["log_loss"] == pytest.approx(sk.log_loss(y, answer), abs=1e-12)
    assert result["brier"] == pytest.approx(sk.brier_score_loss(y, answer[:, 1] if two else answer), abs=1e-12)


def test_regression_metrics_equal_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    y, answer = random.normal(size=50), random.normal(size=50)
    result = scores("regression", y, answer)
    assert result["rmse"] == pytest.approx(sk.root_mean_squared_error(y, answer), abs=1e-12)
    assert result["mae"] == pytest.approx(sk.mean_absolute_error(y, answer), abs=1e-12)
    assert result["r2"] == pytest.approx(sk.r2_score(y, answer), abs=1e-12)


def test_ties_count_half() -> None:
    assert roc_auc(np.array([True, False, True, False]), np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert roc_auc(np.array([True, False]), np.array([0.9, 0.1])) == 1.0


def test_undefined_metrics_are_none() -> None:
    y, answer = np.zeros(4, int), np.full((4, 2), 0.5)
    assert score("roc_auc", y, answer) is None
    assert score("r2", np.array([1.0]), np.array([2.0])) is None
    assert score("accuracy", y, answer) == 1.0


def test_calibration_counts_every_row_once() -> None:
    random = np.random.default_rng(0)
    message = random.random(5000)
    y = (random.random(5000) < message).astype(int)
    bins = calibration(y, np.stack([1 - message, message], axis=1), 1)
    assert sum(b["rows"] for b in bins) == 5000
    assert len(bins) == 10
    assert all(abs(b["predicted"] - b["observed"]) < 0.08 for b in bins)
    assert score("calibration_error", y, np.stack([1 - message, message], axis=1)) < 0.03


def test_an_unknown_metric_names_the_available_ones() -> None:
    assert primary("classification", "") == ("roc_auc", True)
    assert primary("regression", "") == ("rmse", False)
    with pytest.raises(PantheonError, match=r"'rmse' is not a metric for classification.*roc_auc"):
        primary("classification", "rmse")


def test_the_command_line_knows_every_metric() -> None:
    from pantheon.deployment.settings import METRICS

    assert list(METRICS) == [name for metrics in GREATER_IS_BETTER.values() for name in metrics]


def test_the_error_of_logarithms_is_relative_and_knows_zero_and_debts() -> None:
    y = np.array([0.0, 99.0, -9.0])
    assert score("rmsle", y, y) == 0
    assert score("rmsle", np.array([9.0, -9.0]), np.array([99.0, -99.0])) == pytest.approx(np.log(10))
