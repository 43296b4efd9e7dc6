"""PyCaret's experiment on the training part of a run: its rows, its folds, its metric.

It needs the environment ``pycaret``. PyCaret 4.0.0a8 is an alpha version: comments mark uses of internal interfaces,
and the version is pinned.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped, import-not-found, unused-ignore]
from numpy.typing import NDArray
from pycaret.tasks import ClassificationExperiment, RegressionExperiment  # type: ignore[import-not-found]

from pantheon.errors import PantheonError
from pantheon.workflow import cancellation
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.outputs import ModelParams
from pantheon.workflow.run import Run
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.folds import sample, splits
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.metrics import Doubles, primary, score
from pantheon.workflow.training.parallel import one_thread
from pantheon.workflow.training.preparation import Design

ROWS = 50_000  # rows that PyCaret trains on, at most: its forests are fully grown, so their ONNX files are large
COMPARED = 0.9  # share of those for the comparison; the final fit uses all


class Folds:
    """The workflow's folds with scikit-learn's interface: rows of one entity stay together, and time is respected."""

    def __init__(self, pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
        self.pairs = pairs

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        yield from self.pairs

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return len(self.pairs)

    def first(self, count: int) -> "Folds":
        return Folds(self.pairs[:count])


class Kept:
    """Keep what PyCaret's ``compare_models`` discards: the scores of all folds, and errors."""

    made: dict[str, Any]
    seconds: dict[str, float]
    failed: dict[str, str]

    def create_model(self, estimator: Any, **options: Any) -> Any:
        cancellation.check()
        begin = time.perf_counter()
        try:
            made = super().create_model(estimator, **options)  # type: ignore[misc]
        except Exception as error:
            self.failed[str(estimator)] = reason(error)
            raise
        self.made[made.model_id] = made
        self.seconds[made.model_id] = round(time.perf_counter() - begin, 3)
        return made


class Classification(Kept, ClassificationExperiment):  # type: ignore[misc]
    pass


class Regression(Kept, RegressionExperiment):  # type: ignore[misc]
    pass


