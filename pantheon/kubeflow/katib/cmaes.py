"""CMA-ES with restarts by the package ``cmaes``, the engine of Optuna's sampler, which gave up the restarts of Katib.

Numbers are searched in the unit cube, each range linear or logarithmic; other parameters are drawn at random.
"""

import math
from collections.abc import Sequence
from typing import Any

from pantheon.kubeflow.katib.algorithms import Settings
from pantheon.kubeflow.katib.search import Repeated
from pantheon.kubeflow.katib.space import Assignments, Parameter

GROWTH = 2  # of the population at a restart
SIGMA = 1 / 6  # of the range: Optuna's default


class Evolution(Repeated):
    """Generations of trials drawn from a normal distribution that moves to where the results are better.

    The results of a generation are taken together. With more parallel trials than the population, further trials are
    drawn from the same generation; results that come after it has ended are not used.
    """

    def __init__(self, settings: Settings, space: Sequence[Parameter], maximize: bool, seed: int) -> None:
        import numpy as np

        self.space, self.sign = space, -1.0 if maximize else 1.0
        self.numbers = [parameter for parameter in space if parameter.is_number]
        self.sigma = settings.get("sigma", SIGMA)
        self.strategy = settings.get("restart_strategy", "none").lower()
        self.random = np.random.default_rng(seed)
        self.asked, self.ended = 0, False
        self.age = 0  # generations of all optimizers so far
        self.drawn: dict[int, tuple[int, Any]] = {}
        self.results: list[tuple[Any, float]] = []
        self.optimizer = self._start(0.5 * np.ones(len(self.numbers)), None)
        self.population: int = self.optimizer.population_size
        self.large, self.spent = 0, {"small": 0, "large": 0}  # of bipop: restarts, and trials by size
        self.size = "small"

    def _start(self, mean: Any, population: int | None) -> Any:
        import cmaes
        import numpy as np

        bounds = np.tile([0.0, 1.0], (len(self.numbers), 1))
        seed = int(self.random.integers(2**31))
        return cmaes.CMA(mean=mean, sigma=self.sigma, bounds=bounds, seed=seed, population_size=population)

    def ask(self) -> Assignments | None:
        point = self.optimizer.ask()
        self.drawn[self.asked] = (self.age, point)
        self.asked += 1
        shares = dict(zip((parameter.name for parameter in self.numbers), point, strict=True))
        return {
            parameter.name: parameter.of_unit(float(shares[parameter.name]))
            if parameter.is_number
            else parameter.choices[int(self.random.integers(len(parameter.choices)))]
            for parameter in self.space
        }

    def tell(self, number: int, value: float | None) -> None:
        age, point = self.drawn.pop(number)
        if value is None or not math.isfinite(value) or age != self.age:
            return
        self.results.append((point, self.sign * value))
        if len(self.results) < self.optimizer.population_size:
            return
        self.optimizer.tell(self.results)
        self.results, self.age = [], self.age + 1
        if self.strategy != "none" and self.optimizer.should_stop():
            population = self._grown()
            self.optimizer = self._start(self.random.uniform(size=len(self.numbers)), population)

    def _grown(self) -> int:
        """Return the population of the next optimizer (bipop: whichever size has used fewer trials so far)."""
        if self.strategy == "bipop":
            self.spent[self.size] += self.optimizer.population_size * self.optimizer.generation
            if self.spent["small"] < self.spent["large"]:
                self.size = "small"
                return int(self.population * float(GROWTH**self.large) ** (self.random.uniform() ** 2))
        self.size = "large"
        self.large += 1
        population: int = self.population * GROWTH**self.large
        return population
