"""How good the predictions were, from what was said in the window, with intervals of 95 %.

Shares (accuracy, precision, recall) have Wilson's interval. F1 is ``2 TP / (2 TP + FP + FN)``: with
``q = TP / (TP + FP + FN)``, a share, it is ``2 q / (1 + q)``, so that it has the interval of ``q``, transformed. The
mean absolute error has the t interval; the root mean squared error, the root of the t interval of its square.

The measure that decides is accuracy, or the mean absolute error. It is compared with the windows before, once those
have ``SOME`` judged rows: who gives feedback may not be who asks, and that stays the same. Until then, with the
held-out rows of the training. It is worse if that is certain to 99.99 % in one window or to 99 % in two in a row (those
have the same past, so that they are not independent), and if it is worth talking about.
"""

import math
from collections import Counter
from dataclasses import dataclass

from scipy import stats

from pantheon.monitoring.baseline import Baseline
from pantheon.monitoring.report import Measure
from pantheon.monitoring.statistics import Count, difference, mean, share
from pantheon.monitoring.window import Judged

LEAST = 30  # judged rows, of fewer windows together if need be
SOME = 300  # of the windows before
WORTH = 0.02  # of accuracy
WORTH_RATIO = 1.1  # of an error
CERTAIN, STRONG = 0.99, 0.9999


@dataclass(frozen=True)
class Verdict:
    """Whether the predictions are worse.

    Attributes:
        measures: all of them; the first one decides.
        decided: whether there was enough feedback to say.
        worse, strongly: than what they are compared with, by more than chance; beyond any doubt.
        before: whether they are compared with the windows before, or else with the held-out rows.
    """

    measures: list[Measure]
    decided: bool = False
    worse: bool = False
    strongly: bool = False
    before: bool = False


def judge(found: Judged, baseline: Baseline, before: dict[str, Count]) -> Verdict:
    """Compare what was said with what is known.

    Args:
        before: sums over the windows before: ``accuracy`` → judged and right; ``error`` → rows and sum of the
            distances, ``error²`` → rows and sum of their squares.
    """
    if baseline.model.classes or not found.errors[0]:
        return _shares(found, baseline, before.get("accuracy", (0, 0)))
    return _errors(found, baseline, before.get("error", (0, 0)), before.get("error²", (0, 0)))


def _shares(found: Judged, baseline: Baseline, before: Count) -> Verdict:
    reference = baseline.scores.get("accuracy")
    known = before[0] >= SOME
    against = before if known else (0.0, 0.0) if reference is None else (baseline.tested, reference * baseline.tested)
    usual = against[1] / against[0] if against[0] else None
    one = share(found.right)
    measures = [Measure("accuracy", one.value, one.low, one.high, one.rows, usual)]
    if baseline.model.classes:
        measures += _of_class(found.confusion, baseline)
    if found.right[0] < LEAST or not against[0]:
        return Verdict(measures, before=known)
    gap, _, high = difference(found.right, against, CERTAIN)
    _, _, very_high = difference(found.right, against, STRONG)
    worth = gap <= -WORTH
    return Verdict(measures, True, worth and high < 0, worth and very_high < 0, known)


def _of_class(confusion: Counter[tuple[str, str]], baseline: Baseline) -> list[Measure]:
    """Return precision, recall and F1 of the class that the outcome is, where the true class is known."""
    name = baseline.model.outcome
    both = confusion[name, name]
    predicted = sum(rows for (one, _), rows in confusion.items() if one == name)
    true = sum(rows for (_, other), rows in confusion.items() if other == name)
    if not both and not predicted and not true:
        return []
    binary = len(baseline.model.classes) == 2
    found = []
    for measure, of, to in (
        ("precision", predicted, _same),
        ("recall", true, _same),
        ("f1", predicted + true - both, _f1),
    ):
        one = share((of, both))
        value, low, high = (None if each is None else to(each) for each in (one.value, one.low, one.high))
        reference = baseline.scores.get(measure) if binary else None  # of more classes, theirs is a mean
        found.append(Measure(measure, value, low, high, one.rows, reference))
    return found


def _same(value: float) -> float:
    return value


def _f1(value: float) -> float:
    return 2 * value / (1 + value)


def _errors(found: Judged, baseline: Baseline, before: Count, squares: Count) -> Verdict:
    rows, total, square, fourth = found.errors
    known = before[0] >= SOME
    usual = before[1] / before[0] if known else baseline.scores.get("mae")
    if rows < 2:
        return Verdict([Measure("mae", total / rows, None, None, rows, usual)], before=known)
    middle, low, high = mean(rows, total, square)
    second, second_low, second_high = mean(rows, square, fourth)
    root = [math.sqrt(max(0.0, each)) for each in (second, second_low, second_high)]
    measures = [
        Measure("mae", middle, max(0.0, low), high, rows, usual),
        Measure("rmse", root[0], root[1], root[2], rows, baseline.scores.get("rmse")),
    ]
    if rows < LEAST or usual is None:
        return Verdict(measures, before=known)
    own = max(0.0, second - middle * middle) / (rows - 1)
    other = max(0.0, squares[1] / squares[0] - usual * usual) / (squares[0] - 1) if known and squares[0] > 1 else own
    z = (middle - usual) / math.sqrt(own + other) if own + other else (math.inf if middle > usual else 0.0)
    worth = middle >= WORTH_RATIO * usual
    certain, strong = (float(stats.norm.ppf(0.5 + level / 2)) for level in (CERTAIN, STRONG))
    return Verdict(measures, True, worth and z > certain, worth and z > strong, known)
