"""The search space of an Experiment: its parameters, their values as numbers and as Katib's text.

Values with a step are computed in decimal, so that a trial gets ``0.3`` and not ``0.30000000000000004``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pantheon.kubeflow.contract import Refused

TYPES = ("double", "int", "discrete", "categorical")
DISTRIBUTIONS = ("uniform", "logUniform", "normal", "logNormal")
LEAST = Decimal("1e-10")  # of a double on a logarithmic scale, as in Katib; of an int it is 1
MANY = 1_000_000  # combinations of a grid, whose order is kept in memory

Assignments = dict[str, str]
"""Parameter → value, as text: what Katib calls ``parameterAssignments``."""


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        low, high: bounds of a number, both possible; a step's last value is ``high``.
        step: distance between two values; None: any number between the bounds. 1 by default for an int.
        log: whether values are drawn on a logarithmic scale.
        choices: the values of ``discrete`` and ``categorical``.
    """

    name: str
    type: str
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    step: Decimal | None = None
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        return self.type in ("double", "int")

    @property
    def sample(self) -> str:
        """One of its values."""
        return self.text(self.low) if self.is_number else self.choices[0]

    @property
    def steps(self) -> int:
        """Number of steps between the bounds; 0 for a single value. Only with a step."""
        assert self.step
        return int((self.high - self.low) // self.step)

    def at(self, index: int) -> str:
        """Return the value after ``index`` steps."""
        assert self.step
        return plain(self.low + index * self.step)

    def text(self, value: Any) -> str:
        """Return a value within the bounds as text, rounded to the next step."""
        if not self.is_number:
            return str(value)
        if self.step is None:
            return repr(float(value))
        index = round((Decimal(repr(float(value))) - self.low) / self.step)
        return self.at(min(max(index, 0), self.steps))

    def distribution(self) -> Any:
        """Return it as a distribution of Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not self.is_number:
            return CategoricalDistribution(self.choices)
        if self.type == "int":
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        step = None if self.log or self.step is None else float(self.step)
        return FloatDistribution(float(self.low), float(self.high), log=self.log, step=step)

    def of_unit(self, share: float) -> str:
        """Return the value at ``share`` (0..1) of the range; only for numbers."""
        if self.step is not None and not self.log:
            return self.at(min(int(share * (self.steps + 1)), self.steps))
        low, high = float(self.low), float(self.high)
        if self.type == "int":  # on a logarithmic scale: every integer has a share of its own
            low, high = low - 0.5, high + 0.5
        if self.log:
            low, high = math.log(low), math.log(high)
        value = low + share * (high - low)
        if self.log:
            value = math.exp(value)
        if self.type == "int":
            return str(min(max(round(value), int(self.low)), int(self.high)))
        return repr(min(max(value, float(self.low)), float(self.high)))


def plain(number: Decimal) -> str:
    """Return a number without an exponent and without trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parameters(specs: Sequence[dict[str, Any]], path: str = "spec.parameters", grid: bool = False) -> list[Parameter]:
    """Read ``spec.parameters``, whose types are checked already.

    Args:
        grid: for the algorithm ``grid``, which tries every step whatever the distribution.

    Raises:
        Refused: a parameter is not valid.
    """
    found: list[Parameter] = []
    for index, spec in enumerate(specs):
        where = f"{path}[{index}]"
        name = spec.get("name") or ""
        if not name:
            raise Refused(f"{where}.name", "is missing.", "Give every parameter a name.")
        if any(name == other.name for other in found):
            raise Refused(f"{where}.name", f"{name!r} is the name of another parameter, too.", "Rename one of them.")
        found.append(_parameter(name, spec, where, grid))
    return found


def _parameter(name: str, spec: dict[str, Any], where: str, grid: bool) -> Parameter:
    type_, space = spec.get("parameterType") or "", spec.get("feasibleSpace") or {}
    if type_ not in TYPES:
        raise Refused(f"{where}.parameterType", f"{type_!r} is not a type.", f"Use one of: {', '.join(TYPES)}.")
    at = f"{where}.feasibleSpace"
    if not any(space.get(key) for key in ("min", "max", "list", "step")):
        raise Refused(at, "is missing.", "Give a number `min` and `max`, and other types a `list`.")
    if type_ in ("discrete", "categorical"):
        return Parameter(name, type_, choices=_choices(type_, space, at))
    if space.get("list"):
        raise Refused(f"{at}.list", f"is not for the type {type_}.", "Use `min` and `max`, or the type discrete.")
    bounds = {key: _number(space, key, type_, at) for key in ("min", "max", "step")}
    low, high, step = bounds["min"], bounds["max"], bounds["step"]
    if low is None or high is None:
        raise Refused(f"{at}.{'min' if low is None else 'max'}", "is missing.", f"The type {type_} needs both bounds.")
    if low > high:
        raise Refused(f"{at}.max", f"{plain(high)} is less than min, which is {plain(low)}.", "Exchange them.")
    if step is not None and step <= 0:
        raise Refused(f"{at}.step", "must be greater than 0.", "Omit it for every number between the bounds.")
    log = _log(space.get("distribution") or "uniform", at)
    if log and not grid:
        least = Decimal(1) if type_ == "int" else LEAST
        if high < least:
            raise Refused(f"{at}.max", f"must be at least {plain(least)} with the distribution logUniform.")
        low = max(low, least)
        if step is not None and not (type_ == "int" and step == 1):
            raise Refused(f"{at}.step", "cannot be combined with the distribution logUniform.", "Omit one of them.")
    if type_ == "int" and step is None:
        step = Decimal(1)
    if step is not None:
        high = low + (high - low) // step * step
    return Parameter(name, type_, low, high, step, log and not grid)


def _choices(type_: str, space: dict[str, Any], at: str) -> tuple[str, ...]:
    for key in ("min", "max", "step"):
        if space.get(key):
            raise Refused(f"{at}.{key}", f"is not for the type {type_}.", "Use `list`.")
    if (space.get("distribution") or "uniform") != "uniform":
        raise Refused(f"{at}.distribution", f"is not for the type {type_}.", "Omit it.")
    choices: list[str] = space.get("list") or []
    if not choices:
        raise Refused(f"{at}.list", "is missing.", f"The type {type_} needs a list of values.")
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            raise Refused(f"{at}.list[{index}]", f"{choice!r} is in the list twice.", "Remove one of them.")
        if type_ == "discrete":
            _decimal(choice, f"{at}.list[{index}]")
    return tuple(choices)


def _log(distribution: str, at: str) -> bool:
    if distribution not in DISTRIBUTIONS:
        raise Refused(f"{at}.distribution", f"{distribution!r} is not a distribution.", "Use uniform or logUniform.")
    if distribution in ("normal", "logNormal"):
        raise Refused(
            f"{at}.distribution", f"{distribution} needs a cluster.", "Without one, use uniform or logUniform."
        )
    return distribution == "logUniform"


def _number(space: dict[str, Any], key: str, type_: str, at: str) -> Decimal | None:
    text = space.get(key)
    if not text:
        return None
    number = _decimal(text, f"{at}.{key}")
    if type_ == "int" and number != number.to_integral_value():
        raise Refused(f"{at}.{key}", f"{text!r} is not an integer.", "Use an integer, or the type double.")
    return number


def _decimal(text: str, path: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or not math.isfinite(float(number)):
        raise Refused(path, f"{text!r} is not a number.", 'Write a number in quotes, such as "0.01".')
    return number


def combinations(space: Sequence[Parameter]) -> int:
    """Return the number of combinations of a grid; every parameter has a step or choices."""
    return math.prod(len(parameter.choices) or parameter.steps + 1 for parameter in space)


def combination(space: Sequence[Parameter], index: int) -> Assignments:
    """Return a combination of a grid by its number; the last parameter changes fastest."""
    values: list[str] = []
    for parameter in reversed(space):
        index, place = divmod(index, len(parameter.choices) or parameter.steps + 1)
        values.append(parameter.at(place) if parameter.is_number else parameter.choices[place])
    return {parameter.name: value for parameter, value in zip(space, reversed(values), strict=True)}
