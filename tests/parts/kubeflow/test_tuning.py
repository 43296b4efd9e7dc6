"""hyperparameter_tuning as Experiments, with Kubeflow's service as a process: the candidates of every other tier."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.kubeflow import tuning
from pantheon.workflow import graph
from pantheon.workflow.run import Run
from pantheon.workflow.stages import hyperparameter_tuning as stage
from tests.support.kubeflow import Service
from tests.support.training import FEW, TRAINING, MakeRun, extend, stages
from tests.support.waiting import until

BEFORE = TRAINING[: TRAINING.index("train") + 1]
PICKY = """
from sklearn.tree import DecisionTreeClassifier
from pantheon.workflow.extensions import candidate

@candidate("picky", space={"criterion": ["gini", "entropy"], "max_depth": (2, 9), "min_samples_leaf": [1, 5, 10]})
def picky(seed, max_depth=3, **params):
    if max_depth == 1000:
        raise ValueError("too deep")
    return DecisionTreeClassifier(max_depth=max_depth, random_state=seed, **params)
"""


@pytest.fixture
def run(make_run: MakeRun) -> Run:
    made = make_run(params=replace(FEW, trials=6))
    extend(made, picky=PICKY)
    stages(made, *BEFORE)
    return made


@pytest.fixture
def service(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service(run.state, "pantheon.kubeflow")
    made.start()
    monkeypatch.setenv("KUBEFLOW_URL", f"http://127.0.0.1:{made.port}")
    monkeypatch.setenv("KUBEFLOW_KEY_FILE", str(made.key))
    yield made
    if made.process and made.process.poll() is None:
        assert made.end(signal.SIGTERM) == 0
    until(lambda: not made.children(), what="no trial is left")


def test_experiments_try_the_same_candidates_and_choose_the_same(run: Run, service: Service) -> None:
    own = stage.hyperparameter_tuning(run)
    expected = read_json(run.path("tuning.json"))
    run.path("tuning.json").unlink()
    other = tuning.hook()("hyperparameter_tuning", graph.Other("", stage.hyperparameter_tuning))
    assert other.by == "katib"
    assert graph.call(other, run, None) == own
    assert read_json(run.path("tuning.json")) == expected
    assert {len(each["trials"]) for each in expected["families"].values()} == {6}
    assert "picky" in expected["families"]
    experiments = service.client.list("experiments")
    assert len(experiments) == len(expected["families"])
    assert {each["metadata"]["labels"]["pantheon/run"] for each in experiments} == {run.id}
    assert {each["spec"]["parallelTrialCount"] for each in experiments} == {1}
    trials = service.client.list("trials")
    assert len(trials) == 6 * len(experiments)
    name = trials[0]["metadata"]["name"]
    log, _ = service.client.log("trials", name, "trial.log")
    assert b"score=" in log and b"does not answer" not in log, "the stage's process computed it"
    # A trial that finds no stage computes the same by itself, as after the stage was killed.
    spec = trials[0]["spec"]["runSpec"]["spec"]["template"]["spec"]["containers"][0]
    environment = {**os.environ, "STATE_DIR": str(run.state), **{each["name"]: each["value"] for each in spec["env"]}}
    again = subprocess.run(
        [sys.executable, *spec["command"][1:], *spec["args"]], env=environment, capture_output=True, check=True
    )
    assert again.stdout == b"the stage does not answer: computing in this process\n" + log
    # Repeated with the same inputs, it runs no trial again; in a step of a pipeline this time.
    gone = experiments[0]
    assert service.client.gone("experiments", service.client.delete("experiments", gone["metadata"]["name"]), 60)
    step = (
        "import sys; from pantheon.kubeflow.pipelines.stage import stage; stage('hyperparameter_tuning', sys.argv[1])"
    )
    run.path("tuning.json").unlink()
    environment = {**os.environ, "STATE_DIR": str(run.state)}
    subprocess.run([sys.executable, "-P", "-c", step, run.id], env=environment, check=True)
    assert read_json(run.path("tuning.json")) == expected
    after = service.client.list("experiments")
    assert {each["metadata"]["name"] for each in after} == {each["metadata"]["name"] for each in experiments}
    uids = {each["metadata"]["uid"] for each in experiments} & {each["metadata"]["uid"] for each in after}
    assert len(uids) == len(experiments) - 1, "the one that was deleted is made again, the others are as they were"


def test_a_killed_service_continues_the_search_of_a_stage(run: Run, service: Service) -> None:
    stage.hyperparameter_tuning(run)
    expected = read_json(run.path("tuning.json"))
    failure: list[BaseException] = []

    def work() -> None:
        try:
            tuning.tune(run)
        except BaseException as error:  # noqa: BLE001 - raised below
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    client = service.client
    until(lambda: len(client.list("trials")) >= 4, what="some trials are made")
    service.end(signal.SIGKILL)
    service.start()
    thread.join(120)
    assert not thread.is_alive() and not failure, failure
    assert read_json(run.path("tuning.json")) == expected
    assert len(client.list("trials")) == 6 * len(expected["families"]), "none is counted twice"


def test_a_candidate_that_fails_is_named_as_in_other_tiers(run: Run, service: Service) -> None:
    extend(run, picky=PICKY.replace("max_depth == 1000", "max_depth > 2"))
    with pytest.raises(PantheonError) as own:
        stage.hyperparameter_tuning(run)
    with pytest.raises(PantheonError) as other:
        tuning.tune(run)
    assert "too deep" in str(own.value)
    assert str(other.value) == str(own.value)
    assert not Path(tuning.Evaluator(run).folder).exists()
