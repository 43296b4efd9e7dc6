"""Prepare the matrix of inputs for the estimators; ``onnx_export`` has the same steps as ONNX.

The prepared columns, in this order: the selected numbers, booleans and dates, unchanged; the engineered features;
one-hot columns of categories with few values (one for missing values); target means of categories with many values.
Missing numbers stay NaN: histogram gradient boosting supports them; for other estimators, ``fill`` imputes medians and
adds a 0/1 column for every column that had missing values.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import TargetEncoder

from pantheon.workflow.expressions import columns_of, evaluate
from pantheon.workflow.outputs import DesignFile, Input, Preprocessed, Tree
from pantheon.workflow.run import Run
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.folds import assign

ONE_HOT = 16  # maximum number of categories for one-hot columns; with more, target means are used


@dataclass(frozen=True)
class Design:
    """The columns of the models, decided before any model is fitted: the join of selection and engineering.

    Attributes:
        inputs: the signature's inputs, in the order of the matrix.
        columns: names of the selected inputs.
        features: (name, expression) of the engineered ones.
        task: "classification" or "regression".
        classes: number of classes; 0 for regression.
    """

    inputs: tuple[Input, ...]
    columns: tuple[str, ...]
    features: tuple[tuple[str, Tree], ...]
    task: str
    classes: int

    @cached_property
    def places(self) -> dict[str, int]:
        return {entry["name"]: place for place, entry in enumerate(self.inputs)}

    def _selected(self, *types: str) -> list[Input]:
        columns = set(self.columns)
        return [entry for entry in self.inputs if entry["name"] in columns and entry["type"] in types]

    @cached_property
    def plain(self) -> list[int]:
        """Positions of the inputs that are used unchanged."""
        return [self.places[entry["name"]] for entry in self._selected("number", "integer", "boolean", "date")]

    @cached_property
    def one_hot(self) -> list[tuple[int, int]]:
        """(position, number of categories) of the categories with few values."""
        inputs = self._selected("category")
        return [(self.places[e["name"]], len(e["categories"])) for e in inputs if len(e["categories"]) <= ONE_HOT]

    @cached_property
    def encoded(self) -> list[tuple[int, int]]:
        """(position, number of categories) of the categories with many values."""
        inputs = self._selected("category")
        return [(self.places[e["name"]], len(e["categories"])) for e in inputs if len(e["categories"]) > ONE_HOT]

    def as_dict(self) -> DesignFile:
        return {
            "columns": list(self.columns),
            "features": [{"name": name, "expression": tree} for name, tree in self.features],
            "task": self.task,
            "classes": self.classes,
        }

    @classmethod
    def load(cls, run: Run) -> "Design":
        """Load the design that the stage ``train`` wrote."""
        inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
        raw = run.read("features/design.json", "train", DesignFile)
        features = tuple((feature["name"], feature["expression"]) for feature in raw["features"])
        return cls(tuple(inputs), tuple(raw["columns"]), features, raw["task"], raw["classes"])


def codes(values: Floats, categories: int) -> NDArray[np.int64]:
    """Return positions of categories; missing is one more than the last position."""
    return np.where(np.isnan(values), np.float32(categories), values).astype(np.int64)


class Part(NamedTuple):
    """What one input needs of a preparation.

    Attributes:
        places: positions of the inputs to read: itself, then those that its engineered features read too.
        preparation: prepares a matrix of these inputs.
        columns: positions of the result's columns in the whole preparation's result.
    """

    places: list[int]
    preparation: "Preparation"
    columns: NDArray[np.int64]


@dataclass
class Preparation:
    """The fitted preparation; ``transform`` and ``fill`` apply it to other rows.

    Attributes:
        missing_categories: positions of one-hot inputs with missing values in the training rows.
        tables: target means of every category with many values, float32 (categories + 1, columns).
        medians: float32 (numbers,) of the unchanged columns, then of the engineered ones.
        holes: positions among those columns that had missing values in the training rows.
    """

    design: Design
    seed: int
    missing_categories: list[int] = field(default_factory=list)
    tables: list[Floats] = field(default_factory=list)
    medians: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    holes: list[int] = field(default_factory=list)

    def fit_transform(self, X: Floats, y: NDArray[Any], groups: NDArray[np.int64] | None) -> Floats:
        """Fit on the rows of ``X`` (float32, rows by inputs) and prepare them.

        A row's target means come from rows of other entities (cross fitting); otherwise, the target would leak.
        """
        design = self.design
        numbers = self._numbers(X)
        present = ~np.isnan(numbers)
        self.holes = [int(column) for column in np.flatnonzero(~present.all(axis=0))]
        self.medians = np.zeros(numbers.shape[1], np.float32)
        for place in np.flatnonzero(present.any(axis=0)):
            self.medians[place] = np.median(numbers[present[:, place], place])
        self.missing_categories = [place for place, _ in design.one_hot if np.isnan(X[:, place]).any()]
        self.tables, encoded = [], []
        fold = assign(y, groups, 5, self.seed, design.classes)
        for column_place, categories in design.encoded:
            encoder = TargetEncoder(
                target_type="continuous" if design.task == "regression" else "auto",
                cv=[(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in np.unique(fold)],
            )
            values = codes(X[:, column_place], categories)[:, None]
            encoded.append(encoder.fit_transform(values, y).astype(np.float32))
            means = np.atleast_1d(encoder.target_mean_)
            means = means[-encoded[-1].shape[1] :]
            table = np.tile(means.astype(np.float32), (categories + 1, 1))
            for column, encoding in enumerate(encoder.encodings_):
                table[encoder.categories_[0], column] = encoding
            self.tables.append(table)
        return np.concatenate([numbers, *self._one_hot(X), *encoded], axis=1)

    def transform(self, X: Floats) -> Floats:
        """Prepare rows: float32 (rows, prepared columns), NaN where a number is missing."""
        looked_up = [
            table[codes(X[:, place], categories)]
            for (place, categories), table in zip(self.design.encoded, self.tables, strict=True)
        ]
        return np.concatenate([self._numbers(X), *self._one_hot(X), *looked_up], axis=1)

    def fill(self, prepared: Floats) -> Floats:
        """Impute missing numbers with medians, and append 0/1 columns for those with missing values in training."""
        numbers = prepared[:, : len(self.medians)]
        empty = np.isnan(numbers)
        filled = np.where(empty, self.medians, numbers)
        return np.concatenate(
            [filled, prepared[:, len(self.medians) :], empty[:, self.holes].astype(np.float32)], axis=1
        )

    def parts(self, filled: bool) -> "Callable[[int], Part]":
        """Return a function that gives, for the position of an input, the part of the preparation that it needs.

        Args:
            filled: whether the columns are those after ``fill``.
        """
        design, empty = self.design, set(self.missing_categories)
        numbers, others = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
        features = defaultdict[int, list[int]](list)
        for column, place in enumerate(design.plain):
            numbers[place].append(column)
        for index, (_, tree) in enumerate(design.features):
            for name in columns_of(tree):
                features[design.places[name]].append(index)
        end = len(design.plain) + len(design.features)
        tables: dict[int, Floats] = {}
        for place, categories in design.one_hot:
            width = categories + (place in empty)
            others[place], end = list(range(end, end + width)), end + width
        for (place, _), table in zip(design.encoded, self.tables, strict=True):
            others[place], end = list(range(end, end + table.shape[1])), end + table.shape[1]
            tables[place] = table
        holes = {column: end + index for index, column in enumerate(self.holes)}
        selected = set(design.columns)

        def part(place: int) -> Part:
            name = design.inputs[place]["name"]
            trees = [design.features[index] for index in features[place]]
            names = set[str]().union(*(columns_of(tree) for _, tree in trees)) - {name}
            places = [place, *sorted(design.places[other] for other in names)]
            mine = [*numbers[place], *(len(design.plain) + index for index in features[place])]
            own = Design(
                tuple(design.inputs[each] for each in places),
                (name,) if name in selected else (),
                tuple(trees),
                design.task,
                design.classes,
            )
            preparation = Preparation(
                own,
                self.seed,
                [0] if place in empty else [],
                [tables[place]] if place in tables else [],
                self.medians[mine],
                [index for index, column in enumerate(mine) if column in holes],
            )
            more = [holes[column] for column in mine if column in holes] if filled else []
            return Part(places, preparation, np.array([*mine, *others[place], *more], dtype=np.int64))

        return part

    def _numbers(self, X: Floats) -> Floats:
        features, places = self.design.features, self.design.places
        columns = {name: X[:, place] for name, place in places.items()} if features else {}
        engineered = [evaluate(tree, columns)[:, None] for _, tree in features]
        return np.concatenate([X[:, self.design.plain], *engineered], axis=1)

    def _one_hot(self, X: Floats) -> list[Floats]:
        columns, empty = [], set(self.missing_categories)
        for place, categories in self.design.one_hot:
            columns.append((X[:, [place]] == np.arange(categories, dtype=np.float32)).astype(np.float32))
            if place in empty:
                columns.append(np.isnan(X[:, [place]]).astype(np.float32))
        return columns
