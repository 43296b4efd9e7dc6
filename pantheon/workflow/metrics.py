"""How good answers are. One table of names for ranking, tuning, the gate and the card."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from pantheon.errors import PantheonError

Doubles = NDArray[np.float64]

GREATER_IS_BETTER: dict[str, dict[str, bool]] = {
    "classification": {
        "roc_auc": True,
        "accuracy": True,
        "balanced_accuracy": True,
        "f1": True,
        "pr_auc": True,
        "log_loss": False,
        "brier": False,
        "calibration_error": False,
    },
    "regression": {"rmse": False, "mae": False, "r2": True},
}
BINS = 10


def primary(task: str, asked: str) -> tuple[str, bool]:
    """The metric that decides, and whether more of it is better; the task's first when none is asked for.

    ROC AUC and RMSE by default: accuracy of the likelier class moves in steps, and on a rare class not at all.

    Raises:
        PantheonError: the task has no such metric.
    """
    known = GREATER_IS_BETTER[task]
    name = asked or next(iter(known))
    if name not in known:
        raise PantheonError(f"metric {name!r} is not one for {task}.", f"Use one of {', '.join(known)}.")
    return name, known[name]


def score(name: str, y: NDArray[Any], answer: Doubles, positive: int = 1) -> float | None:
    """One metric.

    Args:
        y: class index (rows,), or numbers.
        answer: probabilities (rows, classes), or numbers (rows,).
        positive: the class that scores of two classes speak of.

    Returns:
        None where the metric has no meaning: ROC AUC of rows that are all of one class, R² of a single row.
    """
    if answer.ndim == 1:
        return _number(name, y, answer)
    label = answer.argmax(axis=1)
    classes = answer.shape[1]
    if name == "accuracy":
        return float(np.mean(label == y))
    if name == "balanced_accuracy":
        return float(np.mean([np.mean(label[y == c] == c) for c in np.unique(y)]))
    if name == "f1":
        of = [positive] if classes == 2 else sorted(set(y.tolist()) | set(label.tolist()))
        return float(np.mean([_f1(y == c, label == c) for c in of]))
    if name == "roc_auc":
        return _each_class(roc_auc, y, answer, positive)
    if name == "pr_auc":
        return _each_class(sk.average_precision_score, y, answer, positive)
    if name == "log_loss":
        return float(sk.log_loss(y, answer, labels=np.arange(classes)))
    if name == "brier":
        if classes == 2:
            return float(np.mean((answer[:, positive] - (y == positive)) ** 2))
        return float(np.mean(np.sum((answer - np.eye(classes)[y]) ** 2, axis=1)))
    if name == "calibration_error":
        rows = calibration(y, answer, positive)
        return float(sum(b["rows"] * abs(b["predicted"] - b["observed"]) for b in rows) / len(y))
    raise KeyError(name)


def roc_auc(true: NDArray[np.bool_], said: Doubles) -> float:
    """The share of pairs of a true and a false row that are ranked rightly, ties counting half (Mann-Whitney's U).

    scikit-learn's, to 1e-15, at a tenth of the time: the gate's bootstrap asks hundreds of times.
    """
    false = np.sort(said[~true])
    right = np.searchsorted(false, said[true], "left") + np.searchsorted(false, said[true], "right")
    return float(right.sum() / 2 / len(false) / true.sum())


def scores(task: str, y: NDArray[Any], answer: Doubles, positive: int = 1) -> dict[str, float | None]:
    """Every metric of the task."""
    return {name: score(name, y, answer, positive) for name in GREATER_IS_BETTER[task]}


def calibration(y: NDArray[Any], answer: Doubles, positive: int = 1) -> list[dict[str, Any]]:
    """In ten equal ranges of probability: what was said on average, and how often it came true.

    Of two classes the positive one's probability, of more classes that of the likeliest.
    """
    if answer.shape[1] == 2:
        said, true = answer[:, positive], (y == positive).astype(float)
    else:
        said, true = answer.max(axis=1), (answer.argmax(axis=1) == y).astype(float)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    found = []
    for bin_ in np.unique(place):
        inside = place == bin_
        found.append(
            {"predicted": float(said[inside].mean()), "observed": float(true[inside].mean()), "rows": int(inside.sum())}
        )
    return found


def better(value: float, than: float, greater: bool) -> float:
    """By how much ``value`` is better (negative: worse)."""
    return value - than if greater else than - value


def _number(name: str, y: NDArray[Any], answer: Doubles) -> float | None:
    error = answer - y
    if name == "rmse":
        return float(np.sqrt(np.mean(error**2)))
    if name == "mae":
        return float(np.mean(np.abs(error)))
    if name == "r2":
        total = float(np.sum((y - np.mean(y)) ** 2))
        return 1 - float(np.sum(error**2)) / total if total > 0 else None
    raise KeyError(name)


def _f1(true: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    both = int(np.sum(true & said))
    return 2 * both / (int(true.sum()) + int(said.sum())) if both else 0.0


def _each_class(metric: Any, y: NDArray[Any], answer: Doubles, positive: int) -> float | None:
    """A ranking metric of the positive class, or, of more than two classes, the mean over one against the rest."""
    found = [
        float(metric(y == c, answer[:, c]))
        for c in ([positive] if answer.shape[1] == 2 else np.unique(y))
        if 0 < np.sum(y == c) < len(y)
    ]
    return float(np.mean(found)) if found else None


def usable(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that have a value."""
    return {name: value for name, value in values.items() if value is not None}


def say(metric: str) -> str:
    """A metric's name as people write it."""
    known = {
        "roc_auc": "ROC AUC",
        "pr_auc": "PR AUC",
        "rmse": "RMSE",
        "mae": "MAE",
        "r2": "R²",
        "f1": "F1",
        "brier": "the Brier score",
    }
    return known.get(metric, metric.replace("_", " "))
