"""The stages implemented with PyCaret. They read and write the same files as the workflow's; see ``pantheon.workflow``.

No model is kept between stages: the same rows, options and seed recreate the experiment in a fraction of a second, and
nothing has to be unpickled.
"""

import hashlib
import shutil
from importlib import metadata
from typing import NotRequired, TypedDict

import numpy as np

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.pycaret.experiment import Lab, quiet, reason
from pantheon.pycaret.onnx_export import convert
from pantheon.pycaret.tuning import search
from pantheon.workflow import cancellation
from pantheon.workflow.bundle.lineage import ROOT
from pantheon.workflow.bundle.write import rows_to_check
from pantheon.workflow.outputs import (
    CHOSEN,
    CHOSEN_ONNX,
    Chosen,
    NotServed,
    Preprocessed,
    PyCaretOrigin,
    Ranked,
    Search,
    Selection,
    Summary,
    Trained,
    Trial,
    Tuning,
)
from pantheon.workflow.run import Run
from pantheon.workflow.stages import feature_engineering as engineering
from pantheon.workflow.stages import feature_selection as selecting
from pantheon.workflow.stages.evaluate import ranked
from pantheon.workflow.stages.train import join
from pantheon.workflow.training.candidates import BASELINE
from pantheon.workflow.training.matrix import save, train_and_test
from pantheon.workflow.training.metrics import say

SETUP = "pycaret/setup.json"
COMPARISON = "candidates/pycaret.json"
SLOW = ("gpc", "rbfsvm", "mlp")  # PyCaret skips them by default (`turbo`)
QUADRATIC = ("gpc", "rbfsvm", "svm", "kr", "tr")  # time or memory grow with the square of the rows, or faster
MANY = 5000  # rows above which those are skipped
TUNED = 2  # families that are tuned: the best ones that can be served
FOLDS = 3  # of tuning, as in the workflow


class Setup(TypedDict):
    """``pycaret/setup.json``: the options of PyCaret's experiment, its columns and numbers of rows."""

    setup: dict[str, bool]
    columns: list[str]
    rows: int
    compared_on: int


class Model(TypedDict):
    """A model in PyCaret's comparison: its scores, or why it has none."""

    id: str
    name: str
    seconds: NotRequired[float]
    scores: NotRequired[dict[str, float]]
    folds: NotRequired[list[float]]
    why: NotRequired[str]


class Models(TypedDict):
    """``candidates/pycaret.json``"""

    metric: str
    models: list[Model]


def feature_engineering(run: Run) -> Summary:
    """Compute features: parts of dates, logarithms, user-defined ones (``extensions``)."""
    return engineering.feature_engineering(run)


def feature_selection(
    run: Run, normalize: bool = True, feature_selection: bool = False, remove_outliers: bool = False
) -> Summary:
    """Drop useless columns, then set up PyCaret, which imputes, encodes, scales and optionally selects."""
    selecting.feature_selection(run)
    join(run)
    setup = {"normalize": normalize, "feature_selection": feature_selection, "remove_outliers": remove_outliers}
    lab = Lab(run, setup)
    names = lab.columns()
    content: Setup = {
        "setup": setup,
        "columns": names,
        "rows": len(lab.table),
        "compared_on": len(lab.pycaret.X_train),
    }
    write_json(run.path(SETUP), content)
    return {"columns": len(names), "rows": len(lab.table), **{key: value for key, value in setup.items() if value}}


def lab_of(run: Run) -> Lab:
    """Return the run's experiment, with the setup of ``feature_selection``."""
    return Lab(run, run.read(SETUP, "feature_selection", Setup)["setup"])


