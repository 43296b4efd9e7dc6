"""The stages as PyCaret does them. Each reads and writes what the workflow's own does; see ``pantheon.workflow``.

No model is kept between them: the same rows, options and seed make the same experiment again, in a fraction of a
second, and nothing has to be unpickled.
"""

import hashlib
import shutil
from importlib import metadata
from typing import Any

import numpy as np

from pantheon.errors import PantheonError
from pantheon.pycaret.experiment import Lab, quiet, reason
from pantheon.pycaret.onnx_export import convert
from pantheon.pycaret.tuning import search
from pantheon.workflow import feature_engineering as engineering
from pantheon.workflow import feature_selection as selecting
from pantheon.workflow import interrupt
from pantheon.workflow.bundle import rows_to_check
from pantheon.workflow.candidates import BASELINE
from pantheon.workflow.evaluate import CHOSEN, ONNX, ranked
from pantheon.workflow.lineage import ROOT
from pantheon.workflow.matrix import save, train_and_test
from pantheon.workflow.metrics import say
from pantheon.workflow.run import Run, read_json, write_json
from pantheon.workflow.train import join

SETUP = "pycaret/setup.json"
COMPARISON = "candidates/pycaret.json"
SLOW = ("gpc", "rbfsvm", "mlp")  # PyCaret leaves them out itself (`turbo`)
QUADRATIC = ("gpc", "rbfsvm", "svm", "kr", "tr")  # time or memory grow with the square of the rows, or worse
MANY = 5000  # rows from which those are left out
TUNED = 2  # families that are searched, the best that can be served
FOLDS = 3  # of tuning, as the workflow's own


def feature_engineering(run: Run) -> dict[str, Any]:
    """What is computed of columns: dates' parts, logarithms, the deployment's own (``extensions``)."""
    return engineering.feature_engineering(run)


def feature_selection(
    run: Run, normalize: bool = True, feature_selection: bool = False, remove_outliers: bool = False
) -> dict[str, Any]:
    """Leaves out what can tell nothing, then sets PyCaret up: it fills, encodes, scales and, if asked, selects."""
    selecting.feature_selection(run)
    join(run)
    setup = {"normalize": normalize, "feature_selection": feature_selection, "remove_outliers": remove_outliers}
    lab = Lab(run, setup)
    names = lab.columns()
    found = {"setup": setup, "columns": names, "rows": len(lab.table), "compared_on": len(lab.pycaret.X_train)}
    write_json(run.path(SETUP), found)
    return {"columns": len(names), "rows": len(lab.table), **{key: value for key, value in setup.items() if value}}


def lab_of(run: Run) -> Lab:
    """The run's experiment, as ``feature_selection`` set it up."""
    return Lab(run, read_json(run.need(SETUP, "feature_selection"))["setup"])


