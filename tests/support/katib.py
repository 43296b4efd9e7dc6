"""Experiments of Katib for tests."""

import copy
from typing import Any

Spec = dict[str, Any]

PARAMETERS: list[Spec] = [
    {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "5"}},
    {"name": "n", "parameterType": "int", "feasibleSpace": {"min": "0", "max": "3"}},
]


def job(code: str, *arguments: str, image: str = "pantheon/kubeflow:dev", **spec: Any) -> Spec:
    """Return a Job that runs Python code.

    Args:
        spec: more of the Job's spec.
    """
    container = {"name": "trial", "image": image, "command": ["python", "-S", "-c", code], "args": list(arguments)}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}, **spec}}


def spec(code: str = "pass", algorithm: str = "random", settings: dict[str, str] | None = None, **more: Any) -> Spec:
    """Return the spec of an Experiment whose trials run code with ``x`` and ``n`` as arguments.

    Args:
        settings: of the algorithm.
        more: fields of the spec; ``job_spec`` for fields of its Job's spec.
    """
    parameters = copy.deepcopy(more.pop("parameters", PARAMETERS))
    names = [parameter["name"] for parameter in parameters]
    made: Spec = {
        "objective": {"type": "minimize", "objectiveMetricName": "loss"},
        "algorithm": {
            "algorithmName": algorithm,
            "algorithmSettings": [{"name": name, "value": value} for name, value in (settings or {}).items()],
        },
        "parallelTrialCount": 1,
        "maxTrialCount": 4,
        "parameters": parameters,
        "trialTemplate": {
            "primaryContainerName": "trial",
            "trialParameters": [{"name": name, "reference": name} for name in names],
            "trialSpec": job(code, *(f"${{trialParameters.{name}}}" for name in names), **more.pop("job_spec", {})),
        },
    }
    return made | more


def of_trainjobs(given: Spec, nodes: int = 2, **template: Any) -> Spec:
    """Return the same spec with a TrainJob in the place of the Job; its first node reports the metrics.

    Args:
        template: more of the trialTemplate.
    """
    before = given["trialTemplate"]
    (container,) = before["trialSpec"]["spec"]["template"]["spec"]["containers"]
    trainer = {
        "image": "pantheon/workflow", "numNodes": nodes, "command": container["command"], "args": container["args"],
    }  # fmt: skip
    trial = {
        **before,
        "primaryContainerName": "node",
        "primaryPodLabels": {"batch.kubernetes.io/job-completion-index": "0"},
        "trialSpec": {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer},
        },
    }
    return {**given, "trialTemplate": trial | template}


def experiment(name: str, given: Spec) -> Spec:
    """Return an Experiment as a manifest."""
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": name}, "spec": given}
