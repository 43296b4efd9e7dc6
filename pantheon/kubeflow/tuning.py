"""The stage hyperparameter_tuning as Experiments: one for each family of models, with the candidates of other tiers.

Each trial is a Job like any other. Its process asks this one, the stage's, which has the folds prepared; without an
answer (the stage was killed) it prepares them itself (``pantheon.kubeflow.trial``). Results are the same either way,
and the same as of the stage itself: TPE with the run's seed as ``random_state`` and its ``n_startup_trials``, one trial
at a time. An Experiment's name follows from all inputs of the search, so a stage that is repeated goes on where it was.
"""

import hashlib
import json
import re
import time
from functools import partial
from typing import Any

from pantheon.errors import PantheonError
from pantheon.files import sha256
from pantheon.kubeflow import owned
from pantheon.kubeflow.client import Kubeflow
from pantheon.kubeflow.contract import Object
from pantheon.kubeflow.evaluator import Evaluator
from pantheon.kubeflow.trial import SCORE, fold_name, text_of, value_of
from pantheon.workflow import cancellation
from pantheon.workflow.graph import Hook, Other
from pantheon.workflow.outputs import Search, Summary, Trial
from pantheon.workflow.run import Run
from pantheon.workflow.stages import hyperparameter_tuning as stage
from pantheon.workflow.training.candidates import Candidate
from pantheon.workflow.training.crossval import CrossValidation

BY = "katib"
STAGE = "hyperparameter_tuning"
KIND = "experiments"
POLL_SECONDS = 0.1
MOST_TRIALS = 1000  # as ``katib.plan``
LEAST = {"double": 1e-10, "int": 1}  # on a logarithmic scale, as Katib has it
INPUTS = ("features/train.npz", "features/design.json")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


def hook(inner: Hook | None = None) -> Hook:
    """Return a hook of the graph that replaces the stage; ``inner`` is called for all others, and for the result."""

    def replace(name: str, implementation: Other) -> Other:
        if name == STAGE and not implementation.by:  # not PyCaret's
            implementation = Other(BY, tune)
        return inner(name, implementation) if inner else implementation

    return replace


def tune(run: Run) -> Summary:
    """``candidates.json`` → ``tuning.json``, as the workflow's own stage; see there."""
    client = Kubeflow.here(owned.by() or "workflow")
    inputs = "".join(sha256(run.path(name)) for name in INPUTS if run.path(name).exists())
    with Evaluator(run) as evaluator:
        return stage.tune(run, partial(_search, run, client, evaluator, inputs))


def _search(
    run: Run,
    client: Kubeflow,
    evaluator: Evaluator,
    inputs: str,
    family: Candidate,
    folds: CrossValidation,
    end: float,
) -> Search:
    """Search one family by an Experiment."""
    parameters = _parameters(family.space)
    if parameters is None or not 1 <= folds.params.trials <= MOST_TRIALS or not 0 <= folds.params.seed < 2**32:
        return stage.search(family, folds, end)  # Katib cannot say this space, which only an extension can have
    evaluator.add(family, folds)
    namespace = owned.namespace()
    manifest = experiment(run, family, folds, parameters, inputs)
    name = manifest["metadata"]["name"]
    client.apply(json.dumps(manifest).encode(), namespace)
    ended = _wait(client, name, namespace, end)
    status = ended["status"]
    if not any(each["type"] == "Succeeded" and each["status"] == "True" for each in status["conditions"]):
        if time.monotonic() < end:
            raise evaluator.error(family.name) or _failure(client, ended, namespace)
        client.delete(KIND, name, namespace)
    log = [
        _trial(number, client.get("trials", trial, namespace), family, len(folds.splits))
        for number, trial in enumerate(status.get("succeededTrialList", []))
    ]
    return {"best": stage.best_of(log, folds.greater), "trials": log}


def _wait(client: Kubeflow, name: str, namespace: str, end: float) -> Object:
    """Wait until an Experiment has ended, or until ``end``; return it."""
    while True:
        cancellation.check()
        found = client.get(KIND, name, namespace)
        conditions = found["status"].get("conditions", [])
        ended = any(each["type"] in ("Succeeded", "Failed") and each["status"] == "True" for each in conditions)
        if ended or time.monotonic() >= end:
            return found
        time.sleep(POLL_SECONDS)


