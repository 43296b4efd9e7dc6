"""Read the conditions and results of Trials and Experiments."""

from typing import Any

from pantheon.kubeflow.contract import Object

ENDS = ("Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable")  # of a Trial
EXPERIMENT = "katib.kubeflow.org/experiment"  # the label of a Trial: the name of its Experiment
OWNER = "pantheon/experiment-uid"  # the label of a Trial: the uid of its Experiment


def is_true(found: Object, type: str) -> bool:
    """Return whether a condition is true."""
    return bool(_condition(found, type))


def reason(found: Object, *types: str) -> str:
    """Return the reason of the first of these conditions that is true; empty for none."""
    return next((str(each["reason"]) for type in types if (each := _condition(found, type))), "")


def _condition(found: Object, type: str) -> dict[str, Any] | None:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == type and each["status"] == "True"), None)


def end_of(trial: Object) -> str:
    """Return the condition that ended a Trial; empty while it has not."""
    return next((type for type in ENDS if is_true(trial, type)), "")


def metrics_of(trial: Object) -> list[dict[str, str]]:
    """Return a Trial's ``status.observation.metrics``."""
    found: list[dict[str, str]] = ((trial.get("status") or {}).get("observation") or {}).get("metrics") or []
    return found
