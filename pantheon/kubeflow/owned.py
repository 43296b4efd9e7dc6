"""The objects that steps of a pipeline run make, such as Experiments and TrainJobs: a label names the run.

A run that is stopped or deleted takes them along: a TrainJob is suspended and goes on when the run is resumed. Katib
cannot suspend an Experiment, so it is deleted; the step that is repeated makes it again, with the same results.
"""

import os
from pathlib import Path
from typing import Any

from pantheon.kubeflow.contract import DEFAULT_NAMESPACE, Job, Object

NAMESPACE = "KUBEFLOW_NAMESPACE"  # variables of steps: the profile whose run this is
RUN = "KUBEFLOW_PIPELINE_RUN"  # … the run
BY_WHOM = "KUBEFLOW_BY"  # … and who started it
LABEL = "pantheon/pipeline-run"
KINDS = ("TrainJob", "Experiment")
INTERPRETER = "interpreter"  # in the folder of a run: the warm Python that its steps, and nodes of theirs, run in
FINISHED = ("Complete", "Succeeded", "Failed")


def namespace() -> str:
    """Return the namespace of the pipeline run that this process is a step of."""
    return os.environ.get(NAMESPACE) or DEFAULT_NAMESPACE


def by() -> str:
    """Return who started the pipeline run that this process is a step of; empty: not known."""
    return os.environ.get(BY_WHOM, "")


def labels(run: str, **others: str) -> dict[str, str]:
    """Return the labels of an object that this process makes.

    Args:
        run: the ID of the workflow's run.
    """
    owner = os.environ.get(RUN, "")
    return {"pantheon/run": run} | others | ({LABEL: owner} if owner else {})


def warm(job: Job) -> Path | None:
    """Return the folder of the warm Python of the run whose step has made an object; None if no step has."""
    name = (job.object["metadata"].get("labels") or {}).get(LABEL)
    found = job.objects.get("PipelineRun", name) if name else None
    return job.objects.folder(found) / INTERPRETER if found else None


def of(job: Job) -> list[Object]:
    """Return the objects that steps of a pipeline run have made."""
    name = job.object["metadata"]["name"]
    found = [each for kind in KINDS for each in job.objects.list(kind)]
    return [each for each in found if (each["metadata"].get("labels") or {}).get(LABEL) == name]


def stop(job: Job) -> None:
    """Stop what the steps of a run have started."""
    for each in of(job):
        if any(one["type"] in FINISHED and one["status"] == "True" for one in each["status"].get("conditions", [])):
            continue
        if each["kind"] == "TrainJob":
            job.objects.apply(manifest(each, {**each["spec"], "suspend": True}))
        else:
            job.objects.delete(each["kind"], each["metadata"]["name"])


def delete(job: Job) -> None:
    """Delete what the steps of a run have made."""
    for each in of(job):
        job.objects.delete(each["kind"], each["metadata"]["name"])


def manifest(found: Object, spec: dict[str, Any]) -> Object:
    """Return the manifest that gives an object another spec."""
    metadata = {"name": found["metadata"]["name"], "labels": found["metadata"]["labels"]}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": spec}
