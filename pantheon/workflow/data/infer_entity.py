"""Find columns that name what a row is about (a patient, a customer), by their values instead of by their name.

If every value has several rows with the same target, a model learns the values by heart: it knows the patients that it
was trained on, and nothing about new ones. The rows of a value then stay together in the split, and it is not an input.
"""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.workflow.data.evidence import Evidence
from pantheon.workflow.data.infer_column import ENTITY_ROWS, SMALL, unread
from pantheon.workflow.data.spec import Column

SURE = 0.97  # share of rows (or of the variance) that the other rows of a value explain
SURPRISING = 0.9  # ... if fewer are explained without the column
LARGEST = 0.2  # share of the rows that one entity has at most: the split could not divide the rows otherwise
SMOOTH = 0.5  # numbers whose neighbours are more alike than this are quantities, not names


def entity(columns: list[Column], seen: dict[str, Evidence], target: str, rows: pl.DataFrame) -> list[Column]:
    """Return the columns, the first one that names what rows are about as an entity.

    Args:
        rows: the sampled rows; copies among them count once.
    """
    aimed = next(column for column in columns if column.name == target)
    features = [column for column in columns if column.role == "feature"]
    if len(features) < 2 or any(column.role == "entity" for column in columns):
        return columns
    once = rows.select(column.name for column in features).hash_rows(0).is_first_distinct()
    y = seen[target].cells.filter(once)
    codes = y.rank("dense").cast(pl.Int64) - 1 if aimed.type != "number" else None
    values = y.cast(pl.Float64, strict=False)
    for column in features:
        if column.type not in ("category", "integer") or seen[column.name].cells.null_count():
            continue
        member = seen[column.name].cells.filter(once)
        known = y.is_not_null() if codes is not None else values.is_finite().fill_null(False)
        if int(known.sum()) < 2 * SMALL:
            continue
        names = member.filter(known)
        if column.type == "integer":
            names = names.cast(pl.Float64, strict=False).fill_null(0.0)
        group = (names.rank("dense").cast(pl.Int64) - 1).to_numpy()
        average = len(group) / (int(group.max()) + 1)
        if group.max() + 1 < SMALL or not ENTITY_ROWS[0] <= average <= ENTITY_ROWS[1]:
            continue
        if np.bincount(group).max() > LARGEST * len(group):
            continue
        ordered = column.type == "integer" or bool(unread(names))  # quarters are ordered as texts, too
        if codes is not None:
            found = names_classes(group, codes.filter(known).to_numpy(), ordered)
        else:
            found = names_numbers(group, values.filter(known).to_numpy(), ordered)
        if found:
            why = (
                f"each of its values has {average:.1f} rows on average, with the same {target!r}: "
                "its rows stay together in the split, and it is not an input"
            )
            changed = replace(column, role="entity", why=why, categories=(), nullable=False)
            return [changed if one is column else one for one in columns]
    return columns


def names_classes(group: NDArray[np.int64], y: NDArray[np.int64], ordered: bool) -> bool:
    """Whether the other rows of a group give a row's class, and neither the most frequent class nor neighbours do."""
    classes = int(y.max()) + 1
    counts = np.zeros((int(group.max()) + 1, classes), dtype=np.int64)
    np.add.at(counts, (group, y), 1)
    if counts.sum(axis=0).max() > SURPRISING * len(y):
        return False
    others = counts[group]
    others[np.arange(len(y)), y] -= 1
    several = others.sum(axis=1) > 0
    if several.mean() < 0.5 or (others.argmax(axis=1) == y)[several].mean() < SURE:
        return False
    usual = counts.argmax(axis=1)
    share = np.bincount(usual, minlength=classes) / len(usual)
    by_chance = float((share**2).sum())
    return not ordered or float((usual[1:] == usual[:-1]).mean()) < by_chance + SMOOTH * (1 - by_chance)


def names_numbers(group: NDArray[np.int64], y: NDArray[np.float64], ordered: bool) -> bool:
    """Whether groups explain the numbers, and neighbouring groups do not have similar ones."""
    sizes = np.bincount(group)
    means = np.bincount(group, weights=y) / sizes
    within = float(((y - means[group]) ** 2).sum()) / max(1, len(y) - len(sizes))
    total = float(y.var())
    if total == 0 or (sizes[group] > 1).mean() < 0.5 or within > (1 - SURE) * total:
        return False
    between = float(means.var())
    return not ordered or float((np.diff(means) ** 2).mean()) > SMOOTH * 2 * between
