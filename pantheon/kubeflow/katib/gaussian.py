"""Bayesian optimization by scikit-optimize, as Katib's own service does it."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pantheon.kubeflow.katib.algorithms import Settings
from pantheon.kubeflow.katib.space import Assignments, Parameter


class Gaussian:
    """A surrogate of the objective (a Gaussian process by default) says where the next trial may be better.

    It is fitted once for every trial, when its values are asked for; they follow from the seed, the results so far and
    the trials that run. A running trial is taken to be as good as the best one so far (the "constant liar"), so that
    parallel trials differ.
    """

    def __init__(self, settings: Settings, space: Sequence[Parameter], maximize: bool, seed: int) -> None:
        self.settings, self.space, self.seed = settings, space, seed
        self.initial = max(1, settings.get("n_initial_points", 10))
        self.sign = -1.0 if maximize else 1.0
        self.dimensions = [_dimension(parameter) for parameter in space]
        self.asked, self.ended = 0, False
        self.running: dict[int, list[Any]] = {}
        self.points: list[list[Any]] = []
        self.results: list[float] = []

    def ask(self) -> Assignments | None:
        import skopt

        optimizer = skopt.Optimizer(
            self.dimensions,
            base_estimator=self.settings.get("base_estimator", "GP"),
            n_initial_points=self.initial,
            acq_func=self.settings.get("acq_func", "gp_hedge"),
            acq_optimizer=self.settings.get("acq_optimizer", "auto"),
            random_state=(self.seed + self.asked) % 2**32,
        )
        if len(self.results) >= self.initial:
            running = list(self.running.values())
            optimizer.tell(self.points + running, self.results + [min(self.results)] * len(running))
        values = {
            parameter.name: _text(parameter, value)
            for parameter, value in zip(self.space, optimizer.ask(), strict=True)
        }
        self.repeat(values)
        return values

    def repeat(self, values: Assignments) -> None:
        """Take the values of the next trial, which were proposed before, without a fit."""
        self.running[self.asked] = [_point(parameter, values[parameter.name]) for parameter in self.space]
        self.asked += 1

    def tell(self, number: int, value: float | None) -> None:
        point = self.running.pop(number)
        if value is not None and math.isfinite(value):
            self.points.append(point)
            self.results.append(self.sign * value)


def _dimension(parameter: Parameter) -> Any:
    """Return a parameter as scikit-optimize's; one with a step by the number of its step."""
    from skopt.space import Categorical, Integer, Real

    if not parameter.is_number:
        return Categorical(parameter.choices, name=parameter.name)
    low, high = float(parameter.low), float(parameter.high)
    if low == high:
        return Categorical([parameter.text(low)], name=parameter.name)
    if _by_step(parameter):
        return Integer(0, parameter.steps, name=parameter.name)
    prior = "log-uniform" if parameter.log else "uniform"
    if parameter.type == "int":
        return Integer(int(low), int(high), prior=prior, name=parameter.name)
    return Real(low, high, prior=prior, name=parameter.name)


def _by_step(parameter: Parameter) -> bool:
    return parameter.step is not None and not parameter.log


def _text(parameter: Parameter, value: Any) -> str:
    if not parameter.is_number or isinstance(value, str):
        return str(value)
    return parameter.at(int(value)) if _by_step(parameter) else parameter.text(value)


def _point(parameter: Parameter, text: str) -> Any:
    if not parameter.is_number or parameter.low == parameter.high:
        return text
    if _by_step(parameter):
        assert parameter.step
        return int((Decimal(text) - parameter.low) / parameter.step)
    return int(text) if parameter.type == "int" else float(text)
