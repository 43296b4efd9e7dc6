"""The algorithms of Experiments, and their settings, with the names and the limits of Katib's suggestion services.

Katib answers ``tpe`` and ``random`` with one of two services (Hyperopt by default, or Optuna) whose settings differ;
here the settings of both are taken. ``random_state`` is taken by every algorithm: where Katib does not know it, it
ignores it. ``early_stopping`` is checked here as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.katib.space import MANY, Parameter, combinations

Settings = dict[str, Any]
"""Setting → value with its type."""

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Setting:
    """One setting: how its text is read, and what is allowed."""

    read: Callable[[str], Any]
    allowed: Callable[[Any], bool]
    expected: str


def _integer(least: int) -> Setting:
    return Setting(int, lambda value: bool(value >= least), f"an integer of at least {least}")


def _choice(*names: str) -> Setting:
    return Setting(str, lambda value: value in names, f"one of {', '.join(names)}")


SEED = Setting(int, lambda value: 0 <= value <= LARGEST_SEED, f"an integer from 0 to {LARGEST_SEED}")
POSITIVE = Setting(float, lambda value: math.isfinite(value) and value > 0, "a number greater than 0")
TPE = {
    "random_state": SEED,
    "n_startup_trials": _integer(0),
    "n_ei_candidates": _integer(1),
    "n_EI_candidates": _integer(1),
    "gamma": Setting(float, lambda value: 0 < value < 1, "a number between 0 and 1"),
    "prior_weight": POSITIVE,
}
ALGORITHMS: dict[str, dict[str, Setting]] = {
    "random": {"random_state": SEED},
    "grid": {"random_state": SEED},
    "tpe": TPE,
    "multivariate-tpe": TPE,
    "cmaes": {
        "random_state": SEED,
        "sigma": POSITIVE,
        "restart_strategy": _choice("ipop", "bipop", "none", "None"),
    },
    "sobol": {"random_state": SEED},
    "bayesianoptimization": {
        "random_state": SEED,
        "base_estimator": _choice("GP", "RF", "ET", "GBRT"),
        "n_initial_points": _integer(0),
        "acq_func": _choice("gp_hedge", "LCB", "EI", "PI"),  # not EIps and PIps: they need the time of each trial
        "acq_optimizer": _choice("auto", "sampling", "lbfgs"),
    },
    "hyperband": {
        "random_state": SEED,
        "r_l": Setting(float, lambda value: math.isfinite(value) and value >= 1, "a number of at least 1"),
        "eta": Setting(lambda text: int(float(text)), lambda value: value >= 2, "an integer of at least 2"),
        "resource_name": Setting(str, bool, "the name of a parameter"),
    },
}
ON_A_CLUSTER = ("pbt", "enas", "darts")
MEDIANSTOP = {"min_trials_required": _integer(1), "start_step": _integer(1)}


def settings_of(entries: Sequence[Mapping[str, Any]], known: Mapping[str, Setting], called: str, path: str) -> Settings:
    """Read ``algorithmSettings``.

    Args:
        called: the algorithm, for messages.

    Raises:
        Refused: a setting is unknown, given twice, or not valid.
    """
    settings: Settings = {}
    for index, entry in enumerate(entries):
        name, value, where = entry.get("name") or "", entry.get("value") or "", f"{path}[{index}]"
        if name not in known:
            raise Refused(f"{where}.name", f"{called} has no setting {name!r}.", f"It has: {', '.join(sorted(known))}.")
        if name in settings:
            raise Refused(f"{where}.name", f"{name!r} is given twice.", "Remove one of them.")
        setting = known[name]
        try:
            settings[name] = setting.read(value)
            fits = setting.allowed(settings[name])
        except (ValueError, OverflowError):
            fits = False
        if not fits:
            raise Refused(f"{where}.value", f"{value!r} is not {setting.expected}.")
    return settings


def algorithm_of(spec: Mapping[str, Any], path: str = "spec.algorithm") -> tuple[str, Settings]:
    """Read ``spec.algorithm``.

    Raises:
        Refused: it is missing, unknown, or has a setting that is not valid.
    """
    name = spec.get("algorithmName") or ""
    where = f"{path}.algorithmName"
    if not name:
        raise Refused(where, "is missing.", f"Use one of: {', '.join(ALGORITHMS)}.")
    if name in ON_A_CLUSTER:
        raise Refused(where, f"{name} needs a cluster.", f"Without one, use one of: {', '.join(ALGORITHMS)}.")
    if name not in ALGORITHMS:
        raise Refused(where, f"there is no algorithm {name!r}.", f"Use one of: {', '.join(ALGORITHMS)}.")
    at = f"{path}.algorithmSettings"
    settings = settings_of(spec.get("algorithmSettings") or [], ALGORITHMS[name], name, at)
    if "n_EI_candidates" in settings and "n_ei_candidates" in settings:
        raise Refused(at, "n_EI_candidates and n_ei_candidates are the same setting.", "Remove one of them.")
    for required in ("r_l", "resource_name") if name == "hyperband" else ():
        if required not in settings:
            raise Refused(at, f"hyperband needs the setting {required}.")
    return name, settings


def early_stopping_of(spec: Mapping[str, Any] | None, path: str = "spec.earlyStopping") -> Settings | None:
    """Read ``spec.earlyStopping``: the settings of medianstop, with defaults; None if there is none.

    Raises:
        Refused: it is unknown, or has a setting that is not valid.
    """
    if spec is None:
        return None
    name = spec.get("algorithmName") or ""
    if name != "medianstop":
        said = f"there is no algorithm {name!r}." if name else "is missing."
        raise Refused(f"{path}.algorithmName", said, "Use medianstop.")
    given = settings_of(spec.get("algorithmSettings") or [], MEDIANSTOP, name, f"{path}.algorithmSettings")
    return {"min_trials_required": 3, "start_step": 4} | given


def check_space(name: str, settings: Settings, space: Sequence[Parameter], limit: int | None, parallel: int) -> None:
    """Check what an algorithm demands of the parameters.

    Args:
        limit: ``spec.maxTrialCount``.
        parallel: ``spec.parallelTrialCount``.

    Raises:
        Refused: the algorithm cannot search this space.
    """
    if name == "cmaes" and sum(parameter.is_number for parameter in space) < 2:
        raise Refused("spec.parameters", "cmaes needs at least two parameters of the types double and int.", "Use tpe.")
    if name == "grid":
        for index, parameter in enumerate(space):
            if parameter.is_number and parameter.step is None:
                raise Refused(f"spec.parameters[{index}].feasibleSpace.step", "is missing: grid tries every step.")
        count = combinations(space)
        if count > MANY:
            raise Refused("spec.parameters", f"the grid has {count:,} combinations; {MANY:,} are possible.")
        if limit is not None and limit > count:
            cure = f"Use at most {count}, or leave it out: the search ends after the last combination."
            raise Refused("spec.maxTrialCount", f"{limit} is more than the {count} combinations of the grid.", cure)
    if name == "hyperband":
        resource = settings["resource_name"]
        found = next((parameter for parameter in space if parameter.name == resource), None)
        if found is None or not found.is_number:
            names = ", ".join(parameter.name for parameter in space if parameter.is_number)
            why = "is not a parameter of the type int or double."
            raise Refused("spec.algorithm.algorithmSettings", f"resource_name: {resource!r} {why}", f"Use: {names}.")
        most = largest_bracket(settings)
        if parallel < most:
            raise Refused("spec.parallelTrialCount", f"must be at least {most} with these settings of hyperband.")


def brackets(settings: Settings) -> int:
    """Return the number of hyperband's last bracket, ``s_max``."""
    most, eta = 0, settings.get("eta", 3)
    while eta ** (most + 1) <= settings["r_l"]:  # not log(r_l) / log(eta), which is 2.9999999999999996 for 1000 and 10
        most += 1
    return most


def largest_bracket(settings: Settings) -> int:
    """Return how many trials hyperband starts at once."""
    return int(settings.get("eta", 3) ** brackets(settings))
