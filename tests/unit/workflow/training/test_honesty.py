"""Reasons to doubt a score: leaking columns, rare classes, copies, long tails; and sound data without any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon.workflow.outputs import Preprocessed
from pantheon.workflow.run import Run
from pantheon.workflow.stages.preprocess import preprocess
from pantheon.workflow.training.honesty import alike, long_tailed, reasons
from pantheon.workflow.training.matrix import Table, load_spec
from tests.support.data import new_run, through, write
from tests.support.training import MakeRun, bundled

__all__ = ["bundled", "new_run", "through", "write"]

Doubts = Callable[..., list[str]]


def doubts_of(run: Run) -> list[str]:
    preprocess(run)
    spec, inputs = load_spec(run), run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    metric = "rmse" if spec.task == "regression" else "roc_auc"
    return reasons(run, spec, inputs, Table.load(run.path("features/train.npz")), metric)


@pytest.fixture
def doubts(through: Callable[..., Run], write: Callable[..., Path]) -> Doubts:
    """The reasons to doubt the scores of a table with the target ``churn``."""

    def doubts(**columns: Any) -> list[str]:
        return doubts_of(through(write(pl.DataFrame(columns).write_csv()), "churn"))

    return doubts


RANDOM = np.random.default_rng(0)
AGE = RANDOM.normal(50, 10, 1000).round(2)
CHURN = (AGE + RANDOM.normal(0, 15, 1000) > 50).astype(int)


def flipped(share: float) -> Any:
    return np.where(RANDOM.random(1000) < share, 1 - CHURN, CHURN)


def test_a_column_that_predicts_the_target_alone_is_named_with_the_command_that_leaves_it_out(doubts: Doubts) -> None:
    (warning,) = doubts(age=AGE, code=flipped(0.003), churn=CHURN)
    assert "Column 'code' alone predicts 'churn' almost perfectly (ROC AUC 0.99" in warning
    assert warning.endswith("leave it out: `bin/pantheon run --ignore code`")


def test_a_column_that_is_only_filled_afterwards_is_named(doubts: Doubts) -> None:
    days = [float(n % 90) + 0.5 if left else None for n, left in enumerate(CHURN)]
    (warning,) = doubts(age=AGE, other=AGE[::-1], days_since=days, churn=CHURN)
    assert "Column 'days_since' alone predicts" in warning


def test_a_column_named_like_the_target_needs_less(doubts: Doubts) -> None:
    column = flipped(0.07)
    (warning,) = doubts(age=AGE, churn_reason=column, churn=CHURN)
    assert "'churn_reason' is named like 'churn'" in warning
    assert doubts(age=AGE, plan=column, churn=CHURN) == []


def test_a_column_that_carries_the_score_is_named(doubts: Doubts) -> None:
    (warning,) = doubts(age=AGE, noise=RANDOM.normal(size=1000), plan=flipped(0.03), churn=CHURN)
    assert "Column 'plan' carries the score" in warning


def test_a_number_that_predicts_a_number_is_named(doubts: Doubts) -> None:
    money = RANDOM.normal(1000, 200, 1000)
    found = doubts(age=AGE, tax=(money * 0.19).round(2), churn=money.round(2))
    assert found[0].startswith("Column 'tax' alone predicts 'churn' almost perfectly (R² 1).")


@pytest.mark.parametrize("name", ["robots", "wine", "breast_cancer", "diabetes"])
def test_sound_data_raises_no_doubt(bundled: MakeRun, name: str) -> None:
    assert doubts_of(bundled(name)) == []


def test_names_are_compared_by_words() -> None:
    assert alike("churn_reason", "Churn")
    assert alike("isFraudLabel", "fraud")
    assert not alike("number", "numb")
    assert not alike("y2", "y")


def test_rare_classes_are_named_with_what_to_do(doubts: Doubts) -> None:
    classes = ["a", "b"] * 150 + ["one"] + ["two"] * 2 + ["five"] * 5
    found = doubts(x=RANDOM.normal(size=len(classes)).round(4), churn=classes)
    assert found == [
        "Class 'five' of 'churn' has 5 rows, 4 of them to train: it can hardly be learnt, and its scores mean little: "
        "5 folds need 5. Use `bin/pantheon run --folds 4` or more rows of it.",
        "Class 'one' of 'churn' has 1 row: the model cannot learn it. Provide more rows of it.",
        "Class 'two' of 'churn' has 2 rows, 1 of them to train: it can hardly be learnt, and its scores mean little: "
        "5 folds need 5. Use more rows of it.",
    ]


def test_copies_are_said(doubts: Doubts) -> None:
    x, z, churn = (np.tile(values, 3) for values in (AGE[:200], AGE[200:400], CHURN[:200]))
    (warning,) = doubts(x=x, z=z, churn=churn)
    assert warning.startswith(
        "600 of 600 rows have the same inputs as another row (200 distinct). Such copies are kept"
    )


def test_a_long_tail_offers_other_metrics(doubts: Doubts) -> None:
    assert long_tailed(RANDOM.lognormal(8, 2, 2000))
    assert long_tailed(np.where(RANDOM.random(2000) < 0.8, 0, RANDOM.lognormal(6, 1.2, 2000)))
    assert not long_tailed(RANDOM.normal(size=2000))
    assert not long_tailed(RANDOM.exponential(size=2000))
    (warning,) = doubts(x=AGE, z=RANDOM.normal(size=1000), churn=RANDOM.lognormal(8, 2, 1000).round(2))
    assert "`bin/pantheon run --metric rmsle` or `bin/pantheon run --metric mae`" in warning
