"""train: join selection and engineering, then fit every family with its defaults on the whole training part."""

import time
from functools import partial
from typing import Any

import joblib

from pantheon.errors import PantheonError
from pantheon.workflow.candidates import Candidate, Fitted, Prepared, candidates, fit
from pantheon.workflow.fits import Task, one_thread, side_by_side, worth
from pantheon.workflow.matrix import Table, load_spec
from pantheon.workflow.metrics import primary
from pantheon.workflow.preparation import Design
from pantheon.workflow.run import Run, read_json, write_json


def train(run: Run) -> dict[str, Any]:
    """``features/*`` → ``features/design.json``, ``candidates/NAME.joblib`` and ``candidates.json``."""
    spec, params = load_spec(run), run.params
    primary(spec.task, params.metric)  # an unknown metric is refused now, not after the fits
    design = join(run)
    table = Table.load(run.need("features/train.npz", "preprocess"))
    with one_thread():
        rows = Prepared.fit(design, table, params.seed)
    families = candidates(run, spec.task)
    threads = worth(len(table), params.threads)

    def task(candidate: Candidate) -> tuple[Fitted, float]:
        clock = time.perf_counter()
        fitted = fit(candidate, {}, rows, params.seed)
        if candidate.own is not None:
            check_converts(fitted, table)
        return fitted, time.perf_counter() - clock

    fitted = side_by_side(
        [Task(partial(task, family), family.free, family.spreads) for family in families.values()], threads
    )
    report = {}
    for model, seconds in fitted:
        with run.output(f"candidates/{model.name}.joblib") as path:
            joblib.dump(model, path)
        report[model.name] = {"params": model.params, "seconds": round(seconds, 3)}
    write_json(
        run.path("candidates.json"), {"candidates": {name: report[name] for name in families}, "rows": len(table)}
    )
    return {"candidates": list(families), "columns": int(rows.matrix.shape[1]), "rows": len(table)}


def join(run: Run) -> Design:
    """What was selected and what was engineered, together: ``features/design.json``."""
    spec = load_spec(run)
    write_json(
        run.path("features/design.json"),
        Design(
            (),
            tuple(read_json(run.need("features/selected.json", "feature_selection"))["columns"]),
            tuple(
                (feature["name"], feature["expression"])
                for feature in read_json(run.need("features/engineered.json", "feature_engineering"))["features"]
            ),
            spec.task,
            len(spec.target.classes) if spec.task == "classification" else 0,
        ).as_dict(),
    )
    return Design.load(run)


def check_converts(fitted: Fitted, table: Table) -> None:
    """Find out now, not after minutes of tuning, that a user's estimator cannot be served.

    Raises:
        PantheonError: it has no ONNX form, or one that answers otherwise.
    """
    from pantheon.workflow.agreement import agreement, enforce
    from pantheon.workflow.onnx_export import export

    X = table.X[:1000]
    try:
        enforce(agreement(export(fitted), X, fitted.predict(X)))
    except PantheonError as error:
        raise PantheonError(
            f"{fitted.own}: the candidate {fitted.name!r} cannot be served: {error.cause}", error.cure
        ) from error