def reason(error: Exception) -> str:
    """Return an error of PyCaret or scikit-learn as one line."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


@contextmanager
def quiet() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread, so that sums are computed in the same order, and suppress warnings."""
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Lab:
    """A run's experiment.

    Args:
        run: a run with engineered and selected features.
        setup: PyCaret's options ``normalize``, ``feature_selection``, ``remove_outliers``.

    Raises:
        PantheonError: PyCaret cannot use the rows, or a class has too few rows.
    """

    def __init__(self, run: Run, setup: dict[str, bool]) -> None:
        self.run, self.spec, self.params = run, load_spec(run), run.params
        self.design = Design.load(run)
        self.classification = self.spec.task == "classification"
        self.metric, self.greater = primary(self.spec.task, self.params.metric)
        self.positive = self.spec.positive_index if self.classification else 0
        table = Table.load(run.need("features/train.npz", "preprocess"))
        self.table = sample(table, min(ROWS, self.params.tuning_rows), self.params.seed)
        self.present: NDArray[np.int64] = np.unique(self.table.y) if self.classification else np.empty(0, np.int64)
        kind = Classification if self.classification else Regression
        target = self.spec.target.column
        self.pycaret: Any = kind(
            target=target,
            session_id=self.params.seed,
            train_size=COMPARED,
            fold=self.params.folds,
            n_jobs=1,  # with more, votes are summed in the order in which threads finish
            **setup,
        )
        self.pycaret.made, self.pycaret.seconds, self.pycaret.failed = {}, {}, {}
        with quiet():
            try:
                self.pycaret.fit(self.frame(self.table.X).assign(**{target: self.table.y}))
            except Exception as error:
                raise PantheonError(
                    f"PyCaret cannot use these rows: {reason(error)}.",
                    "Provide more rows of every class, or run without the variant: VARIANT=none.",
                    1,
                ) from error
        self.pycaret.add_metric(
            self.metric, self.metric, self._score, "pred_proba" if self.classification else "pred", self.greater
        )

    def frame(self, X: Floats) -> Any:
        """Convert rows of the matrix of inputs to a frame for PyCaret: numbers as float64, categories as text.

        The selected numbers come first, then the engineered features, then the categories.
        """
        design, columns_by_name = self.design, {}
        for place in design.plain:
            columns_by_name[design.inputs[place]["name"]] = X[:, place].astype(np.float64)
        columns = {entry["name"]: X[:, place] for place, entry in enumerate(design.inputs)}
        for name, tree in design.features:
            columns_by_name[name] = evaluate(tree, columns).astype(np.float64)
        for place, categories in [*design.one_hot, *design.encoded]:
            names = np.array([*design.inputs[place]["categories"], None], dtype=object)
            codes = np.where(np.isnan(X[:, place]), np.float32(categories), X[:, place]).astype(np.int64)
            columns_by_name[design.inputs[place]["name"]] = names[codes]
        return pd.DataFrame(columns_by_name)

    @cached_property
    def folds(self) -> Folds:
        """The folds of the rows for the comparison, in PyCaret's order."""
        rows = self.table.take(self.pycaret.X_train.index.to_numpy())
        pairs = splits(rows, self.params.folds, self.params.seed, self.design.classes)
        for learn, _ in pairs:
            if self.classification and len(np.unique(rows.y[learn])) < len(self.present):
                raise PantheonError(
                    "a class has too few rows for PyCaret: a fold has no rows of it.",
                    "Provide more rows (or entities) of every class, or run without the variant: VARIANT=none.",
                )
        return Folds(pairs)

    def columns(self) -> list[str]:
        """Return the names of the columns that models get, in PyCaret's order."""
        steps = dict(self.pycaret.preprocess_pipeline.steps)
        names = [str(name) for _, _, of in steps["preprocess"].transformers_ for name in of]
        if "feature_selection" not in steps:
            return names
        return [name for name, keep in zip(names, steps["feature_selection"].get_support(), strict=True) if keep]

    def transformed(self) -> Any:
        """Return the prepared rows for the comparison."""
        with quiet():
            return pd.DataFrame(
                self.pycaret.preprocess_pipeline.transform(self.pycaret.X_train), columns=self.columns()
            )

    def models(self) -> dict[str, str]:
        """Return PyCaret's models for the task: id → name."""
        models = self.pycaret.models()
        return {str(key): str(name) for key, name in models["Name"].items()}

    def all_classes(self, answer: NDArray[Any]) -> Doubles:
        """Expand probabilities of the classes in the training rows to all classes."""
        complete = np.zeros((len(answer), self.design.classes))
        complete[:, self.present] = answer
        return complete

    def _score(self, y: Any, answer: Any, **_: Any) -> float:
        """Compute the run's metric for PyCaret, which numbers only existing classes and passes one column for two."""
        if answer is None:
            return float("nan")
        values = np.asarray(answer, dtype=np.float64)
        if self.classification:
            values = np.stack([1 - values, values], axis=1) if values.ndim == 1 else values
            value = score(self.metric, self.present[np.asarray(y)], self.all_classes(values), self.positive)
        else:
            value = score(self.metric, np.asarray(y), values.reshape(-1))
        return float("nan") if value is None else value

    def scorer(self, estimator: Any, X: Any, y: Any) -> float:
        """Score for the search: greater is better, and above 0, since PyCaret scores a failed trial as 0."""
        if not self.classification:
            value = self._score(y, estimator.predict(X))
        else:
            value = self._score(y, estimator.predict_proba(X))
        return value if self.greater else 1 / (1 + value)

    def unscored(self, value: float) -> float:
        """Convert a score of ``scorer`` back to the metric."""
        return value if self.greater else 1 / value - 1

    def predict(self, pipeline: Any, X: Floats) -> Doubles:
        """Predict with PyCaret: probabilities (rows, classes), or numbers (rows,), for rows of the matrix of inputs."""
        frame = self.frame(X)
        with quiet():
            if not self.classification:
                return np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(-1)
            return self.all_classes(np.asarray(pipeline.predict_proba(frame), dtype=np.float64))

    def final(self, model: str, params: ModelParams) -> Any:
        """Fit a model by its id on all rows; return PyCaret's pipeline, from ``frame`` to the prediction."""
        with quiet():
            made = self.pycaret.create_model(model, cross_validation=False, **params)
            return self.pycaret.finalize_model(made.pipeline).pipeline
