"""TrainJobs as trials: what is taken, what is refused with the path of the field, and which nodes report."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.katib.controller import Experiments
from pantheon.kubeflow.katib.trainjobs import moved
from pantheon.kubeflow.katib.trainspec import INDEX, primary
from tests.support.katib import Spec, experiment, of_trainjobs, spec

T = "spec.trialTemplate"
J = f"{T}.trialSpec"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_ENVIRONMENT", "/opt/workflow")
    monkeypatch.setenv("TRAINER_SLOTS", "4")


def changed(path: str, value: Any) -> Spec:
    made = copy.deepcopy(of_trainjobs(spec()))
    *steps, last = path.split(".")
    place = made["trialTemplate"]
    for step in steps:
        place = place.setdefault(step, {})
    place[last] = value
    return made


def check(given: Spec) -> None:
    Experiments().check(experiment("a", given), None)


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("trialSpec.spec.trainer.nodes", 2, f"{J}.spec.trainer.nodes", "no such field"),
        ("trialSpec.spec.trainer.numNodes", "2", f"{J}.spec.trainer.numNodes", "must be a whole number"),
        ("trialSpec.spec.trainer.numNodes", 5, f"{J}.spec.trainer.numNodes", "this machine has 4"),
        ("trialSpec.spec.trainer.image", "python:3", f"{J}.spec.trainer.image", "needs a cluster"),
        ("trialSpec.spec.runtimeRef.name", "torch", f"{J}.spec.runtimeRef.name", "no runtime 'torch'"),
        ("trialSpec.status", {}, f"{J}.status", "no such field"),
        ("trialSpec.metadata.name", "a", f"{J}.metadata.name", "must be omitted"),
        ("trialSpec.metadata.labels", {"kueue.x-k8s.io/priority-class": "top"},
         f"{J}.metadata.labels.kueue.x-k8s.io/priority-class", "no priority class 'top'"),
        ("trialSpec.apiVersion", "v1", f"{J}.kind", "a TrainJob of trainer.kubeflow.org/v1alpha1"),
        ("primaryContainerName", "trial", f"{T}.primaryContainerName", "no container 'trial'"),
        ("primaryPodLabels", {INDEX: "2"}, f"{T}.primaryPodLabels.{INDEX}", "Use 0 to 1."),
        ("primaryPodLabels", {"role": "a"}, f"{T}.primaryPodLabels.role", "do not have this label"),
        ("primaryPodLabels", {"jobset.sigs.k8s.io/replicatedjob-name": "launcher"},
         f"{T}.primaryPodLabels.jobset.sigs.k8s.io/replicatedjob-name", "is node for every node"),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_refused_with_its_path(path: str, value: Any, where: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        check(changed(path, value))
    assert refused.value.path == where, refused.value
    assert says in str(refused.value)


def test_a_value_may_stand_where_only_some_texts_are_possible() -> None:
    given = changed("trialSpec.spec.trainer.resourcesPerNode", {"requests": {"cpu": "${trialParameters.cpus}"}})
    given["parameters"].append({"name": "c", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}})
    given["trialTemplate"]["trialParameters"].append({"name": "cpus", "reference": "c"})
    check(given)
    given["parameters"][-1]["feasibleSpace"] = {"min": "3", "max": "4"}
    with pytest.raises(Refused, match="2 nodes need 6 slots"):
        check(given)


def test_nodes_whose_metrics_count() -> None:
    assert primary(None, 3, "") == [0, 1, 2]
    assert primary({INDEX: "1", "trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}, 3, "") == [1]
    assert primary({INDEX: "0"}, 0, "") == []


def test_each_node_has_its_own_place_for_metrics(tmp_path: Path) -> None:
    given = {"args": ["--log=/katib/m.log", "/katib/m"], "env": [{"name": "LOG", "value": "/katib/m.log"}], "n": 2}
    place = "/nodes/$(JOB_COMPLETION_INDEX)/katib/m.log"
    assert moved(given, "/katib/m.log", place) == {
        "args": [f"--log={place}", "/katib/m"], "env": [{"name": "LOG", "value": place}], "n": 2,
    }  # fmt: skip
