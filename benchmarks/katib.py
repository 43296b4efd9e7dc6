"""Experiments of Katib without a cluster: the same search by Optuna alone, with the same algorithm, trials and seed.

python -m benchmarks.katib
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from tests.support import ROOT
from tests.support.katib import experiment, of_trainjobs, spec
from tests.support.kubeflow import Service, ended

ENVIRONMENTS = ROOT / ".pantheon" / "envs"
PYTHON = str(ENVIRONMENTS / "kubeflow/bin/python")
TRIALS, SEED, SECONDS = 40, 7, 600.0
LOSS = "import sys; x, n = float(sys.argv[1]), int(sys.argv[2]); print(f'loss={(x - 3) ** 2 + n!r}')"
ALONE = f"""
import json, optuna, subprocess, sys, time
optuna.logging.set_verbosity(optuna.logging.WARNING)

def objective(trial):
    x, n = trial.suggest_float("x", 0, 5), trial.suggest_int("n", 0, 3)
    command = [sys.executable, "-S", "-c", {LOSS!r}, repr(x), str(n)]
    return float(subprocess.check_output(command, text=True).partition("=")[2])

study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed={SEED}))
clock = time.perf_counter()
study.optimize(objective, n_trials={TRIALS})
print(json.dumps({{"seconds": time.perf_counter() - clock, "best": study.best_value}}))
"""


def alone() -> dict[str, float]:
    """Return ``{"seconds", "best"}`` of a search by Optuna alone, which starts the same process for every trial."""
    found: dict[str, float] = json.loads(subprocess.check_output([PYTHON, "-c", ALONE], text=True))
    return found


def searched(service: Service, name: str, given: dict[str, Any]) -> dict[str, float]:
    """Return ``{"seconds", "best"}`` of an Experiment, from the request to its end."""
    text = yaml.safe_dump(experiment(name, given)).encode()
    clock = time.perf_counter()
    service.client.apply(text)
    found = service.client.wait("experiments", name, ended, SECONDS, poll=0.02)
    took = time.perf_counter() - clock
    if not found or not ended(found, "Succeeded") or found["status"]["trialsSucceeded"] != given["maxTrialCount"]:
        raise RuntimeError(f"{name} did not succeed: {found and found['status']}")
    (metric,) = found["status"]["currentOptimalTrial"]["observation"]["metrics"]
    return {"seconds": took, "best": float(metric["min"])}


def bench() -> dict[str, Any]:
    """The figures of ``make bench``."""
    with tempfile.TemporaryDirectory(prefix="bench-katib-") as scratch:
        state = Path(scratch) / "state"
        state.mkdir()
        service = Service(state, "pantheon.kubeflow", PYTHON)
        service.start(WORKFLOW_ENVIRONMENT=os.fspath(ENVIRONMENTS / "workflow"))
        try:
            given = spec(LOSS, "tpe", {"random_state": str(SEED)}, maxTrialCount=TRIALS)
            searched(service, "warm", {**given, "maxTrialCount": 1})  # imports Optuna, and fills the file cache
            bare, katib = [], []
            for place in range(2):  # side by side, so that both meet the same load
                bare.append(alone())
                katib.append(searched(service, f"katib-{place}", given))
            nodes = searched(service, "nodes", of_trainjobs(given))
        finally:
            service.end(signal.SIGTERM)
    reference, own = (min(each, key=lambda one: one["seconds"]) for each in (bare, katib))
    overhead = {name: (one["seconds"] - reference["seconds"]) / TRIALS for name, one in (("", own), ("nodes", nodes))}
    return {
        "overhead of a trial of an Experiment, against Optuna alone (s)": {
            "value": overhead[""],
            "bar": 0.5,
            "optuna": reference["seconds"] / TRIALS,
            "experiment": own["seconds"] / TRIALS,
            "trials": TRIALS,
        },
        "its best value, against Optuna's with the same seed": {
            "value": max(abs(one["best"] - reference["best"]) for one in (*katib, nodes)),
            "bar": 0.0,
            "best": reference["best"],
        },
        "overhead of a trial that is a TrainJob of two nodes (s)": {"value": overhead["nodes"], "bar": 1.0},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))
