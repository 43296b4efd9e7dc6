"""The folds of cross-validation: rows of one entity are never both trained on and predicted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.training.matrix import Table

Rows = NDArray[np.int64]


def sample(table: Table, most: int, seed: int) -> Table:
    """Return at most ``most`` rows of a table: the same ones for the same seed, in their order."""
    if len(table) <= most:
        return table
    return table.take(np.sort(np.random.default_rng(seed).permutation(len(table))[:most]))


def assign(y: NDArray[Any], groups: Rows | None, folds: int, seed: int, classes: int) -> Rows:
    """Assign a fold, 0 … folds-1, to every row: groups stay together, classes are distributed evenly.

    Args:
        y: class index if ``classes`` is not 0.
        groups: rows with equal numbers stay together; None: rows are independent.
    """
    if groups is None:
        group = np.arange(len(y))
    else:
        group = np.unique(groups, return_inverse=True)[1]
    count = int(group.max()) + 1
    stratum = np.zeros(count, dtype=np.int64)
    if classes:  # the most frequent class of a group's rows
        stratum = np.bincount(group * classes + y, minlength=count * classes).reshape(count, classes).argmax(axis=1)
    order = np.lexsort((np.random.default_rng(seed).random(count), stratum))
    fold = np.empty(count, dtype=np.int64)
    fold[order] = np.arange(count) % folds
    return fold[group]


def splits(table: Table, folds: int, seed: int, classes: int) -> list[tuple[Rows, Rows]]:
    """Return (rows to train on, rows to predict) of every fold; if the split is by time, later rows are predicted.

    Raises:
        PantheonError: there are too few rows, entities or classes.
    """
    pairs: list[tuple[Rows, Rows]] = []
    if table.time is not None:
        blocks = np.array_split(np.argsort(table.time, kind="stable"), folds + 1)
        pairs = [(np.sort(np.concatenate(blocks[:i])), np.sort(blocks[i])) for i in range(1, folds + 1)]
        pairs = _usable(pairs, table.y, classes)
    if not pairs:
        fold = assign(table.y, table.groups, folds, seed, classes)
        pairs = _usable(
            [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(folds)], table.y, classes
        )
    if not pairs:
        raise PantheonError(
            f"the training part of {len(table)} rows is too small for cross-validation.",
            "Provide more rows, or rows of more entities in every class.",
        )
    return pairs


def _usable(pairs: list[tuple[Rows, Rows]], y: NDArray[Any], classes: int) -> list[tuple[Rows, Rows]]:
    least = 2 if classes else 1
    return [(fit, test) for fit, test in pairs if len(test) and len(fit) > 1 and len(np.unique(y[fit])) >= least]