def train(run: Run, include: list[str] | None = None) -> dict[str, Any]:
    """``compare_models`` → ``candidates/pycaret.json`` and ``candidates.json``: every model of PyCaret's, its scores.

    Args:
        include: ids of models to compare; empty for all that are neither slow nor of no use on so many rows.

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
    entries = []
    for name in wanted:
        entry: dict[str, Any] = {"id": name, "name": BASELINE if name == "dummy" else models[name]}
        made = lab.pycaret.made.get(name)
        if made is None or made.metrics is None:
            entries.append(entry | {"why": lab.pycaret.failed.get(name, "it could not be fitted")})
            continue
        values = made.metrics[lab.metric].to_numpy(dtype=float)[: len(folds.pairs)]
        means = made.metrics.loc["Mean"]
        scores = {str(key): float(value) for key, value in means.items() if np.isfinite(value) and key != lab.metric}
        entry |= {"seconds": lab.pycaret.seconds[name], "scores": scores}
        if lab.classification and not hasattr(made.pipeline.steps[-1][1], "predict_proba"):
            entry["why"] = "it gives no probabilities"
        elif not np.isfinite(values).all():
            entry["why"] = "it failed in a fold"
        else:
            entry["folds"] = values.tolist()
        entries.append(entry)
    compared = [entry for entry in entries if "folds" in entry]
    if BASELINE not in {entry["name"] for entry in compared} or len(compared) < 2:
        raise PantheonError("none of PyCaret's models could be compared.", "Give more rows, or VARIANT=none.", 1)
    entries += [{"id": name, "name": models[name], "why": why} for name, why in skipped.items() if name not in wanted]
    shutil.rmtree(run.path("candidates"), ignore_errors=True)  # of a training that PyCaret has not done
    write_json(run.path(COMPARISON), {"metric": lab.metric, "models": entries})
    fitted = {entry["name"]: {"params": {}, "seconds": entry["seconds"]} for entry in compared}
    write_json(run.path("candidates.json"), {"candidates": fitted, "rows": len(lab.table)})
    return {"compared": len(compared), "not": len(entries) - len(compared), "rows": len(lab.table)}


def _quadratic(name: str, lab: Lab) -> bool:
    return name in QUADRATIC and not (name == "svm" and lab.classification)  # of classes, that one is linear


def model_selection(run: Run) -> dict[str, Any]:
    """PyCaret's comparison by the run's metric → ``selection.json``."""
    lab = lab_of(run)
    models = read_json(run.need(COMPARISON, "train"))["models"]
    ranking = [
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
    found = {"metric": lab.metric, "greater_is_better": lab.greater, "rows": len(lab.table), "ranking": ranking}
    write_json(run.path("selection.json"), found)
    return {"best": ranking[0]["name"], lab.metric: round(ranking[0]["mean"], 4), "rows": len(lab.table)}


def hyperparameter_tuning(run: Run, families: int = TUNED) -> dict[str, Any]:
    """``tune_model`` on the best families that can be served → ``tuning.json``.

    Args:
        families: how many.
    """
    lab = lab_of(run)
    selection = read_json(run.need("selection.json", "model_selection"))
    X = lab.table.X[:1000]
    found: dict[str, Any] = {}
    cannot: dict[str, str] = {}
    for entry in selection["ranking"]:
        if entry["name"] == BASELINE or len(found) >= families:
            continue
        interrupt.check()
        try:  # a family that cannot be served is not searched
            convert(lab, lab.final(entry["id"], {}), X)
        except Exception as error:  # noqa: BLE001 - PyCaret's, scikit-learn's or the converter's: it is out, and why
            cannot[entry["name"]] = _why(error)
            continue
        found[entry["name"]] = search(lab, entry["id"], lab.folds.first(FOLDS))
    write_json(
        run.path("tuning.json"),
        {
            "metric": lab.metric,
            "folds": min(FOLDS, len(lab.folds.pairs)),
            "reproducible": True,
            "families": found,
            "not_served": cannot,
        },
    )
    best = {name: round(entry["best"]["mean"], 4) for name, entry in found.items() if entry["best"]}
    return {"trials": sum(len(entry["trials"]) for entry in found.values()), **best}


def _why(error: Exception) -> str:
    return error.cause.rstrip(".") if isinstance(error, PantheonError) else reason(error)


def evaluate(run: Run) -> dict[str, Any]:
    """The best of PyCaret's models that can be served, fitted on the whole training part, and what all answer to the
    held-out rows, which PyCaret has not seen: ``evaluation/chosen.onnx``, ``chosen.json``, ``test.npz``, ``train.npz``.

    Raises:
        PantheonError: none of its models has an ONNX form that answers as PyCaret does.
    """
    lab = lab_of(run)
    selection = read_json(run.need("selection.json", "model_selection"))
    tuning = read_json(run.need("tuning.json", "hyperparameter_tuning"))
    ids = {entry["name"]: entry["id"] for entry in selection["ranking"]}
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    X = rows_to_check(run, inputs, run.params.seed)
    _, test = train_and_test(run)
    refused: list[dict[str, Any]] = []
    for chosen in ranked(selection, tuning):
        interrupt.check()
        try:
            pipeline = lab.final(ids[chosen["name"]], chosen["params"])
            model, result = convert(lab, pipeline, X)
            break
        except Exception as error:  # noqa: BLE001 - whatever it is, the next best is served, and this is said
            refused.append({"name": chosen["name"], "mean": chosen["mean"], "why": _why(error)})
    else:
        raise PantheonError(
            "none of PyCaret's models can be served as ONNX.",
            f"{refused[0]['name']}: {refused[0]['why']}. Compare others (INCLUDE in pycaret_train), or VARIANT=none.",
            1,
        )
    answers = {"y": test.y, CHOSEN: lab.predict(pipeline, test.X)}
    for name, model_id in ids.items():
        interrupt.check()
        try:
            answers[name] = lab.predict(lab.final(model_id, {}), test.X)
        except Exception as error:
            if name == BASELINE:
                raise
            refused.append({"name": name, "mean": None, "why": f"it fails on all rows: {reason(error)}"})
    graph = model.SerializeToString()
    run.path("evaluation/chosen.joblib").unlink(missing_ok=True)  # of a model that the workflow made before
    with run.output(ONNX) as path:
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
    write_json(
        run.path("evaluation/chosen.json"),
        chosen
        | {
            "metric": selection["metric"],
            "reproducible": tuning["reproducible"],
            "agreement": result.as_dict(),
            "onnx_sha256": hashlib.sha256(graph).hexdigest(),
            "note": note,
            "pycaret": _origin(run, lab, selection, tuning) | {"not_served": better},
        },
    )
    return {"chosen": chosen["name"], "tuned": chosen["tuned"], "params": chosen["params"], "not served": len(better)}


def _origin(run: Run, lab: Lab, selection: dict[str, Any], tuning: dict[str, Any]) -> dict[str, Any]:
    """What the lineage says of PyCaret's part."""
    lock = ROOT / "requirements" / "pycaret.txt"
    return {
        "version": metadata.version("pycaret"),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "packages": {name: metadata.version(name) for name in ("numpy", "pandas", "scikit-learn", "skl2onnx", "onnx")},
        "rows": len(lab.table),
        "setup": read_json(run.path(SETUP))["setup"],
        "tried": [
            {"name": entry["name"], "mean": entry["mean"], "trials": len(_trials(tuning, entry["name"]))}
            for entry in selection["ranking"]
        ],
    }


def _trials(tuning: dict[str, Any], name: str) -> list[Any]:
    found: list[Any] = tuning["families"].get(name, {}).get("trials", [])
    return found
