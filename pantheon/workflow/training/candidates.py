"""The families of models that compete, and how a model is fitted and predicts.

Model sizes are limited for serving: a forest of 64 trees of depth ≤ 12, grown on ≤ 10,000 rows per tree, is 20 to 30
times faster to fit on 400,000 rows than a fully grown one, and its ONNX file takes only a few MB.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from pantheon.errors import PantheonError
from pantheon.workflow import extensions
from pantheon.workflow.extensions import extension_error
from pantheon.workflow.outputs import ModelParams, Preprocessed
from pantheon.workflow.run import Run, read_as
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.log_target import LogTarget
from pantheon.workflow.training.matrix import Table
from pantheon.workflow.training.preparation import Design, Preparation

# The score shows how good a linear model is; a warning that lbfgs stopped early would not help the user.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

BASELINE = "baseline"
OF_MEDIAN = ("mae", "rmsle")  # metrics by which no single number is better than (about) the median
TREES = 64
FLOAT32 = 4e-6  # relative: 32 roundings of float32, which ONNX uses to sum a hundred trees
ROWS_A_TREE = 10_000
WIDE = 64  # columns above which forests try a share of so many at a split, and boosting has fewer bins, to save time
WIDE_BINS = 64


@dataclass(frozen=True)
class Candidate:
    """A family of models.

    Attributes:
        build: ``build(seed=…, **params)`` returns an unfitted estimator.
        space: the search space; empty: no search.
        missing: whether it supports NaN; otherwise missing numbers are imputed before it.
        scale: whether its columns are scaled.
        free: whether it is fitted without the GIL, so that several can be fitted at once.
        spreads: whether it uses OpenMP's threads, with results that do not depend on their number.
        own: the user's file that registers it.
    """

    name: str
    build: Callable[..., Any]
    space: Mapping[str, Any]
    missing: bool = False
    scale: bool = False
    free: bool = False
    spreads: bool = False
    own: Any = None

    def estimator(self, params: Mapping[str, Any], seed: int) -> Any:
        if self.own is None:
            return self.build(seed=seed, **params)
        try:
            return self.build(seed=seed, **params)
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            raise extension_error(self.own, error, f"the candidate {self.name!r} cannot be built: ") from error


def _linear_classifier(seed: int, C: float = 1.0) -> Any:
    return LogisticRegression(C=C, max_iter=1000, random_state=seed)


def _linear_regressor(seed: int, alpha: float = 1.0) -> Any:
    return Ridge(alpha=alpha, random_state=seed)


def _forest(kind: Any) -> Callable[..., Any]:
    def build(seed: int, max_depth: int = 10, min_samples_leaf: int = 3, max_features: float = 0.5) -> Any:
        return kind(
            TREES, max_depth=max_depth, min_samples_leaf=min_samples_leaf, max_features=max_features, random_state=seed
        )

    return build


def _boosting(kind: Any) -> Callable[..., Any]:
    def build(
        seed: int,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 15,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.01,
    ) -> Any:
        return kind(
            learning_rate=learning_rate,
            max_leaf_nodes=max_leaf_nodes,
            min_samples_leaf=min_samples_leaf,
            l2_regularization=l2_regularization,
            early_stopping=False,  # "auto" would switch it on from 10,000 rows
            random_state=seed,
        )

    return build


def _log_of(inner: Callable[..., Any]) -> Callable[..., Any]:
    def build(seed: int, **params: Any) -> Any:
        return LogTarget(inner(seed=seed, **params))

    return build


FOREST_SPACE = {"max_depth": (4, 12), "min_samples_leaf": (1, 20), "max_features": (0.3, 0.9)}
BOOSTING_SPACE = {
    "learning_rate": (0.02, 0.3, "log"),
    "max_leaf_nodes": (4, 31),
    "min_samples_leaf": (5, 60),
    "l2_regularization": (0.001, 10.0, "log"),
}
BUILT_IN: dict[str, tuple[Candidate, ...]] = {
    "classification": (
        Candidate(BASELINE, lambda seed: DummyClassifier(strategy="prior"), {}),
        Candidate("linear", _linear_classifier, {"C": (0.001, 100.0, "log")}, scale=True),
        Candidate("random_forest", _forest(RandomForestClassifier), FOREST_SPACE, free=True),
        Candidate(
            "hist_gradient_boosting",
            _boosting(HistGradientBoostingClassifier),
            BOOSTING_SPACE,
            missing=True,
            spreads=True,
        ),
    ),
    "regression": (
        Candidate(BASELINE, lambda seed: DummyRegressor(strategy="mean"), {}),
        Candidate("linear", _linear_regressor, {"alpha": (0.001, 1000.0, "log")}, scale=True),
        Candidate("random_forest", _forest(RandomForestRegressor), FOREST_SPACE, free=True),
        Candidate(
            "hist_gradient_boosting",
            _boosting(HistGradientBoostingRegressor),
            BOOSTING_SPACE,
            missing=True,
            spreads=True,
        ),
    ),
}

LONG_TAILED = tuple(  # for targets over several orders of magnitude
    replace(family, name=f"log_{family.name}", build=_log_of(family.build))
    for family in BUILT_IN["regression"]
    if family.name in ("linear", "hist_gradient_boosting")
)


def candidates(run: Run, task: str) -> dict[str, Candidate]:
    """Return every family for a task, user-defined ones last."""
    families = {candidate.name: candidate for candidate in BUILT_IN[task]}
    if task == "regression" and run.params.metric in OF_MEDIAN:
        families[BASELINE] = Candidate(BASELINE, lambda seed: DummyRegressor(strategy="median"), {})
    prepared = run.path("features/preprocess.json")
    if task == "regression" and prepared.exists() and read_as(prepared, Preprocessed).get("long_tail"):
        families |= {candidate.name: candidate for candidate in LONG_TAILED}
    for own in extensions.load(run.extensions).candidates.values():
        if task in own.tasks:
            families[own.name] = Candidate(own.name, own.build, own.space, own.missing, own.scale, own=own.file)
    return families


@dataclass
class Prepared:
    """Rows prepared once for all candidates: the matrix with NaN, the imputed one, and the scaled one."""

    preparation: Preparation
    y: NDArray[Any]
    matrix: Floats
    filled: Floats
    scaler: Any
    scaled: NDArray[np.float64]

    @classmethod
    def fit(cls, design: Design, rows: Table, seed: int) -> "Prepared":
        preparation = Preparation(design, seed)
        matrix = preparation.fit_transform(rows.X, rows.y, rows.groups)
        filled = preparation.fill(matrix)
        scaler = StandardScaler()
        scaled = scaler.fit_transform(filled.astype(np.float64))
        return cls(preparation, rows.y, matrix, filled, scaler, scaled)

    def others(self, rows: Table) -> "Prepared":
        """Prepare other rows in the same way."""
        matrix = self.preparation.transform(rows.X)
        filled = self.preparation.fill(matrix)
        scaled = self.scaler.transform(filled.astype(np.float64))
        return Prepared(self.preparation, rows.y, matrix, filled, self.scaler, scaled)

    def for_candidate(self, candidate: Candidate) -> NDArray[Any]:
        return self.scaled if candidate.scale else self.matrix if candidate.missing else self.filled


@dataclass
class Fitted:
    """A fitted model, from the matrix of inputs to the prediction."""

    name: str
    params: ModelParams
    preparation: Preparation
    scaler: Any
    missing: bool
    estimator: Any
    own: Any = field(default=None)

    @property
    def design(self) -> Design:
        return self.preparation.design

    @property
    def rounding(self) -> float:
        """How far float32 may move its predictions, relative to their size."""
        return FLOAT32 * max(1.0, getattr(self.estimator, "greatest_", 1.0))

    def prepare(self, X: Floats) -> NDArray[Any]:
        """Prepare rows of the matrix of inputs for the estimator."""
        prepared = self.preparation.transform(X)
        if not self.missing:
            prepared = self.preparation.fill(prepared)
        return prepared if self.scaler is None else self.scaler.transform(prepared.astype(np.float64))

    def predict(self, X: Floats) -> NDArray[np.float64]:
        """Predict probabilities (rows, classes), or numbers (rows,), for rows of the matrix of inputs."""
        return self.answer(self.prepare(X))

    def answer(self, prepared: NDArray[Any]) -> NDArray[np.float64]:
        """Predict rows that are already prepared; see ``predict``."""
        if self.design.task == "regression":
            return np.asarray(self.estimator.predict(prepared), dtype=np.float64).reshape(-1)
        probabilities = np.asarray(self.estimator.predict_proba(prepared), dtype=np.float64)
        if probabilities.shape[1] == self.design.classes:
            return probabilities
        complete = np.zeros((len(probabilities), self.design.classes))  # a class has no training rows
        complete[:, self.estimator.classes_] = probabilities
        return complete


def _limit(estimator: Any, columns: int) -> None:
    """Limit the work of a split in wide data, of which the share of all columns would take minutes."""
    if columns <= WIDE:
        return
    if isinstance(estimator, LogTarget):
        _limit(estimator.inner, columns)
    elif isinstance(estimator, RandomForestClassifier | RandomForestRegressor):
        estimator.set_params(max_features=max(1, int(estimator.max_features * WIDE)))
    elif isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        estimator.set_params(max_bins=WIDE_BINS)


Fit = Callable[[Any, NDArray[Any], NDArray[Any]], object]
"""Fits an estimator in place: called with the estimator, X (rows, columns) and y (rows,)."""


def unfitted(candidate: Candidate, params: Mapping[str, Any], rows: Prepared, seed: int, threads: int = 1) -> Any:
    """Return the estimator that ``fit`` fits, with its limits for these rows."""
    estimator = candidate.estimator(params, seed)
    if candidate.own is None:
        if isinstance(estimator, RandomForestClassifier | RandomForestRegressor):
            estimator.set_params(n_jobs=threads, max_samples=min(ROWS_A_TREE, len(rows.y)))
        _limit(estimator, rows.filled.shape[1])
    return estimator


def _fit_here(estimator: Any, X: NDArray[Any], y: NDArray[Any]) -> None:
    estimator.fit(X, y)


def fit(
    candidate: Candidate, params: Mapping[str, Any], rows: Prepared, seed: int, threads: int = 1, by: Fit = _fit_here
) -> Fitted:
    """Fit one candidate on prepared rows.

    Args:
        threads: for a forest's trees; every tree has a separate seed, so the forest does not depend on it.
        by: fits the estimator; default: its own ``fit``.

    Raises:
        PantheonError: a user-defined estimator fails; names the file.
    """
    estimator = unfitted(candidate, params, rows, seed, threads)
    try:
        by(estimator, rows.for_candidate(candidate), rows.y)
        if rows.preparation.design.task == "classification" and not hasattr(estimator, "predict_proba"):
            raise TypeError(f"{type(estimator).__name__} has no predict_proba: a classifier must give probabilities")
    except PantheonError:
        raise  # of ``by``
    except (Exception, SystemExit) as error:
        if candidate.own is None or isinstance(error, MemoryError):
            raise
        raise extension_error(candidate.own, error, f"the candidate {candidate.name!r} cannot be fitted: ") from error
    if isinstance(estimator, RandomForestClassifier | RandomForestRegressor):
        estimator.set_params(n_jobs=1)  # with more, votes are summed in the order in which threads finish
    scaler = copy.deepcopy(rows.scaler) if candidate.scale else None
    return Fitted(candidate.name, dict(params), rows.preparation, scaler, candidate.missing, estimator, candidate.own)
