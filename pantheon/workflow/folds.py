"""Which rows cross-validation trains on and which it asks: never two rows of one entity on both sides."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.matrix import Table

Rows = NDArray[np.int64]


def sample(table: Table, most: int, seed: int) -> Table:
    """``most`` rows of a table, at most: the same ones for the same seed, in their order."""
    if len(table) <= most:
        return table
    return table.take(np.sort(np.random.default_rng(seed).permutation(len(table))[:most]))


def assign(y: NDArray[Any], groups: Rows | None, folds: int, seed: int, classes: int) -> Rows:
    """A fold, 0 … folds-1, for each row: groups stay together, classes are spread evenly.

    Args:
        y: class index when ``classes`` is not 0.
        groups: equal numbers stay together; None lets each row be its own.
    """
    if groups is None:
        group = np.arange(len(y))
    else:
        group = np.unique(groups, return_inverse=True)[1]
    count = int(group.max()) + 1
    stratum = np.zeros(count, dtype=np.int64)
    if classes:  # the class that most of a group's rows have
        stratum = np.bincount(group * classes + y, minlength=count * classes).reshape(count, classes).argmax(axis=1)
    order = np.lexsort((np.random.default_rng(seed).random(count), stratum))
    fold = np.empty(count, dtype=np.int64)
    fold[order] = np.arange(count) % folds
    return fold[group]


def splits(table: Table, folds: int, seed: int, classes: int) -> list[tuple[Rows, Rows]]:
    """(rows to train on, rows to ask) for each fold; by time, where the split is, so that none is asked of its past.

    Raises:
        PantheonError: there are too few rows (or entities) of too few classes.
    """
    found: list[tuple[Rows, Rows]] = []
    if table.time is not None:
        blocks = np.array_split(np.argsort(table.time, kind="stable"), folds + 1)
        found = [(np.sort(np.concatenate(blocks[:i])), np.sort(blocks[i])) for i in range(1, folds + 1)]
        found = _usable(found, table.y, classes)
    if not found:
        fold = assign(table.y, table.groups, folds, seed, classes)
        found = _usable(
            [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(folds)], table.y, classes
        )
    if not found:
        raise PantheonError(
            f"the training part of {len(table)} rows is too small for cross-validation.",
            "Give more rows, or rows of more entities in each class.",
        )
    return found


def _usable(found: list[tuple[Rows, Rows]], y: NDArray[Any], classes: int) -> list[tuple[Rows, Rows]]:
    least = 2 if classes else 1
    return [(fit, ask) for fit, ask in found if len(ask) and len(fit) > 1 and len(np.unique(y[fit])) >= least]
