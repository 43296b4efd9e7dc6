"""From the inputs' matrix to what estimators are fitted on; all of it has its counterpart in ``onnx_export``.

The prepared columns, in this order: the selected numbers, booleans and dates as they are; the engineered features; for
each category of few values one 0/1 column a value (and one for missing); for each category of many values the target's
mean in each. Missing numbers stay NaN here: histogram gradient boosting knows them; for the others ``fill`` puts
medians and adds a 0/1 column for each column that had any.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import TargetEncoder

from pantheon.workflow.expressions import Tree, evaluate
from pantheon.workflow.folds import assign
from pantheon.workflow.matrix import Floats
from pantheon.workflow.run import Run, read_json

ONE_HOT = 16  # categories up to which each has a column of its own


@dataclass(frozen=True)
class Design:
    """What goes into the models, as decided before any is fitted: the join of selection and engineering.

    Attributes:
        inputs: the signature's inputs; their order is that of the raw matrix.
        columns: names of the selected inputs.
        features: (name, expression) of the engineered ones.
        task: "classification" or "regression".
        classes: how many; 0 for regression.
    """

    inputs: tuple[dict[str, Any], ...]
    columns: tuple[str, ...]
    features: tuple[tuple[str, Tree], ...]
    task: str
    classes: int

    @property
    def places(self) -> dict[str, int]:
        return {entry["name"]: place for place, entry in enumerate(self.inputs)}

    def _selected(self, *types: str) -> list[dict[str, Any]]:
        return [entry for entry in self.inputs if entry["name"] in self.columns and entry["type"] in types]

    @property
    def plain(self) -> list[int]:
        """Places of the inputs that are taken as they are."""
        return [self.places[entry["name"]] for entry in self._selected("number", "integer", "boolean", "date")]

    @property
    def one_hot(self) -> list[tuple[int, int]]:
        """(place, number of categories) of the categories of few values."""
        found = self._selected("category")
        return [(self.places[e["name"]], len(e["categories"])) for e in found if len(e["categories"]) <= ONE_HOT]

    @property
    def encoded(self) -> list[tuple[int, int]]:
        """(place, number of categories) of the categories of many values."""
        found = self._selected("category")
        return [(self.places[e["name"]], len(e["categories"])) for e in found if len(e["categories"]) > ONE_HOT]

    def as_dict(self) -> dict[str, Any]:
        return {
            "columns": list(self.columns),
            "features": [{"name": name, "expression": tree} for name, tree in self.features],
            "task": self.task,
            "classes": self.classes,
        }

    @classmethod
    def load(cls, run: Run) -> "Design":
        """As ``train`` wrote it."""
        inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
        raw = read_json(run.need("features/design.json", "train"))
        features = tuple((feature["name"], feature["expression"]) for feature in raw["features"])
        return cls(tuple(inputs), tuple(raw["columns"]), features, raw["task"], raw["classes"])


def codes(values: Floats, categories: int) -> NDArray[np.int64]:
    """Positions of categories; missing is one more than the last."""
    return np.where(np.isnan(values), np.float32(categories), values).astype(np.int64)


@dataclass
class Preparation:
    """Learns on the rows it is fitted on; ``transform`` and ``fill`` then take any rows.

    Attributes:
        missing_categories: places of one-hot inputs that were missing somewhere, so that missing has a column.
        tables: for each category of many values, float32 (categories + 1, columns): what each is replaced by.
        medians: float32 (numbers,) of the columns that may be missing: plain ones, then engineered ones.
        holes: positions among those that were missing somewhere.
        names: of the prepared columns, indicators last.
    """

    design: Design
    seed: int
    missing_categories: list[int] = field(default_factory=list)
    tables: list[Floats] = field(default_factory=list)
    medians: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    holes: list[int] = field(default_factory=list)

    def fit_transform(self, X: Floats, y: NDArray[Any], groups: NDArray[np.int64] | None) -> Floats:
        """Learn from the rows of ``X`` (float32, rows by inputs) and prepare them.

        A row's target means come from rows of other entities (cross fitting), else a model would read its answers.
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
        """Put medians where numbers are missing, and append a 0/1 column for each that was missing in training."""
        numbers = prepared[:, : len(self.medians)]
        empty = np.isnan(numbers)
        filled = np.where(empty, self.medians, numbers)
        return np.concatenate(
            [filled, prepared[:, len(self.medians) :], empty[:, self.holes].astype(np.float32)], axis=1
        )

    def _numbers(self, X: Floats) -> Floats:
        columns = {name: X[:, place] for name, place in self.design.places.items()}
        engineered = [evaluate(tree, columns)[:, None] for _, tree in self.design.features]
        return np.concatenate([X[:, self.design.plain], *engineered], axis=1)

    def _one_hot(self, X: Floats) -> list[Floats]:
        found = []
        for place, categories in self.design.one_hot:
            found.append((X[:, [place]] == np.arange(categories, dtype=np.float32)).astype(np.float32))
            if place in self.missing_categories:
                found.append(np.isnan(X[:, [place]]).astype(np.float32))
        return found