def train(run: Run, include: list[str] | None = None) -> Summary:
    """``compare_models`` → ``candidates/pycaret.json`` and ``candidates.json``: all PyCaret models with their scores.

    Args:
        include: ids of models to compare; empty: all except slow ones and those that do not scale to the rows.

    Raises:
        PantheonError: there is no such model, or none could be compared.
    """
    lab = lab_of(run)
    models = lab.models()
    unknown = sorted(set(include or ()) - set(models))
    if unknown:
        raise PantheonError(f"PyCaret has no model {unknown[0]!r}.", f"It has: {', '.join(models)}.")
    many = len(lab.table) > MANY
    skipped = {name: "slow; name it in INCLUDE" for name in models if name in SLOW}
    if many:
        skipped |= {name: f"too slow on more than {MANY:,} rows" for name in models if _quadratic(name, lab)}
    wanted = [name for name in models if (name in include if include else name not in skipped) or name == "dummy"]
    folds = lab.folds
    with quiet():
        lab.pycaret.compare_models(include=wanted, fold=folds, sort=lab.metric, turbo=False, round=15)
    entries: list[Model] = []
    for name in wanted:
        entry: Model = {"id": name, "name": BASELINE if name == "dummy" else models[name]}
        made = lab.pycaret.made.get(name)
        if made is None or made.metrics is None:
            entry["why"] = lab.pycaret.failed.get(name, "it could not be fitted")
            entries.append(entry)
            continue
        values = made.metrics[lab.metric].to_numpy(dtype=float)[: len(folds.pairs)]
        means = made.metrics.loc["Mean"]
        scores = {str(key): float(value) for key, value in means.items() if np.isfinite(value) and key != lab.metric}
        entry["seconds"], entry["scores"] = lab.pycaret.seconds[name], scores
        if lab.classification and not hasattr(made.pipeline.steps[-1][1], "predict_proba"):
            entry["why"] = "it has no probabilities"
        elif not np.isfinite(values).all():
            entry["why"] = "it failed in a fold"
        else:
            entry["folds"] = values.tolist()
        entries.append(entry)
    compared = [entry for entry in entries if "folds" in entry]
    if BASELINE not in {entry["name"] for entry in compared} or len(compared) < 2:
        raise PantheonError("none of PyCaret's models could be compared.", "Provide more rows, or use VARIANT=none.", 1)
    entries += [{"id": name, "name": models[name], "why": why} for name, why in skipped.items() if name not in wanted]
    shutil.rmtree(run.path("candidates"), ignore_errors=True)  # of an earlier training without PyCaret
    comparison: Models = {"metric": lab.metric, "models": entries}
    write_json(run.path(COMPARISON), comparison)
    trained: Trained = {
        "candidates": {entry["name"]: {"params": {}, "seconds": entry["seconds"]} for entry in compared},
        "rows": len(lab.table),
    }
    write_json(run.path("candidates.json"), trained)
    return {"compared": len(compared), "not": len(entries) - len(compared), "rows": len(lab.table)}


def _quadratic(name: str, lab: Lab) -> bool:
    return name in QUADRATIC and not (name == "svm" and lab.classification)  # for classification, this one is linear


def model_selection(run: Run) -> Summary:
    """PyCaret's comparison by the run's metric → ``selection.json``."""
    lab = lab_of(run)
    models = run.read(COMPARISON, "train", Models)["models"]
    ranking: list[Ranked] = [
        {
            "name": entry["name"],
            "id": entry["id"],
            "mean": float(np.mean(entry["folds"])),
            "std": float(np.std(entry["folds"])),
            "folds": entry["folds"],
        }
        for entry in models
        if "folds" in entry
    ]
    ranking.sort(key=lambda entry: entry["mean"], reverse=lab.greater)
    content: Selection = {
        "metric": lab.metric,
        "greater_is_better": lab.greater,
        "rows": len(lab.table),
        "ranking": ranking,
    }
    write_json(run.path("selection.json"), content)
    return {"best": ranking[0]["name"], lab.metric: round(ranking[0]["mean"], 4), "rows": len(lab.table)}


def hyperparameter_tuning(run: Run, families: int = TUNED) -> Summary:
    """``tune_model`` on the best families that can be served → ``tuning.json``.

    Args:
        families: number of families to tune.
    """
    lab = lab_of(run)
    selection = run.read("selection.json", "model_selection", Selection)
    X = lab.table.X[:1000]
    content: dict[str, Search] = {}
    cannot: dict[str, str] = {}
    for entry in selection["ranking"]:
        if entry["name"] == BASELINE or len(content) >= families:
            continue
        cancellation.check()
        try:  # a family that cannot be served is not searched
            convert(lab, lab.final(entry["id"], {}), X)
        except Exception as error:  # noqa: BLE001 - of PyCaret, scikit-learn or the converter: record the reason
            cannot[entry["name"]] = _why(error)
            continue
        content[entry["name"]] = search(lab, entry["id"], lab.folds.first(FOLDS))
    tuning: Tuning = {
        "metric": lab.metric,
        "folds": min(FOLDS, len(lab.folds.pairs)),
        "reproducible": True,
        "families": content,
        "not_served": cannot,
    }
    write_json(run.path("tuning.json"), tuning)
    best = {name: round(entry["best"]["mean"], 4) for name, entry in content.items() if entry["best"]}
    return {"trials": sum(len(entry["trials"]) for entry in content.values()), **best}


