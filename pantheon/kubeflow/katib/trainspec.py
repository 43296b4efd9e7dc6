"""A TrainJob of Trainer as a ``trialSpec``: what is taken, and which of its nodes report metrics."""

from collections.abc import Mapping
from typing import Any

from pantheon.kubeflow import validation
from pantheon.kubeflow.contract import Object, Refused
from pantheon.kubeflow.trainer.controller import TrainJobs
from pantheon.kubeflow.trainer.runtimes import NODE

KIND, VERSION = TrainJobs.kind.name, TrainJobs.kind.api_versions[0]
INDEX = "batch.kubernetes.io/job-completion-index"
LABELS = {"jobset.sigs.k8s.io/replicatedjob-name": NODE, "trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}


def is_one(spec: Mapping[str, Any]) -> bool:
    """Return whether a ``trialSpec`` is a TrainJob."""
    return (spec.get("kind"), spec.get("apiVersion")) == (KIND, VERSION)


def check(spec: Object, sample: Object, path: str) -> str:
    """Check a ``trialSpec``, apart from its metadata.

    Args:
        sample: it with values in the place of its placeholders: some of its fields take numbers only.

    Returns:
        The name of its container.

    Raises:
        Refused: it is not valid, or needs a cluster.
    """
    validation.fields(spec, ("apiVersion", "kind", "metadata", "spec"), path)
    validation.mapping(spec.get("spec"), f"{path}.spec")
    metadata = {"name": "trial", "labels": (sample.get("metadata") or {}).get("labels")}
    try:
        TrainJobs().check({**sample, "metadata": metadata}, None)
    except Refused as error:
        raise Refused(f"{path}.{error.path}", error.cause.removeprefix(f"{error.path}: "), error.cure) from None
    return NODE


def primary(labels: Mapping[str, str] | None, nodes: int, path: str) -> list[int]:
    """Return the nodes whose metrics are collected: all, or those with the labels ``primaryPodLabels``.

    Raises:
        Refused: no node has such labels.
    """
    chosen = list(range(nodes))
    for key, value in (labels or {}).items():
        if key == INDEX:
            chosen = [index for index in chosen if str(index) == value]
        elif key not in LABELS:
            known = ", ".join((INDEX, *LABELS))
            raise Refused(f"{path}.{key[:80]}", "the nodes of a TrainJob do not have this label.", f"Labels: {known}.")
        elif LABELS[key] != value:
            raise Refused(f"{path}.{key}", f"is {LABELS[key]} for every node, not {value[:60]!r}.")
    if nodes and not chosen:
        raise Refused(
            f"{path}.{INDEX}", f"no node has the number {(labels or {})[INDEX][:20]!r}.", f"Use 0 to {nodes - 1}."
        )
    return chosen
