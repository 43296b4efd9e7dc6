"""The metrics against scikit-learn's and against what can be counted by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from pantheon.errors import PantheonError
from pantheon.workflow.metrics import calibration, primary, roc_auc, score, scores


@pytest.fixture(params=[2, 3, 5])
def answered(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(request.param)
    answer = random.dirichlet(np.ones(request.param), 400).round(2)
    answer /= answer.sum(axis=1, keepdims=True)
    y = np.array([random.choice(request.param, p=row) for row in answer])
    return y, answer


def test_they_are_scikit_learns(answered: tuple[np.ndarray, np.ndarray]) -> None:
    y, answer = answered
    found = scores("classification", y, answer, positive=1)
    label, two = answer.argmax(axis=1), answer.shape[1] == 2
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, label), abs=1e-12)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, label), abs=1e-12)
    assert found["f1"] == pytest.approx(sk.f1_score(y, label, average="binary" if two else "macro"), abs=1e-12)
    ranked = sk.roc_auc_score(y, answer[:, 1] if two else answer, multi_class="ovr")
    assert found["roc_auc"] == pytest.approx(ranked, abs=1e-12)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(y, answer[:, 1] if two else answer), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, answer), abs=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(y, answer[:, 1] if two else answer), abs=1e-12)


def test_numbers_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    y, answer = random.normal(size=50), random.normal(size=50)
    found = scores("regression", y, answer)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y, answer), abs=1e-12)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, answer), abs=1e-12)
    assert found["r2"] == pytest.approx(sk.r2_score(y, answer), abs=1e-12)


def test_ties_count_half() -> None:
    assert roc_auc(np.array([True, False, True, False]), np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert roc_auc(np.array([True, False]), np.array([0.9, 0.1])) == 1.0


def test_what_has_no_meaning_is_none() -> None:
    y, answer = np.zeros(4, int), np.full((4, 2), 0.5)
    assert score("roc_auc", y, answer) is None
    assert score("r2", np.array([1.0]), np.array([2.0])) is None
    assert score("accuracy", y, answer) == 1.0


def test_calibration_counts_every_row_once() -> None:
    random = np.random.default_rng(0)
    said = random.random(5000)
    y = (random.random(5000) < said).astype(int)
    bins = calibration(y, np.stack([1 - said, said], axis=1), 1)
    assert sum(b["rows"] for b in bins) == 5000
    assert len(bins) == 10
    assert all(abs(b["predicted"] - b["observed"]) < 0.08 for b in bins)
    assert score("calibration_error", y, np.stack([1 - said, said], axis=1)) < 0.03


def test_an_unknown_metric_names_the_known() -> None:
    assert primary("classification", "") == ("roc_auc", True)
    assert primary("regression", "") == ("rmse", False)
    with pytest.raises(PantheonError, match=r"'rmse' is not one for classification.*roc_auc"):
        primary("classification", "rmse")
