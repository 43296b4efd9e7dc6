"""train: join selection and engineering, then fit every family with default parameters on the training part."""

import time
from functools import partial

import joblib

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow.bundle.records import STORED
from pantheon.workflow.outputs import Engineered, FittedCandidate, Selected, Summary, Trained
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import Candidate, Fitted, Prepared, candidates, fit
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.metrics import primary
from pantheon.workflow.training.parallel import Call, one_thread, run_parallel, threads_for
from pantheon.workflow.training.preparation import Design


def train(run: Run) -> Summary:
    """``features/*`` → ``features/design.json``, ``candidates/NAME.joblib`` and ``candidates.json``."""
    spec, params = load_spec(run), run.params
    primary(spec.task, params.metric)  # refuse an unknown metric now, not after the fits
    run.path(STORED).unlink(missing_ok=True)  # of an earlier attempt, with a feature store
    design = join(run)
    table = Table.load(run.need("features/train.npz", "preprocess"))
    with one_thread():
        rows = Prepared.fit(design, table, params.seed)
    families = candidates(run, spec.task)
    threads = threads_for(rows.matrix, params.threads)

    def task(candidate: Candidate) -> tuple[Fitted, float]:
        clock = time.perf_counter()
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
