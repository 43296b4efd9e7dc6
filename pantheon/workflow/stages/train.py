"""train: join selection and engineering, then fit every family with default parameters on the training part."""

import time
from functools import partial

import joblib

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow.bundle.records import STORED
from pantheon.workflow.outputs import Engineered, FittedCandidate, Selected, Summary, Trained
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import Candidate, Fit, Fitted, Prepared, candidates, fit, unfitted
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.metrics import primary
from pantheon.workflow.training.parallel import Call, one_thread, run_parallel, threads_for
from pantheon.workflow.training.preparation import Design
from pantheon.workflow.training.shares import Exchange, Task, can_share


def train(run: Run) -> Summary:
    """``features/*`` → ``features/design.json``, ``candidates/NAME.joblib`` and ``candidates.json``."""
    return train_with(run, None)


def train_with(run: Run, exchange: Exchange | None) -> Summary:
    """``train``, with the same outputs, in the first of the processes that share the trees of its forests.

    Args:
        exchange: the folder that they share; None: this process fits all trees.
    """
    spec, params = load_spec(run), run.params
    primary(spec.task, params.metric)  # refuse an unknown metric now, not after the fits
    run.path(STORED).unlink(missing_ok=True)  # of an earlier attempt, with a feature store
    design = join(run)
    table = Table.load(run.need("features/train.npz", "preprocess"))
    with one_thread():
        rows = Prepared.fit(design, table, params.seed)
    families = candidates(run, spec.task)
    threads = threads_for(rows.matrix, params.threads)
    shared = planned(exchange, families, rows, params.seed, threads) if exchange else {}

    def task(candidate: Candidate) -> tuple[Fitted, float]:
        clock = time.perf_counter()
        if candidate.name in shared:
            fitted = fit(candidate, {}, rows, params.seed, by=shared[candidate.name])
        else:
            fitted = fit(candidate, {}, rows, params.seed)
        if candidate.own is not None:
            check_converts(fitted, table)
        return fitted, time.perf_counter() - clock

    fitted = run_parallel(
        [Call(partial(task, family), family.free, family.spreads) for family in families.values()], threads
    )
    report: dict[str, FittedCandidate] = {}
    for model, seconds in fitted:
        with run.output(f"candidates/{model.name}.joblib") as path:
            joblib.dump(model, path)
        report[model.name] = {"params": model.params, "seconds": round(seconds, 3)}
    result: Trained = {"candidates": {name: report[name] for name in families}, "rows": len(table)}
    write_json(run.path("candidates.json"), result)
    return {"candidates": list(families), "columns": int(rows.matrix.shape[1]), "rows": len(table)}


def planned(
    exchange: Exchange, families: dict[str, Candidate], rows: Prepared, seed: int, threads: int
) -> dict[str, Fit]:
    """Hand out the trees of all forests, and fit this process's share.

    Returns:
        Family → the function that gathers its forest.
    """
    estimators = {name: unfitted(family, {}, rows, seed) for name, family in families.items()}
    tasks = {
        name: Task(estimator, rows.for_candidate(families[name]), rows.y)
        for name, estimator in estimators.items()
        if can_share(estimator)
    }
    exchange.plan(tasks)
    run_parallel([Call(partial(exchange.fit, name, task), free=True) for name, task in tasks.items()], threads)

    def gathered(name: str) -> Fit:
        return lambda estimator, X, y: exchange.gather(name, Task(estimator, X, y))

    return {name: gathered(name) for name in tasks}


def join(run: Run) -> Design:
    """Join the selected columns and the engineered features: ``features/design.json``."""
    spec = load_spec(run)
    write_json(
        run.path("features/design.json"),
        Design(
            (),
            tuple(run.read("features/selected.json", "feature_selection", Selected)["columns"]),
            tuple(
                (feature["name"], feature["expression"])
                for feature in run.read("features/engineered.json", "feature_engineering", Engineered)["features"]
            ),
            spec.task,
            len(spec.target.classes) if spec.task == "classification" else 0,
        ).as_dict(),
    )
    return Design.load(run)


def check_converts(fitted: Fitted, table: Table) -> None:
    """Check early, not after minutes of tuning, that a user's estimator can be served.

    Raises:
        PantheonError: it cannot be converted to ONNX, or the ONNX model predicts differently.
    """
    from pantheon.workflow.bundle.agreement import agreement, enforce
    from pantheon.workflow.bundle.onnx_export import export

    X = table.X[:1000]
    try:
        enforce(agreement(export(fitted), X, fitted.predict(X)))
    except PantheonError as error:
        raise PantheonError(
            f"{fitted.own}: the candidate {fitted.name!r} cannot be served: {error.cause}", error.cure
        ) from error
