"""The training work of the workflow as a person would write it with scikit-learn and Optuna, in one script.

    python train_by_hand.py data/train.parquet data/test.parquet [tuning_rows]

For the robots. Same candidates, folds, trials and seeds as `pantheon/workflow`, of which it uses nothing. Prints JSON:
the seconds of each part, the chosen model and its metrics on the held-out rows.
"""

import json
import sys
import time
import warnings

import numpy as np
import optuna
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

SEED, TRIALS, FOLDS, TUNING_FOLDS = 42, 10, 5, 3
LEVELS = [["high", "low", "medium", "missing"]]
NUMBERS = ["robot-age", "rust-level"]


def encode(numbers):
    """Numbers as the transformer says, then a 0/1 column for each level and for a missing one."""
    levels = OneHotEncoder(categories=LEVELS, sparse_output=False, dtype=np.float32)
    return make_column_transformer((numbers, [0, 1]), (levels, [2]))


def read(path):
    frame = pl.read_parquet(path)
    X = np.empty((len(frame), 3), dtype=object)
    X[:, :2] = frame.select(pl.col(NUMBERS).cast(pl.Float32)).to_numpy()
    X[:, 2] = frame["battery"].fill_null("missing").to_numpy()
    return X, frame["condition"].to_numpy(), frame["robot-id"].to_numpy()


def make(name, **params):
    if name == "baseline":
        return DummyClassifier(strategy="prior")
    if name == "linear":
        return LogisticRegression(**{"C": 1.0} | params, max_iter=1000, random_state=SEED)
    if name == "random_forest":
        params = {"max_depth": 10, "min_samples_leaf": 3, "max_features": 0.5} | params
        return RandomForestClassifier(64, **params, random_state=SEED)
    params = {"learning_rate": 0.1, "max_leaf_nodes": 15, "min_samples_leaf": 20, "l2_regularization": 0.01} | params
    return HistGradientBoostingClassifier(**params, early_stopping=False, random_state=SEED)


SPACES = {
    "linear": lambda t: {"C": t.suggest_float("C", 0.001, 100, log=True)},
    "random_forest": lambda t: {
        "max_depth": t.suggest_int("max_depth", 4, 12),
        "min_samples_leaf": t.suggest_int("min_samples_leaf", 1, 20),
        "max_features": t.suggest_float("max_features", 0.3, 0.9),
    },
    "hist_gradient_boosting": lambda t: {
        "learning_rate": t.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "max_leaf_nodes": t.suggest_int("max_leaf_nodes", 4, 31),
        "min_samples_leaf": t.suggest_int("min_samples_leaf", 5, 60),
        "l2_regularization": t.suggest_float("l2_regularization", 0.001, 10, log=True),
    },
}
NAMES = ["baseline", *SPACES]


class Part:
    """Rows to fit on and rows to ask, prepared once: with NaN, filled, and filled and scaled."""

    def __init__(self, X, y, X_ask, y_ask):
        self.y, self.y_ask = y, y_ask
        raw = encode("passthrough")
        self.raw = raw.fit_transform(X).astype(np.float32), raw.transform(X_ask).astype(np.float32)
        filled = encode(SimpleImputer(strategy="median", add_indicator=True))
        fit, ask = filled.fit_transform(X), filled.transform(X_ask)
        # Imputed numbers, levels, indicators: the order of columns decides which of two equal splits a tree takes.
        order = [0, 1, *range(fit.shape[1] - 4, fit.shape[1]), *range(2, fit.shape[1] - 4)]
        self.filled = fit[:, order].astype(np.float32, order="C"), ask[:, order].astype(np.float32, order="C")
        scaler = StandardScaler()
        self.scaled = (
            scaler.fit_transform(self.filled[0].astype(np.float64)),
            scaler.transform(self.filled[1].astype(np.float64)),
        )

    def rows(self, name):
        return {"linear": self.scaled, "hist_gradient_boosting": self.raw}.get(name, self.filled)

    def fit(self, name, params):
        fit, ask = self.rows(name)
        threads = 1 if len(self.y) < 20_000 else 2  # of few rows, a second thread costs more than it brings
        model = make(name, **params)
        if name == "random_forest":
            model.set_params(max_samples=min(10_000, len(self.y)), n_jobs=threads)
        with threadpool_limits({"openmp": threads, "blas": 1}):  # BLAS adds in another order on two
            model.fit(fit, self.y)
            return model, model.predict_proba(ask)


def assign(y, groups):
    """Robots to folds, classes evenly."""
    _, group = np.unique(groups, return_inverse=True)
    count = group.max() + 1
    most = np.bincount(group * 2 + y, minlength=count * 2).reshape(count, 2).argmax(axis=1)
    fold = np.empty(count, dtype=int)
    fold[np.lexsort((np.random.default_rng(SEED).random(count), most))] = np.arange(count) % FOLDS
    return fold[group]


def main(train, test, tuning_rows=100_000):
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seconds, clock, cpu = {}, time.perf_counter(), time.process_time()

    def lap(name):
        nonlocal clock
        seconds[name] = time.perf_counter() - clock
        clock = time.perf_counter()

    X, y, robots = read(train)
    X_test, y_test, _ = read(test)
    whole = Part(X, y, X_test, y_test)
    lap("preprocess")

    fitted = {name: whole.fit(name, {}) for name in NAMES}
    lap("train")

    some = np.arange(len(y))
    if len(y) > tuning_rows:
        some = np.sort(np.random.default_rng(SEED).permutation(len(y))[:tuning_rows])
    X, y, robots = X[some], y[some], robots[some]
    fold = assign(y, robots)
    parts = [Part(X[fold != i], y[fold != i], X[fold == i], y[fold == i]) for i in range(FOLDS)]

    def score(part, name, params):
        return roc_auc_score(part.y_ask, part.fit(name, params)[1][:, 1])

    selection = {name: [score(part, name, {}) for part in parts] for name in NAMES}
    lap("model_selection")

    tuned = {}
    for name, space in SPACES.items():
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED, n_startup_trials=TRIALS // 2)
        )
        study.optimize(lambda t, n=name, s=space: np.mean([score(p, n, s(t)) for p in parts[:TUNING_FOLDS]]), TRIALS)
        tuned[name] = (study.best_value, study.best_params)
    lap("hyperparameter_tuning")

    options = [(np.mean(selection[name][:TUNING_FOLDS]), name, {}) for name in NAMES[1:]]
    options += [(value, name, params) for name, (value, params) in tuned.items()]
    _, name, params = max(options, key=lambda option: option[0])
    answer = (whole.fit(name, params) if params else fitted[name])[1]
    lap("evaluate")

    cpu_seconds = time.process_time() - cpu

    label = answer.argmax(axis=1)
    metrics = {
        "accuracy": accuracy_score(y_test, label),
        "balanced_accuracy": balanced_accuracy_score(y_test, label),
        "f1": f1_score(y_test, label),
        "roc_auc": roc_auc_score(y_test, answer[:, 1]),
        "pr_auc": average_precision_score(y_test, answer[:, 1]),
        "log_loss": log_loss(y_test, answer),
        "brier": brier_score_loss(y_test, answer[:, 1]),
    }
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "chosen": name,
        "params": params,
        "metrics": metrics,
        "selection": {name: float(np.mean(values)) for name, values in selection.items()},
        "tuned": {name: value for name, (value, _) in tuned.items()},
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))))
