"""Predict rows with one input shuffled, for permutation importance, without preparing the other inputs again.

Shuffling an input changes only the few prepared columns that are computed from it, so the time grows with the number of
inputs, not with its square. The predictions are those of ``Fitted.predict``.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from pantheon.workflow.training.candidates import Fitted
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.importance import Job
from pantheon.workflow.training.log_target import LogTarget
from pantheon.workflow.training.metrics import Doubles

BATCH_ROWS = 4000  # rows that trees predict at once, at most: a call takes as long as hundreds of rows
WIDE = 1000  # columns of a linear model above which it is computed block by block

Places = NDArray[np.int64]


class Columns:
    """Shuffle inputs of a fitted model by changing its prepared columns in place.

    Args:
        X: float32 (rows, inputs).
    """

    def __init__(self, model: Fitted, X: Floats) -> None:
        self.model, self.X = model, X
        self.prepared = model.prepare(X)
        self.part = model.preparation.parts(filled=not model.missing)

    def plain(self) -> Doubles:
        return self.model.answer(self.prepared)

    def shuffled(self, jobs: Iterable[Job]) -> Iterator[Doubles | None]:
        work = self.prepared.copy(order="K")
        for job in jobs:
            columns, values = self.change(job)
            work[:, columns] = values
            yield self.model.answer(work)
            work[:, columns] = self.prepared[:, columns]

    def change(self, job: Job) -> tuple[Places, NDArray[Any]]:
        """Return the prepared columns that depend on the job's input, and their values once it is shuffled."""
        part = self.part(job.place)
        X = self.X[:, part.places]
        X[:, 0] = X[job.order, 0]
        values: NDArray[Any] = part.preparation.transform(X)
        if not self.model.missing:
            values = part.preparation.fill(values)
        if (scaler := self.model.scaler) is not None:
            values = (values.astype(np.float64) - scaler.mean_[part.columns]) / scaler.scale_[part.columns]
        return part.columns, values


class Trees(Columns):
    """Predict several jobs at once, and none whose columns no tree splits at."""

    def shuffled(self, jobs: Iterable[Job]) -> Iterator[Doubles | None]:
        rows, todo = len(self.X), iter(jobs)
        size = max(1, BATCH_ROWS // rows)
        splits = np.zeros(self.prepared.shape[1], dtype=bool)
        splits[split_columns(self.model.estimator)] = True
        work = np.concatenate([self.prepared] * size)
        while batch := list(islice(todo, size)):
            changes = [self.change(job) for job in batch]
            relevant = [index for index, (columns, _) in enumerate(changes) if splits[columns].any()]
            blocks = {index: slice(place * rows, (place + 1) * rows) for place, index in enumerate(relevant)}
            for index, block in blocks.items():
                columns, values = changes[index]
                work[block, columns] = values
            answers = self.model.answer(work[: len(blocks) * rows]) if blocks else self.prepared
            yield from (answers[blocks[index]] if index in blocks else None for index in range(len(batch)))
            for index, block in blocks.items():
                columns, _ = changes[index]
                work[block, columns] = self.prepared[:, columns]


class WideLinear(Columns):
    """Predict with a linear model of many columns: sum up blocks of columns, and only one block again for a job.

    The sums are the columns of a linear model of the same kind whose coefficients are 1, so that they become
    predictions as they do in the model itself. They differ from its own sums by rounding.
    """

    def __init__(self, model: Fitted, X: Floats) -> None:
        super().__init__(model, X)
        inner = _inner(model.estimator)
        self.coefficients = np.atleast_2d(inner.coef_).T  # (columns, outputs)
        columns, outputs = self.coefficients.shape
        self.width = int(np.ceil(np.sqrt(columns)))
        starts = range(0, columns, self.width)
        self.sums = np.concatenate([self._sum(self.prepared, start) for start in starts], axis=1)
        reduced = copy.copy(inner)
        reduced.coef_ = np.tile(np.eye(outputs), len(starts))
        reduced.coef_ = reduced.coef_ if inner.coef_.ndim == 2 else reduced.coef_[0]
        reduced.n_features_in_ = len(starts) * outputs
        estimator = reduced
        if isinstance(model.estimator, LogTarget):
            estimator = copy.copy(model.estimator)
            estimator.inner = reduced
        self.reduced = copy.copy(model)
        self.reduced.estimator = estimator

    def _sum(self, prepared: NDArray[Any], start: int) -> Doubles:
        block = slice(start, start + self.width)
        return np.asarray(prepared[:, block] @ self.coefficients[block], dtype=np.float64)

    def plain(self) -> Doubles:
        return self.reduced.answer(self.sums)

    def shuffled(self, jobs: Iterable[Job]) -> Iterator[Doubles | None]:
        work, sums = self.prepared.copy(order="K"), self.sums.copy()
        outputs = self.coefficients.shape[1]
        for job in jobs:
            columns, values = self.change(job)
            work[:, columns] = values
            blocks = np.unique(columns // self.width)
            for block in blocks:
                sums[:, block * outputs : (block + 1) * outputs] = self._sum(work, block * self.width)
            yield self.reduced.answer(sums)
            work[:, columns] = self.prepared[:, columns]
            for block in blocks:
                part = slice(block * outputs, (block + 1) * outputs)
                sums[:, part] = self.sums[:, part]


def columns_shuffler(model: Fitted, X: Floats) -> Columns:
    """Return the fastest shuffler for a model."""
    inner = _inner(model.estimator)
    if isinstance(inner, (*FORESTS, *BOOSTINGS)):
        return Trees(model, X)
    if isinstance(inner, LogisticRegression | Ridge) and inner.n_features_in_ > WIDE:
        return WideLinear(model, X)
    return Columns(model, X)


FORESTS = (RandomForestClassifier, RandomForestRegressor)
BOOSTINGS = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def split_columns(estimator: Any) -> Places:
    """Return the columns that any tree of a forest or of a histogram gradient boosting splits at."""
    inner = _inner(estimator)
    if isinstance(inner, FORESTS):
        features: Sequence[Any] = [tree.tree_.feature for tree in inner.estimators_]
        return np.unique(np.concatenate([tree[tree >= 0] for tree in features]))
    nodes = [tree.nodes for trees in inner._predictors for tree in trees]
    return np.unique(np.concatenate([tree["feature_idx"][~tree["is_leaf"].astype(bool)] for tree in nodes]))


def _inner(estimator: Any) -> Any:
    return estimator.inner if isinstance(estimator, LogTarget) else estimator
