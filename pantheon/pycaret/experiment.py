"""PyCaret's experiment on the training part of a run: its rows, its folds, its metric.

Needs the environment ``pycaret``. PyCaret 4.0.0a8 is an alpha: what is not its public interface is named where it is
used, and the version is pinned.
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
from pantheon.workflow import interrupt
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.fits import one_thread
from pantheon.workflow.folds import sample, splits
from pantheon.workflow.matrix import Floats, Table, load_spec
from pantheon.workflow.metrics import Doubles, primary, score
from pantheon.workflow.performance_metrics import positive_index
from pantheon.workflow.preparation import Design
from pantheon.workflow.run import Run

ROWS = 50_000  # that PyCaret learns from, at most: its forests are full-grown, and so is their ONNX file
COMPARED = 0.9  # of those, the share that models are compared on; the final fit has all


class Folds:
    """The workflow's own folds in scikit-learn's form: rows of one entity stay together, and time is respected."""

    def __init__(self, pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
        self.pairs = pairs

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        yield from self.pairs

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return len(self.pairs)

    def first(self, count: int) -> "Folds":
        return Folds(self.pairs[:count])


class Kept:
    """What PyCaret's ``compare_models`` throws away: each model's scores fold by fold, and why one failed."""

    made: dict[str, Any]
    seconds: dict[str, float]
    failed: dict[str, str]

    def create_model(self, estimator: Any, **options: Any) -> Any:
        interrupt.check()
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
    """An error of PyCaret's or scikit-learn's in a line."""
    words = str(error).strip().splitlines()
    return (words[0] if words else type(error).__name__)[:200].rstrip(".")


@contextmanager
def quiet() -> Iterator[None]:
    """One thread for BLAS and OpenMP, so that sums are added in the same order; and no warnings of every single fit."""
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Lab:
    """A run's experiment.

    Args:
        run: its features are engineered and selected.
        setup: ``normalize``, ``feature_selection``, ``remove_outliers``, as PyCaret has them.

    Raises:
        PantheonError: PyCaret does not take the rows, or a class has too few of them.
    """

    def __init__(self, run: Run, setup: dict[str, bool]) -> None:
        self.run, self.spec, self.params = run, load_spec(run), run.params
        self.design = Design.load(run)
        self.classification = self.spec.task == "classification"
        self.metric, self.greater = primary(self.spec.task, self.params.metric)
        self.positive = positive_index(self.spec) if self.classification else 0
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
            n_jobs=1,  # with more, votes are added in the order in which threads happen to finish
            **setup,
        )
        self.pycaret.made, self.pycaret.seconds, self.pycaret.failed = {}, {}, {}
        with quiet():
            try:
                self.pycaret.fit(self.frame(self.table.X).assign(**{target: self.table.y}))
            except Exception as error:
                raise PantheonError(
                    f"PyCaret does not take these rows: {reason(error)}.",
                    "Give more rows of each class, or run without the variant: VARIANT=none.",
                    1,
                ) from error
        self.pycaret.add_metric(
            self.metric, self.metric, self._score, "pred_proba" if self.classification else "pred", self.greater
        )

    def frame(self, X: Floats) -> Any:
        """Rows of the inputs' matrix as PyCaret gets them: numbers as float64, categories as words.

        First the selected numbers, then what was engineered, then the categories.
        """
        design, found = self.design, {}
        for place in design.plain:
            found[design.inputs[place]["name"]] = X[:, place].astype(np.float64)
        columns = {entry["name"]: X[:, place] for place, entry in enumerate(design.inputs)}
        for name, tree in design.features:
            found[name] = evaluate(tree, columns).astype(np.float64)
        for place, categories in [*design.one_hot, *design.encoded]:
            words = np.array([*design.inputs[place]["categories"], None], dtype=object)
            codes = np.where(np.isnan(X[:, place]), np.float32(categories), X[:, place]).astype(np.int64)
            found[design.inputs[place]["name"]] = words[codes]
        return pd.DataFrame(found)

    @cached_property
    def folds(self) -> Folds:
        """The folds on the rows that models are compared on, in PyCaret's order of them."""
        rows = self.table.take(self.pycaret.X_train.index.to_numpy())
        pairs = splits(rows, self.params.folds, self.params.seed, self.design.classes)
        for learn, _ in pairs:
            if self.classification and len(np.unique(rows.y[learn])) < len(self.present):
                raise PantheonError(
                    "a class has too few rows for PyCaret: a fold has none of it.",
                    "Give more rows (or entities) of each class, or run without the variant: VARIANT=none.",
                )
        return Folds(pairs)

    def columns(self) -> list[str]:
        """What models get of each row, by name, in PyCaret's order."""
        steps = dict(self.pycaret.preprocess_pipeline.steps)
        names = [str(name) for _, _, of in steps["preprocess"].transformers_ for name in of]
        if "feature_selection" not in steps:
            return names
        return [name for name, keep in zip(names, steps["feature_selection"].get_support(), strict=True) if keep]

    def transformed(self) -> Any:
        """The rows that models are compared on, as they get them."""
        with quiet():
            return pd.DataFrame(
                self.pycaret.preprocess_pipeline.transform(self.pycaret.X_train), columns=self.columns()
            )

    def models(self) -> dict[str, str]:
        """PyCaret's models for the task: id → name."""
        found = self.pycaret.models()
        return {str(name): str(words) for name, words in found["Name"].items()}

    def all_classes(self, answer: NDArray[Any]) -> Doubles:
        """Probabilities of the classes that PyCaret has seen as those of all classes."""
        whole = np.zeros((len(answer), self.design.classes))
        whole[:, self.present] = answer
        return whole

    def _score(self, y: Any, answer: Any, **_: Any) -> float:
        """The run's metric in PyCaret's terms: classes by their place among those seen, one column of two."""
        if answer is None:
            return float("nan")
        found = np.asarray(answer, dtype=np.float64)
        if self.classification:
            found = np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
            value = score(self.metric, self.present[np.asarray(y)], self.all_classes(found), self.positive)
        else:
            value = score(self.metric, np.asarray(y), found.reshape(-1))
        return float("nan") if value is None else value

    def scorer(self, estimator: Any, X: Any, y: Any) -> float:
        """For the search: more is better, and above 0, since PyCaret counts a trial that fails as 0."""
        if not self.classification:
            value = self._score(y, estimator.predict(X))
        else:
            value = self._score(y, estimator.predict_proba(X))
        return value if self.greater else 1 / (1 + value)

    def unscored(self, value: float) -> float:
        """The metric that ``scorer`` made a score of."""
        return value if self.greater else 1 / value - 1

    def predict(self, pipeline: Any, X: Floats) -> Doubles:
        """PyCaret's own answer: probabilities (rows, classes), or numbers (rows,), for the inputs' matrix."""
        frame = self.frame(X)
        with quiet():
            if not self.classification:
                return np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(-1)
            return self.all_classes(np.asarray(pipeline.predict_proba(frame), dtype=np.float64))

    def final(self, model: str, params: dict[str, Any]) -> Any:
        """A model by its id, fitted on all rows: PyCaret's pipeline, from ``frame`` to the answer."""
        with quiet():
            made = self.pycaret.create_model(model, cross_validation=False, **params)
            return self.pycaret.finalize_model(made.pipeline).pipeline
