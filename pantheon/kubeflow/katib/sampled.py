"""Searches by Optuna's samplers, and over a grid."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

from pantheon.kubeflow.katib.algorithms import Settings
from pantheon.kubeflow.katib.search import Repeated
from pantheon.kubeflow.katib.space import Assignments, Parameter, combination, combinations


class Sampled(Repeated):
    """A sampler of Optuna."""

    def __init__(self, name: str, settings: Settings, space: Sequence[Parameter], maximize: bool, seed: int) -> None:
        optuna = _quiet()
        self.space = space
        self.distributions = {parameter.name: parameter.distribution() for parameter in space}
        self.grid = _order(space, seed) if name == "grid" else None
        sampler = _sampler(name, settings, self.distributions, seed)
        self.study = optuna.create_study(direction="maximize" if maximize else "minimize", sampler=sampler)
        self.asked, self.ended = 0, False

    def ask(self) -> Assignments | None:
        if self.grid is not None:
            if self.asked >= len(self.grid):
                return None
            self.asked += 1
            self.ended = self.asked == len(self.grid)
            return combination(self.space, self.grid[self.asked - 1])
        trial = self.study.ask(fixed_distributions=self.distributions)
        return {parameter.name: parameter.text(trial.params[parameter.name]) for parameter in self.space}

    def tell(self, number: int, value: float | None) -> None:
        if self.grid is not None:
            return
        from optuna.trial import TrialState

        if value is None or not math.isfinite(value):
            self.study.tell(number, state=TrialState.FAIL)
        else:
            self.study.tell(number, value)


def _quiet() -> Any:
    """Return the module optuna, which no longer warns of what is intended here."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # QMCSampler, multivariate
    warnings.filterwarnings("ignore", ".*prior_weight", FutureWarning)  # leaves in Optuna 6; the version is pinned
    return optuna


def _order(space: Sequence[Parameter], seed: int) -> list[int]:
    """Return the numbers of all combinations in a random order, so that the first ones are spread over the space."""
    import numpy as np

    order: list[int] = np.random.default_rng(seed).permutation(combinations(space)).tolist()
    return order


def _sampler(name: str, settings: Settings, distributions: dict[str, Any], seed: int) -> Any:
    from optuna import samplers

    if name in ("random", "grid"):  # a grid is not sampled
        return samplers.RandomSampler(seed=seed)
    if name == "sobol":
        return _sobol(distributions, seed)
    options: dict[str, Any] = {"seed": seed}
    if "n_startup_trials" in settings:
        options["n_startup_trials"] = settings["n_startup_trials"]
    for key in ("n_ei_candidates", "n_EI_candidates"):
        if key in settings:
            options["n_ei_candidates"] = settings[key]
    if "gamma" in settings:
        share = settings["gamma"]
        options["gamma"] = lambda count: min(math.ceil(share * math.sqrt(count)), 25)  # as Hyperopt counts good trials
    if "prior_weight" in settings:
        options["prior_weight"] = settings["prior_weight"]
    if name == "multivariate-tpe":
        options["multivariate"] = True
    return samplers.TPESampler(**options)


def _sobol(distributions: dict[str, Any], seed: int) -> Any:
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.samplers import QMCSampler

    numbers: dict[str, BaseDistribution] = {
        name: distribution
        for name, distribution in distributions.items()
        if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
    }

    class Sobol(QMCSampler):
        """Optuna's, which would draw its first trial at random to learn the space; here the space is known."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
            return numbers

    return Sobol(qmc_type="sobol", seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False)