def _why(error: Exception) -> str:
    return error.cause.rstrip(".") if isinstance(error, PantheonError) else reason(error)


def evaluate(run: Run) -> Summary:
    """Fit the best PyCaret model that can be served on the complete training part; predict the held-out rows with all
    models, which have not seen them: ``evaluation/chosen.onnx``, ``chosen.json``, ``test.npz``, ``train.npz``.

    Raises:
        PantheonError: no model can be converted to an ONNX graph that predicts what PyCaret predicts.
    """
    lab = lab_of(run)
    selection = run.read("selection.json", "model_selection", Selection)
    tuning = run.read("tuning.json", "hyperparameter_tuning", Tuning)
    ids = {entry["name"]: entry["id"] for entry in selection["ranking"]}
    inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    X = rows_to_check(run, inputs, run.params.seed)
    _, test = train_and_test(run)
    refused: list[NotServed] = []
    for chosen in ranked(selection, tuning):
        cancellation.check()
        try:
            pipeline = lab.final(ids[chosen["name"]], chosen["params"])
            model, result = convert(lab, pipeline, X)
            break
        except Exception as error:  # noqa: BLE001 - try the next best model, and record the reason
            refused.append({"name": chosen["name"], "mean": chosen["mean"], "why": _why(error)})
    else:
        raise PantheonError(
            "none of PyCaret's models can be served as ONNX.",
            f"{refused[0]['name']}: {refused[0]['why']}. Compare others (INCLUDE in pycaret_train), or VARIANT=none.",
            1,
        )
    answers = {"y": test.y, CHOSEN: lab.predict(pipeline, test.X)}
    for name, model_id in ids.items():
        cancellation.check()
        try:
            answers[name] = lab.predict(lab.final(model_id, {}), test.X)
        except Exception as error:
            if name == BASELINE:
                raise
            refused.append({"name": name, "mean": None, "why": f"it fails on all rows: {reason(error)}"})
    graph = model.SerializeToString()
    run.path("evaluation/chosen.joblib").unlink(missing_ok=True)  # of an earlier model without PyCaret
    with run.output(CHOSEN_ONNX) as path:
        path.write_bytes(graph)
    with run.output("evaluation/test.npz") as path, path.open("wb") as file:
        save(file, answers)
    with run.output("evaluation/train.npz") as path, path.open("wb") as file:
        save(file, {"y": lab.table.y, CHOSEN: lab.predict(pipeline, lab.table.X)})
    better = [entry for entry in refused if entry["mean"] is not None]
    note = ""
    if better:
        note = (
            f"PyCaret ranked {better[0]['name']} higher in cross-validation ({say(lab.metric)} {better[0]['mean']:.4g} "
            f"against {chosen['mean']:.4g}); it is not served: {better[0]['why']}."
        )
    content: Chosen = {
        "name": chosen["name"],
        "params": chosen["params"],
        "tuned": chosen["tuned"],
        "folds": chosen["folds"],
        "mean": chosen["mean"],
        "std": chosen["std"],
        "metric": selection["metric"],
        "reproducible": tuning["reproducible"],
        "agreement": result.as_dict(),
        "onnx_sha256": hashlib.sha256(graph).hexdigest(),
        "note": note,
        "pycaret": _origin(run, lab, selection, tuning, better),
    }
    write_json(run.path("evaluation/chosen.json"), content)
    return {"chosen": chosen["name"], "tuned": chosen["tuned"], "params": chosen["params"], "not served": len(better)}


def _origin(run: Run, lab: Lab, selection: Selection, tuning: Tuning, not_served: list[NotServed]) -> PyCaretOrigin:
    """Return PyCaret's part of the lineage."""
    lock = ROOT / "requirements" / "pycaret.txt"
    return {
        "version": metadata.version("pycaret"),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "packages": {name: metadata.version(name) for name in ("numpy", "pandas", "scikit-learn", "skl2onnx", "onnx")},
        "rows": len(lab.table),
        "setup": run.read(SETUP, "feature_selection", Setup)["setup"],
        "tried": [
            {"name": entry["name"], "mean": entry["mean"], "trials": len(_trials(tuning, entry["name"]))}
            for entry in selection["ranking"]
        ],
        "not_served": not_served,
    }


def _trials(tuning: Tuning, name: str) -> list[Trial]:
    search = tuning["families"].get(name)
    return search["trials"] if search else []
