"""Rows with the same inputs: copies, which must not be divided between training and testing.

A model that was trained on a row knows its copy, whatever it has learnt. So copies are in the same part of the split
and in the same fold. But where inputs take few values (class, sex and age group of passengers), rows coincide by
chance, and new rows will too. These are not copies: each of them is an observation of its own.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pantheon.workflow.data.spec import Column

MORE = 20  # times more coinciding pairs of rows than independent columns explain: then rows are copies
VALUES = 50  # a single input with fewer values repeats them by chance
GIANT = 0.5  # share of rows in one group, from which entities and copies cannot both be kept together

Rows = NDArray[np.int64]


def first_equal(frame: pl.LazyFrame, features: Sequence[Column]) -> Rows:
    """Return for every row the position of the first row with the same inputs: its own position if it is the first."""
    inputs = pl.struct([pl.col(column.name) for column in features])
    # The hash decides only which rows are equal: another version of Polars with other hashes gives the same result.
    hashes = frame.select(inputs.hash()).collect(engine="streaming").to_series()
    if hashes.n_unique() == len(hashes):
        return np.arange(len(hashes))
    _, first, member = np.unique(hashes.to_numpy(), return_index=True, return_inverse=True)
    return first[member].astype(np.int64)


def by_chance(frame: pl.LazyFrame, features: Sequence[Column], first: Rows) -> bool:
    """Whether so many rows coincide by chance, given how often every single value occurs."""
    rows = len(first)
    sizes = np.bincount(first).astype(np.float64)
    coinciding = float((sizes * (sizes - 1)).sum()) / 2
    if len(features) == 1:
        return features[0].type in ("boolean", "category") or int((sizes > 0).sum()) < VALUES
    expected = math.comb(rows, 2) * 1.0
    for column in features:
        counts = frame.select(pl.col(column.name)).collect().to_series().rename("").value_counts()["count"].to_numpy()
        expected *= float(((counts / rows) ** 2).sum())
        if coinciding > MORE * expected:
            return False
    return True


def joined(one: Rows, other: Rows) -> Rows:
    """Join two groupings of the same rows: rows that either of them keeps together get the same number.

    Args:
        one, other: any number per group, 0 or above (rows,).

    Returns:
        For every row, the position of the first row of its joined group.
    """
    left, right = (np.unique(each, return_inverse=True)[1] for each in (one, other))
    groups = int(left.max()) + 1
    size = groups + int(right.max()) + 1
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, groups + right)), shape=(size, size))
    member = connected_components(graph, directed=False)[1][left]
    _, first, place = np.unique(member, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def too_large(first: Rows) -> bool:
    """Whether one group has most of the rows."""
    return bool(np.bincount(first).max() > GIANT * len(first))
