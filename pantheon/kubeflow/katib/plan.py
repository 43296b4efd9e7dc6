"""An Experiment's spec, checked as Katib's webhook checks it and read into types.

Katib's own pydantic models say which fields there are, and of which types.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pantheon.kubeflow import validation
from pantheon.kubeflow.contract import Object, Refused
from pantheon.kubeflow.katib import collector, jobs, template
from pantheon.kubeflow.katib.algorithms import Settings, algorithm_of, check_space, early_stopping_of
from pantheon.kubeflow.katib.space import Parameter, parameters

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 40
MOST_TRIALS = 1000
MOST_PARALLEL = 64
STRATEGIES = ("min", "max", "latest")
RESUME = ("Never", "LongRunning", "FromVolume")
EDITABLE = ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount")
MORE_NEEDS = "More needs a cluster."


@dataclass(frozen=True)
class Objective:
    """What an Experiment optimizes.

    Attributes:
        names: of all metrics to collect, the objective's first.
        strategies: metric → min, max or latest: which of a trial's values counts.
    """

    metric: str
    maximize: bool
    goal: float | None
    names: tuple[str, ...]
    strategies: dict[str, str]

    def reached(self, value: float) -> bool:
        """Return whether a value is as good as the goal."""
        if self.goal is None:
            return False
        return value >= self.goal if self.maximize else value <= self.goal


@dataclass(frozen=True)
class Plan:
    """A checked spec.

    Attributes:
        limit: ``maxTrialCount``, or the most that are possible here.
        limited: whether the spec has ``maxTrialCount``.
        early: the settings of medianstop; None without it.
    """

    objective: Objective
    algorithm: str
    settings: Settings
    early: Settings | None
    space: list[Parameter]
    parallel: int
    limit: int
    limited: bool
    failures: int | None
    resume: str


def read(spec: Object) -> Plan:
    """Check a spec and read it.

    Raises:
        Refused: it is not valid, or needs a cluster.
    """
    from kubeflow_katib_api.models.v1beta1_experiment_spec import V1beta1ExperimentSpec

    validation.conform(spec, V1beta1ExperimentSpec, "spec")
    if spec.get("nasConfig") is not None:
        raise Refused("spec.nasConfig", "needs a cluster.", "Without one, use spec.parameters.")
    parallel, limit, failures = _counts(spec)
    objective = objective_of(spec.get("objective"), "spec.objective")
    name, settings = algorithm_of(_required(spec, "algorithm"))
    early = early_stopping_of(spec.get("earlyStopping"))
    resume = spec.get("resumePolicy") or "Never"
    if resume not in RESUME:
        raise Refused("spec.resumePolicy", f"{resume!r} is not a policy.", f"Use one of: {', '.join(RESUME)}.")
    if not spec.get("parameters"):
        raise Refused("spec.parameters", "is missing.", "Give at least one parameter to search.")
    space = parameters(spec["parameters"], grid=name == "grid")
    check_space(name, settings, space, limit, parallel)
    sources = collector.source_of(spec.get("metricsCollectorSpec"), "spec.metricsCollectorSpec")
    if early is not None and sources.kind == "TensorFlowEvent":
        cure = "Use the collector StdOut or File."
        raise Refused("spec.earlyStopping", "needs metrics while a trial runs, which TensorFlowEvent gives late.", cure)
    trial = _required(spec, "trialTemplate")
    template.check(trial, [parameter.name for parameter in space])
    sample = template.fill(trial, {parameter.name: parameter.sample for parameter in space}, "trial", "default")
    jobs.check(template.trial_spec(trial), trial, "spec.trialTemplate", sources, sample)
    most = MOST_TRIALS if limit is None else limit
    return Plan(objective, name, settings, early, space, parallel, most, limit is not None, failures, resume)


def _required(spec: Object, name: str) -> Object:
    value: Object | None = spec.get(name)
    if not value:
        raise Refused(f"spec.{name}", "is missing.")
    return value


def _counts(spec: Object) -> tuple[int, int | None, int | None]:
    parallel, limit, failures = (spec.get(name) for name in EDITABLE)
    for name, value, least, most in (
        ("maxTrialCount", limit, 1, MOST_TRIALS),  # first: the others are compared with it
        ("parallelTrialCount", parallel, 1, MOST_PARALLEL),
        ("maxFailedTrialCount", failures, 0, None),
    ):
        if value is not None and value < least:
            raise Refused(f"spec.{name}", f"must be at least {least}, not {value}.")
        if value is not None and most is not None and value > most:
            raise Refused(f"spec.{name}", f"must be at most {most:,}, not {value:,}.", MORE_NEEDS)
        if limit is not None and value is not None and value > limit:
            raise Refused(f"spec.{name}", f"{value} is more than maxTrialCount, which is {limit}.")
    # Katib's default of 3 is set before it compares; an Experiment of one or two trials needs no line for it here.
    return parallel or min(3, limit or 3), limit, failures


def objective_of(given: Mapping[str, Any] | None, path: str) -> Objective:
    """Read an objective.

    Raises:
        Refused: it is missing or not valid.
    """
    if not given:
        raise Refused(path, "is missing.", "Say which metric to minimize or maximize.")
    type_, metric = given.get("type") or "", given.get("objectiveMetricName") or ""
    if type_ not in ("minimize", "maximize"):
        said = f"{type_!r} is not a type." if type_ else "is missing."
        raise Refused(f"{path}.type", said, "Use minimize or maximize.")
    if not metric:
        raise Refused(f"{path}.objectiveMetricName", "is missing.", "Name the metric that trials report.")
    more = given.get("additionalMetricNames") or []
    for index, name in enumerate(more):
        if name == metric or name in more[:index]:
            raise Refused(f"{path}.additionalMetricNames[{index}]", f"{name!r} is named already.", "Remove it.")
    goal = given.get("goal")
    if goal is not None and not math.isfinite(goal):
        raise Refused(f"{path}.goal", "must be a finite number.", "Omit it to make all trials.")
    default = "max" if type_ == "maximize" else "min"
    strategies = dict.fromkeys((metric, *more), default)
    for index, strategy in enumerate(given.get("metricStrategies") or []):
        name, value = strategy.get("name") or "", strategy.get("value") or ""
        if name not in strategies:
            cure = f"Metrics: {', '.join(strategies)}."
            raise Refused(f"{path}.metricStrategies[{index}].name", f"{name!r} is not collected.", cure)
        if value not in STRATEGIES:
            cure = f"Use one of: {', '.join(STRATEGIES)}."
            raise Refused(f"{path}.metricStrategies[{index}].value", f"{value!r} is not a strategy.", cure)
        strategies[name] = value
    return Objective(metric, type_ == "maximize", goal, (metric, *more), strategies)


def check_name(name: str) -> None:
    """Check an Experiment's name: it is the start of its trials' names.

    Raises:
        Refused: Katib does not take it.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        cure = f"Use at most {LONGEST_NAME} lower-case letters, digits and '-', with a letter at the start."
        raise Refused("metadata.name", f"{name!r} is not a valid name of an Experiment.", cure)


def check_change(spec: Object, old: Object, reason: str) -> None:
    """Check a change of an Experiment's spec.

    Args:
        old: the object as it is.
        reason: of its condition Succeeded or Failed; empty if it is not finished.

    Raises:
        Refused: Katib does not take it.
    """
    before = old["spec"]
    if spec == before:
        return
    for name in sorted({*spec, *before} - {*EDITABLE}):
        if spec.get(name) != before.get(name):
            cause = "cannot be changed: only parallelTrialCount, maxTrialCount and maxFailedTrialCount can be."
            raise Refused(f"spec.{name}", cause, "Delete the Experiment first, or give the new one another name.")
    resume = spec.get("resumePolicy") or "Never"
    if reason and not (reason == "ExperimentMaxTrialsReached" and resume in ("LongRunning", "FromVolume")):
        cause = "a finished Experiment goes on only if it reached maxTrialCount with LongRunning or FromVolume."
        raise Refused("spec.resumePolicy", cause, "Give the new Experiment another name.")
    limit, made = spec.get("maxTrialCount"), (old.get("status") or {}).get("trials", 0)
    if limit is not None and limit <= made:
        raise Refused("spec.maxTrialCount", f"must be greater than {made}, the number of trials so far.")
