"""Permutation importance: how much the metric worsens when one input is shuffled among the held-out rows."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow import cancellation
from pantheon.workflow.expressions import columns_of
from pantheon.workflow.outputs import Importance
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.matrix import Table
from pantheon.workflow.training.metrics import Doubles, better, score
from pantheon.workflow.training.preparation import Design

ROWS, REPEATS = 2000, 3


class Job(NamedTuple):
    """An input to shuffle: its position, and for every row the row whose value it gets."""

    place: int
    order: NDArray[np.int64]


class Shuffler(Protocol):
    """Predicts the same rows again and again, each time with one input shuffled."""

    def plain(self) -> Doubles:
        """Return the predictions for the rows as they are."""

    def shuffled(self, jobs: Iterable[Job]) -> Iterator[Doubles | None]:
        """Yield the predictions of every job; None: they are those for the rows as they are."""


def rows_to_shuffle(test: Table) -> Table:
    """Return the held-out rows that importance is measured on: the first ones."""
    return test.take(np.arange(min(len(test), ROWS)))


def permutation_importance(
    shuffler: Shuffler, design: Design, rows: Table, metric: str, greater: bool, positive: int, seed: int
) -> list[Importance]:
    """Measure how much the metric worsens when one input is shuffled; largest first.

    Args:
        rows: the rows that the shuffler predicts.
    """
    full = score(metric, rows.y, shuffler.plain(), positive)
    if full is None:
        return []
    used = set(design.columns).union(*(columns_of(tree) for _, tree in design.features))
    random = np.random.default_rng(seed)

    def jobs() -> Iterator[Job]:
        for place, entry in enumerate(design.inputs):
            orders = [random.permutation(len(rows)) for _ in range(REPEATS)]
            if entry["name"] in used:
                yield from (Job(place, order) for order in orders)

    answers = shuffler.shuffled(jobs())
    results: list[Importance] = []
    for entry in design.inputs:
        if entry["name"] not in used:
            continue
        cancellation.check()
        drops = []
        for answer in islice(answers, REPEATS):
            value = full if answer is None else score(metric, rows.y, answer, positive)
            drops.append(better(full, value if value is not None else full, greater))
        results.append({"name": entry["name"], "mean": float(np.mean(drops)), "std": float(np.std(drops))})
    return sorted(results, key=lambda entry: -entry["mean"])


class WholeRows:
    """Shuffle inputs of a model of which only the prediction function is known."""

    def __init__(self, predict: Callable[[Floats], Doubles], X: Floats) -> None:
        self.predict, self.X = predict, X

    def plain(self) -> Doubles:
        return self.predict(self.X)

    def shuffled(self, jobs: Iterable[Job]) -> Iterator[Doubles]:
        X = self.X.copy()
        for place, order in jobs:
            X[:, place] = self.X[order, place]
            yield self.predict(X)
            X[:, place] = self.X[:, place]
