"""Hyperband as Katib has it: the resource is a parameter; the best trials of a rung are repeated with more of it."""

import math
from collections.abc import Sequence

from pantheon.kubeflow.katib.algorithms import Settings, brackets
from pantheon.kubeflow.katib.sampled import Sampled
from pantheon.kubeflow.katib.search import Repeated
from pantheon.kubeflow.katib.space import Assignments, Parameter


class Hyperband(Repeated):
    """Brackets of fewer and fewer random trials with more and more resource at the start.

    A rung is a set of trials with the same resource. The next rung is known when the last trial of a rung has a result;
    a failed trial is worse than any other.
    """

    def __init__(self, settings: Settings, space: Sequence[Parameter], maximize: bool, seed: int) -> None:
        self.eta, self.most, self.last = settings.get("eta", 3), settings["r_l"], brackets(settings)
        self.resource = next(parameter for parameter in space if parameter.name == settings["resource_name"])
        self.random = Sampled("random", {}, space, maximize, seed)
        self.maximize = maximize
        self.asked, self.ended = 0, False
        self.results: dict[int, float | None] = {}
        self.rung: dict[int, Assignments] = {}  # the trials of the current rung that were proposed
        self.bracket, self.level = self.last, 0
        self.ahead = self._draw()

    def ask(self) -> Assignments | None:
        if not self.ahead and not self._advance():
            return None
        values = self.ahead.pop(0)
        self.rung[self.asked] = values
        self.asked += 1
        self.ended = not self.ahead and self.bracket == 0 and self.level == 0  # the last bracket has a single rung
        return dict(values)

    def tell(self, number: int, value: float | None) -> None:
        self.results[number] = value if value is not None and math.isfinite(value) else None

    def _draw(self) -> list[Assignments]:
        """Return the random trials of a bracket's first rung."""
        count = math.ceil((self.last + 1) * self.eta**self.bracket / (self.bracket + 1))
        drawn: list[Assignments] = []
        for _ in range(count):
            values = self.random.ask()
            assert values is not None, "random values never end"
            drawn.append(values | {self.resource.name: self._resource()})
        return drawn

    def _advance(self) -> bool:
        """Start the next rung, if every trial of this one has a result."""
        if self.ended or any(number not in self.results for number in self.rung):
            return False
        if self.level < self.bracket:
            keep = max(1, math.ceil(len(self.rung) / self.eta))
            best = sorted(self.rung, key=self._rank)[:keep]
            self.level += 1
            self.ahead = [self.rung[number] | {self.resource.name: self._resource()} for number in best]
        else:
            self.bracket, self.level = self.bracket - 1, 0
            self.ahead = self._draw()
        self.rung = {}
        return True

    def _rank(self, number: int) -> tuple[bool, float]:
        value = self.results[number]
        return value is None, 0.0 if value is None else -value if self.maximize else value

    def _resource(self) -> str:
        amount = self.most * self.eta ** (self.level - self.bracket)
        return str(max(1, int(amount)))