def _failure(client: Kubeflow, ended: Object, namespace: str) -> PantheonError:
    name = ended["metadata"]["name"]
    failed = ended["status"].get("failedTrialList") or ended["status"].get("metricsUnavailableTrialList") or [""]
    said = next((each["message"] for each in ended["status"]["conditions"] if each["type"] == "Failed"), "")
    if failed[0]:
        conditions = client.get("trials", failed[0], namespace)["status"]["conditions"]
        said = next((each["message"] for each in reversed(conditions) if each["status"] == "True"), said)
    cure = f"Look at it: `bin/pantheon describe experiment {name} -n {namespace}`"
    return PantheonError(f"the experiment {name} failed: {said.rstrip('.')}.", cure, 1)


def _trial(number: int, found: Object, family: Candidate, folds: int) -> Trial:
    metrics = {each["name"]: float(each["latest"]) for each in found["status"]["observation"]["metrics"]}
    texts = {each["name"]: each["value"] for each in found["spec"]["parameterAssignments"]}
    values = [metrics[fold_name(fold)] for fold in range(folds)]
    params = {name: value_of(choice, texts[name]) for name, choice in family.space.items()}
    return {"number": number, "params": params, "mean": metrics[SCORE], "folds": values}


def experiment(
    run: Run, family: Candidate, folds: CrossValidation, parameters: list[dict[str, Any]], inputs: str
) -> Object:
    """Return the Experiment that searches a family.

    Args:
        inputs: what its results depend on besides the run's parameters, as text.
    """
    params, count = run.params, len(folds.splits)
    searched = [parameter["name"] for parameter in parameters]
    settings = {"random_state": params.seed, "n_startup_trials": stage.startup_trials(params.trials)}
    words = ["--run", run.id, "--family", family.name]
    spec: dict[str, Any] = {
        "objective": {
            "type": "maximize" if folds.greater else "minimize",
            "objectiveMetricName": SCORE,
            "additionalMetricNames": [fold_name(fold) for fold in range(count)],
        },
        "algorithm": {
            "algorithmName": "tpe",
            "algorithmSettings": [{"name": name, "value": str(value)} for name, value in settings.items()],
        },
        "parallelTrialCount": 1,
        "maxTrialCount": params.trials,
        "maxFailedTrialCount": 1,
        "parameters": parameters,
        "trialTemplate": {
            "primaryContainerName": "trial",
            "trialParameters": [{"name": name, "reference": name} for name in searched],
            "trialSpec": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "trial",
                        "image": "pantheon/workflow",
                        "command": ["python", "-S", "-P", "-m", "pantheon.kubeflow.trial", *words],
                        "args": [f"{name}=${{trialParameters.{name}}}" for name in searched],
                        "env": [{"name": name, "value": str(params.threads)} for name in THREADS],
                    }],
                }}},
            },
        },
    }  # fmt: skip
    own = getattr(family.own, "read_bytes", bytes)()
    what = json.dumps([run.id, family.name, folds.metric, inputs, spec]).encode() + own
    slug = re.sub(r"[^a-z0-9]+", "-", family.name.lower()).strip("-")[:16].strip("-")
    name = f"tune-{slug}-{hashlib.sha256(what).hexdigest()[:12]}"
    labels = owned.labels(run.id, **{"pantheon/family": family.name[:63].strip("-_")})
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def _parameters(space: Any) -> list[dict[str, Any]] | None:
    """Return a family's space as Katib's parameters; None if Katib cannot say it."""
    found: list[dict[str, Any]] = []
    for name, choice in space.items():
        if isinstance(choice, list):
            texts = [text_of(each) for each in choice]
            if len(set(texts)) < len(texts):
                return None
            found.append({"name": name, "parameterType": "categorical", "feasibleSpace": {"list": texts}})
            continue
        low, high, *log = choice
        type_ = "int" if isinstance(low, int) and isinstance(high, int) else "double"
        if log and low < LEAST[type_]:
            return None
        bounds = {"min": repr(low), "max": repr(high)} | ({"distribution": "logUniform"} if log else {})
        found.append({"name": name, "parameterType": type_, "feasibleSpace": bounds})
    return found
