"""The families of models that compete, and how one is fitted and asked.

Sizes are chosen for models that are served: a forest of 64 trees of depth ≤ 12, each grown on ≤ 10,000 rows, is
20 to 30 times faster to fit on 400,000 rows than full-grown ones, and its ONNX file stays at a few MB.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

from pantheon.workflow import extensions
from pantheon.workflow.extensions import extension_error
from pantheon.workflow.matrix import Floats, Table
from pantheon.workflow.preparation import Design, Preparation
from pantheon.workflow.run import Run

# How good a linear model is, its score says; that lbfgs stopped early says nothing to the person who started a run.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

BASELINE = "baseline"
TREES = 64
ROWS_A_TREE = 10_000


@dataclass(frozen=True)
class Candidate:
    """A family of models.

    Attributes:
        build: ``build(seed=…, **params)`` gives an unfitted estimator.
        space: what the search may choose; empty is not searched.
        missing: does it take NaN? Else missing numbers are filled before it.
        scale: are its columns scaled?
        free: does it grow without Python's lock, so that several may be fitted at once?
        spreads: does it use OpenMP's threads, without a figure depending on how many?
        own: the user's file it comes from.
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
        except Exception as error:
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
            early_stopping=False,  # "auto" would begin at 10,000 rows: another model there than below
            random_state=seed,
        )

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


def candidates(run: Run, task: str) -> dict[str, Candidate]:
    """Every family for a task, the user's own last."""
    found = {candidate.name: candidate for candidate in BUILT_IN[task]}
    for own in extensions.load(run.extensions).candidates.values():
        if task in own.tasks:
            found[own.name] = Candidate(own.name, own.build, own.space, own.missing, own.scale, own=own.file)
    return found


@dataclass
class Prepared:
    """Rows prepared once for all candidates: the preparation, its matrix with NaN, the filled one, the scaled one."""

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
        """Other rows, as the ones learnt from have it."""
        matrix = self.preparation.transform(rows.X)
        filled = self.preparation.fill(matrix)
        scaled = self.scaler.transform(filled.astype(np.float64))
        return Prepared(self.preparation, rows.y, matrix, filled, self.scaler, scaled)

    def for_candidate(self, candidate: Candidate) -> NDArray[Any]:
        return self.scaled if candidate.scale else self.matrix if candidate.missing else self.filled


@dataclass
class Fitted:
    """A fitted model, from the inputs' matrix to its answer."""

    name: str
    params: dict[str, Any]
    preparation: Preparation
    scaler: Any
    missing: bool
    estimator: Any
    own: Any = field(default=None)

    @property
    def design(self) -> Design:
        return self.preparation.design

    def prepare(self, X: Floats) -> NDArray[Any]:
        """What the estimator is given for rows of the inputs' matrix."""
        prepared = self.preparation.transform(X)
        if not self.missing:
            prepared = self.preparation.fill(prepared)
        return prepared if self.scaler is None else self.scaler.transform(prepared.astype(np.float64))

    def predict(self, X: Floats) -> NDArray[np.float64]:
        """Probabilities (rows, classes), or numbers (rows,), for the inputs' matrix."""
        return self.answer(self.prepare(X))

    def answer(self, prepared: NDArray[Any]) -> NDArray[np.float64]:
        """As ``predict``, for rows that are prepared already."""
        if self.design.task == "regression":
            return np.asarray(self.estimator.predict(prepared), dtype=np.float64).reshape(-1)
        found = np.asarray(self.estimator.predict_proba(prepared), dtype=np.float64)
        if found.shape[1] == self.design.classes:
            return found
        whole = np.zeros((len(found), self.design.classes))  # a class that no training row had
        whole[:, self.estimator.classes_] = found
        return whole


def fit(candidate: Candidate, params: Mapping[str, Any], rows: Prepared, seed: int, threads: int = 1) -> Fitted:
    """Fit one candidate on prepared rows.

    Args:
        threads: for a forest's trees; each has its own seed, so their number does not change the forest.

    Raises:
        PantheonError: a user's own estimator fails; names their file.
    """
    estimator = candidate.estimator(params, seed)
    forest = isinstance(estimator, RandomForestClassifier | RandomForestRegressor)
    if forest and candidate.own is None:
        estimator.set_params(n_jobs=threads, max_samples=min(ROWS_A_TREE, len(rows.y)))
    try:
        estimator.fit(rows.for_candidate(candidate), rows.y)
        if rows.preparation.design.task == "classification" and not hasattr(estimator, "predict_proba"):
            raise TypeError(f"{type(estimator).__name__} has no predict_proba: a classifier must give probabilities")
    except Exception as error:
        if candidate.own is None:
            raise
        raise extension_error(candidate.own, error, f"the candidate {candidate.name!r} cannot be fitted: ") from error
    if forest:
        estimator.set_params(n_jobs=1)  # with more, votes are added in the order in which threads happen to finish
    scaler = copy.deepcopy(rows.scaler) if candidate.scale else None
    return Fitted(candidate.name, dict(params), rows.preparation, scaler, candidate.missing, estimator, candidate.own)
