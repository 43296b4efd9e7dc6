"""The status of an Experiment, from its trials, with the names and by the rules of Katib."""

from collections.abc import Sequence
from typing import Any

from pantheon.kubeflow.contract import Object
from pantheon.kubeflow.katib.collector import value_of
from pantheon.kubeflow.katib.conditions import end_of, is_true, metrics_of
from pantheon.kubeflow.katib.plan import Objective, Plan

LISTS = {  # where a Trial is counted → the list of names, and the count
    "Killed": ("killedTrialList", "trialsKilled"),
    "Failed": ("failedTrialList", "trialsFailed"),
    "Succeeded": ("succeededTrialList", "trialsSucceeded"),
    "EarlyStopped": ("earlyStoppedTrialList", "trialsEarlyStopped"),
    "Running": ("runningTrialList", "trialsRunning"),
    "MetricsUnavailable": ("metricsUnavailableTrialList", "trialMetricsUnavailable"),
    "Pending": ("pendingTrialList", "trialsPending"),
}
ACTIVE = ("Running", "Pending")
MESSAGES = {
    "ExperimentGoalReached": "Experiment has succeeded because Objective goal has reached",
    "ExperimentFailed": "Experiment has failed because max failed count has reached",
    "ExperimentMaxTrialsReached": "Experiment has succeeded because max trial count has reached",
    "ExperimentSuggestionEndReached": "Experiment has succeeded because suggestion service has reached the end",
}


def state_of(trial: Object) -> str:
    """Return where a Trial is counted: a key of ``LISTS``."""
    return end_of(trial) or ("Running" if is_true(trial, "Running") else "Pending")


def result_of(trial: Object, objective: Objective) -> float | None:
    """Return a Trial's value of the objective; None if it has none that counts."""
    if end_of(trial) not in ("Succeeded", "EarlyStopped"):
        return None
    return value_of(metrics_of(trial), objective.metric, objective.strategies[objective.metric])


def best_of(trials: Sequence[Object], objective: Objective) -> tuple[Object, float] | None:
    """Return the best Trial with its value, the first of equal ones; None if none has a value."""
    best: tuple[Object, float] | None = None
    for trial in trials:
        value = result_of(trial, objective)
        if value is None:
            continue
        if best is None or (value > best[1] if objective.maximize else value < best[1]):
            best = trial, value
    return best


def fields(trials: Sequence[Object], objective: Objective) -> dict[str, Any]:
    """Return the fields of an Experiment's status that follow from its trials; None for what is to be removed.

    Args:
        trials: in the order in which they were made.
    """
    made: dict[str, Any] = {}
    for state, (names, count) in LISTS.items():
        listed = [trial["metadata"]["name"] for trial in trials if state_of(trial) == state]
        made[names], made[count] = listed or None, len(listed) or None
    made["trials"] = len(trials) or None
    if best := best_of(trials, objective):
        trial, _ = best
        made["currentOptimalTrial"] = {
            "bestTrialName": trial["metadata"]["name"],
            "parameterAssignments": trial["spec"]["parameterAssignments"],
            "observation": {"metrics": metrics_of(trial)},
        }
    return made


def outcome(trials: Sequence[Object], plan: Plan, ended: bool) -> str:
    """Return the reason for which an Experiment ends, a key of ``MESSAGES``; empty while it does not.

    Args:
        ended: the search has nothing left to propose.
    """
    best = best_of(trials, plan.objective)
    if best and plan.objective.reached(best[1]):
        return "ExperimentGoalReached"
    states = [state_of(trial) for trial in trials]
    failed = states.count("Failed") + states.count("MetricsUnavailable")
    if plan.failures is not None and failed and failed >= plan.failures:
        return "ExperimentFailed"
    active = sum(state in ACTIVE for state in states)
    if len(states) - active >= plan.limit:
        return "ExperimentMaxTrialsReached"
    return "ExperimentSuggestionEndReached" if ended and not active else ""
