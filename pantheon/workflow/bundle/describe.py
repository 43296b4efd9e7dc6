"""Describe the rows that a model learnt from, and what it predicts for others: the content of ``reference.json``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.bundle.distribution import of_codes, of_numbers
from pantheon.workflow.bundle.reference import FORMAT, Distribution, Reference
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
