"""Describe the rows that a model learnt from, and what it predicts for others: the content of ``reference.json``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.bundle.reference import FORMAT, LEVELS, Distribution, Reference
from pantheon.workflow.data.spec import Spec, label_key
from pantheon.workflow.outputs import CHOSEN, Input
from pantheon.workflow.run import Run
from pantheon.workflow.training.matrix import Table


def describe(run: Run, spec: Spec, inputs: list[Input]) -> Reference:
    """Return the reference of a run's model: inputs and target of its training part, predictions for held-out rows."""
    train = Table.load(run.need("features/train.npz", "preprocess"))
    with np.load(run.need("evaluation/test.npz", "evaluate"), allow_pickle=False) as file:
        answers = file[CHOSEN]
    columns = {entry["name"]: of_input(values, entry) for values, entry in zip(train.X.T, inputs, strict=True)}
    if spec.task == "classification":
        target, predictions = of_classes(train.y, spec), of_classes(answers.argmax(axis=1), spec)
    else:
        target, predictions = of_numbers(train.y), of_numbers(answers.astype(np.float32))
    return Reference(FORMAT, len(train), columns, target, predictions)


def of_input(values: NDArray[np.float32], entry: Input) -> Distribution:
    """Describe a column of the matrix."""
    if entry["type"] == "category":
        return of_codes(values, entry["categories"])
    if entry["type"] == "boolean":
        return of_codes(values, ("false", "true"), "boolean")
    return of_numbers(values, entry["type"], entry.get("origin", 0.0))


def of_classes(codes: NDArray[Any], spec: Spec) -> Distribution:
    """Describe classes, given as their positions in the spec's list."""
    return of_codes(codes.astype(np.float32), [label_key(each) for each in spec.target.classes])


def of_codes(codes: NDArray[np.float32], names: Sequence[str], kind: str = "category") -> Distribution:
    """Describe values that are given as positions in ``names``; NaN is missing."""
    present = codes[~np.isnan(codes)]
    counts = np.bincount(present.astype(np.int64), minlength=len(names))
    shares = {name: int(count) / len(present) for name, count in zip(names, counts, strict=True) if count}
    return Distribution(kind, len(codes), _missing(codes, present), categories=shares)


def of_numbers(values: NDArray[Any], kind: str = "number", origin: float = 0.0) -> Distribution:
    """Describe numbers; NaN is missing. The quantiles are values that occur, so that whole numbers stay whole.

    Args:
        values: float32, or float64.
        origin: is added to each.
    """
    present = np.sort(values[~np.isnan(values)])
    missing = _missing(values, present)
    if not len(present):
        return Distribution(kind, len(values), missing)
    positions = np.linspace(0, len(present) - 1, LEVELS).round().astype(np.int64)
    quantiles = present[positions]
    below = np.searchsorted(present, quantiles, side="right") / len(present)
    return Distribution(kind, len(values), missing, [_plain(each, origin) for each in quantiles], below.tolist())


def _missing(values: NDArray[Any], present: NDArray[Any]) -> float:
    return 1 - len(present) / len(values) if len(values) else 0.0


def _plain(value: Any, origin: float) -> float:
    """Return a number as people and programs send it: 0.1, although float32 has 0.10000000149."""
    return float(f"{float(value) + origin:.15g}") if origin else float(str(value))
