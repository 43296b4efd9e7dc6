"""A trial's Job without a cluster: its single container's command as a local process, in an environment of ours.

A field that only a cluster can obey is refused, except requests and limits of resources, which are taken and ignored.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.kubeflow import validation
from pantheon.kubeflow.contract import Object, Refused
from pantheon.kubeflow.katib import trainspec
from pantheon.kubeflow.katib.collector import Source
from pantheon.kubeflow.trainer.plan import plan_of

SOURCE = Path(__file__).resolve().parents[3]
IMAGES = {"pantheon/workflow": "WORKFLOW_ENVIRONMENT", "pantheon/kubeflow": ""}
"""Image → the variable that names its environment; empty: the one of this service."""

CONDITION = re.compile(r'status\.conditions\.#\(type=="(\w+)"\)#\|#\(status=="True"\)#')
REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
JOB = ("template", "backoffLimit", "activeDeadlineSeconds", "completions", "parallelism", "ttlSecondsAfterFinished")
JOB_OF_A_CLUSTER = (
    "backoffLimitPerIndex", "completionMode", "managedBy", "manualSelector", "maxFailedIndexes", "podFailurePolicy",
    "podReplacementPolicy", "selector", "successPolicy", "suspend",
)  # fmt: skip
POD = ("containers", "restartPolicy")
CONTAINER = ("name", "image", "command", "args", "env", "resources", "imagePullPolicy")
CONTAINER_OF_A_CLUSTER = (
    "envFrom", "lifecycle", "livenessProbe", "ports", "readinessProbe", "resizePolicy", "restartPolicy",
    "securityContext", "startupProbe", "stdin", "stdinOnce", "terminationMessagePath", "terminationMessagePolicy",
    "tty", "volumeDevices", "volumeMounts", "workingDir",
)  # fmt: skip
DEFAULTS = {
    "successCondition": 'status.conditions.#(type=="Complete")#|#(status=="True")#',
    "failureCondition": 'status.conditions.#(type=="Failed")#|#(status=="True")#',
}
CONTAINERS = "spec.template.spec.containers"
TRIAL_NAME = "KATIB_TRIAL_NAME"  # the variable that Katib gives to every trial


@dataclass(frozen=True)
class Command:
    """What a Job runs.

    Attributes:
        words: the program and its arguments.
        environment: the variables that the container names.
        home: the virtual environment in which it runs.
        retries: how many times it is started again after a failure.
        deadline: seconds for all attempts; None: no limit.
    """

    words: list[str]
    environment: dict[str, str]
    home: Path
    retries: int
    deadline: float | None


def check(spec: Object, trial: Mapping[str, Any], path: str, source: Source, sample: Object | None = None) -> None:
    """Check a ``trialSpec`` (or a Trial's ``runSpec``) and the conditions of ``trial``.

    Args:
        sample: the spec with values in the place of its placeholders; default: it has none.
        trial: has ``primaryContainerName``, ``successCondition`` and ``failureCondition``.
        path: of ``trial``.
        source: where metrics are collected.

    Raises:
        Refused: it is not valid, or needs a cluster.
    """
    at = f"{path}.{'trialSpec' if path.endswith('trialTemplate') else 'runSpec'}"
    _metadata(spec.get("metadata"), f"{at}.metadata", at.endswith("trialSpec"))
    of_trainer = trainspec.is_one(spec)
    container = trainspec.check(spec, sample or spec, at) if of_trainer else _container(spec, at)["name"]
    primary = trial.get("primaryContainerName") or ""
    if not primary:
        raise Refused(f"{path}.primaryContainerName", "is missing.", "Name the container of the trialSpec.")
    if primary != container:
        cause = f"there is no container {primary!r} in the trialSpec."
        raise Refused(f"{path}.primaryContainerName", cause, f"Write {container}.")
    asked: list[str] = []
    for name, default in DEFAULTS.items():
        said = trial.get(name) or default
        found = CONDITION.fullmatch(said)
        if not found or found[1] not in ("Complete", "Failed"):
            cause = "can only ask for the condition Complete or Failed here; anything else needs a cluster."
            raise Refused(f"{path}.{name}", cause, f"Omit it, or write {default}")
        if found[1] in asked:
            raise Refused(f"{path}.{name}", "is the same as successCondition.", f"Write {default}")
        asked.append(found[1])
    if not of_trainer:
        command(spec, Path("/"), source, at)
        return
    nodes = plan_of({"metadata": {"name": "trial"}, "spec": (sample or spec)["spec"]}).nodes
    trainspec.primary(trial.get("primaryPodLabels"), nodes, f"{path}.primaryPodLabels")


def _container(spec: Object, at: str) -> Object:
    """Check all fields of a Job; return its container."""
    kind, version = spec.get("kind"), spec.get("apiVersion")
    if (kind, version) != ("Job", "batch/v1"):
        cause = f"trials of the kind {kind!r} of {version!r} need a cluster."
        raise Refused(
            f"{at}.kind", cause, f"Without one, a trial is a Job of batch/v1, or a TrainJob of {trainspec.VERSION}."
        )
    validation.fields(spec, ("apiVersion", "kind", "metadata", "spec"), at)
    job = validation.mapping(spec.get("spec"), f"{at}.spec")
    _fields(job, JOB, JOB_OF_A_CLUSTER, f"{at}.spec")
    for name in ("completions", "parallelism"):
        if job.get(name, 1) != 1:
            raise Refused(f"{at}.spec.{name}", "must be 1: more needs a cluster.", "Use a TrainJob for several nodes.")
    for name, least in (("backoffLimit", 0), ("activeDeadlineSeconds", 1), ("ttlSecondsAfterFinished", 0)):
        _whole(job.get(name), least, f"{at}.spec.{name}")
    template = validation.mapping(job.get("template"), f"{at}.spec.template")
    validation.fields(template, ("metadata", "spec"), f"{at}.spec.template")
    _metadata(template.get("metadata"), f"{at}.spec.template.metadata", True)
    pod = validation.mapping(template.get("spec"), f"{at}.spec.template.spec")
    for name in pod:
        if name not in POD:
            raise Refused(f"{at}.spec.template.spec.{name[:60]}", "needs a cluster.", "Remove it.")
    if pod.get("restartPolicy", "Never") not in ("Never", "OnFailure"):
        raise Refused(f"{at}.spec.template.spec.restartPolicy", "must be Never or OnFailure.")
    containers, where = pod.get("containers"), f"{at}.{CONTAINERS}"
    if not isinstance(containers, list) or not containers:
        raise Refused(where, "must be a list with one container.")
    if len(containers) > 1:
        raise Refused(where, "has several containers, which needs a cluster.", "Use one.")
    container = validation.mapping(containers[0], f"{where}[0]")
    _fields(container, CONTAINER, CONTAINER_OF_A_CLUSTER, f"{where}[0]")
    for name in ("name", "image"):
        validation.text(container, name, f"{where}[0]")
    for name in ("command", "args"):
        words = container.get(name, [])
        if not isinstance(words, list):
            raise Refused(f"{where}[0].{name}", "must be a list of strings.")
        for index, word in enumerate(words):
            if not isinstance(word, str) or "\0" in word:
                raise Refused(f"{where}[0].{name}[{index}]", "must be a string.", "Put quotes around it.")
    if not container.get("command"):
        raise Refused(f"{where}[0].command", "is missing.", "Without a cluster there is no image to say what to run.")
    _variables(container.get("env"), f"{where}[0].env")
    if not isinstance(container.get("resources", {}), dict):
        raise Refused(f"{where}[0].resources", "must be a mapping.")
    return container


def _fields(given: Object, known: tuple[str, ...], of_a_cluster: tuple[str, ...], path: str) -> None:
    for name in given:
        if name in of_a_cluster:
            raise Refused(f"{path}.{name}", "needs a cluster.", "Remove it.")
    validation.fields(given, known, path)


def _metadata(given: Any, path: str, of_template: bool) -> None:
    if given is None:
        return
    metadata = validation.mapping(given, path)
    for name in metadata if of_template else ():
        if name in ("name", "namespace"):
            raise Refused(f"{path}.{name}", "must be omitted: each trial has a name of its own.", "Remove it.")
    validation.fields(metadata, ("labels", "annotations", "name", "namespace"), path)
    for part in ("labels", "annotations"):
        for key, value in validation.mapping(metadata.get(part) or {}, f"{path}.{part}").items():
            if not isinstance(value, str):
                raise Refused(f"{path}.{part}.{key}", "must be a string.", "Put quotes around it.")


def _variables(given: Any, path: str) -> None:
    if given is None:
        return
    if not isinstance(given, list):
        raise Refused(path, "must be a list.")
    for index, entry in enumerate(given):
        at = f"{path}[{index}]"
        variable = validation.mapping(entry, at)
        if "valueFrom" in variable:
            raise Refused(f"{at}.valueFrom", "needs a cluster.", "Write the value.")
        validation.fields(variable, ("name", "value"), at)
        name = validation.text(variable, "name", at)
        if not VARIABLE.fullmatch(name):
            raise Refused(f"{at}.name", f"{name!r} is not a valid name of a variable.")
        value = variable.get("value", "")
        if not isinstance(value, str) or "\0" in value:
            raise Refused(f"{at}.value", "must be a string.", "Put quotes around it.")


def _whole(value: Any, least: int, path: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise Refused(path, f"must be a whole number of at least {least}.")


def command(spec: Object, folder: Path, source: Source, at: str) -> Command:
    """Return what a checked Job runs.

    Args:
        folder: of the trial, which stands for the place of the metrics in the container.

    Raises:
        Refused: the image has no environment here.
    """
    job = spec["spec"]
    container = job["template"]["spec"]["containers"][0]
    variables = {each["name"]: each.get("value", "") for each in container.get("env") or []}
    words = [_expanded(word, variables) for word in [*container["command"], *container.get("args", [])]]
    if source.path:
        local = str(folder / source.path.strip("/"))
        words = [word.replace(source.path, local) for word in words]
        variables = {name: value.replace(source.path, local) for name, value in variables.items()}
    home = environment_of(container["image"], f"{at}.{CONTAINERS}[0].image")
    deadline = job.get("activeDeadlineSeconds")
    return Command(words, variables, home, job.get("backoffLimit", 0), None if deadline is None else float(deadline))


def environment_of(image: str, path: str) -> Path:
    """Return the virtual environment that stands for an image.

    Raises:
        Refused: there is none.
    """
    name = re.sub(r"(@.*|:[^/:]*)$", "", image)
    known = next((each for each in IMAGES if name == each or name.endswith(f"/{each}")), None)
    if known is None:
        cure = f"Without one, a trial runs in the environment of one of our images: {', '.join(IMAGES)}."
        raise Refused(path, f"the image {image[:120]!r} needs a cluster.", cure)
    variable = IMAGES[known]
    return Path(os.environ.get(variable) or sys.prefix) if variable else Path(sys.prefix)


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by a variable of the container, as Kubernetes does; ``$$`` is a dollar sign."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return REFERENCE.sub(value, word)


def succeeded(trial: Mapping[str, Any], code: int) -> bool | None:
    """Return whether a Job that ended with an exit status succeeded, by the trial's conditions; None: neither."""
    conditions = {"Complete": code == 0, "Failed": code != 0}
    results: dict[str, bool] = {}
    for name, default in DEFAULTS.items():
        found = CONDITION.fullmatch(trial.get(name) or default)
        assert found, "it is checked"
        results[name] = conditions[found[1]]
    if results["successCondition"]:
        return True
    return False if results["failureCondition"] else None
