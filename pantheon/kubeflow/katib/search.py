"""What all searches have in common.

A search lives in memory. Given the same seed, and the same sequence of ``ask`` and ``tell``, it proposes the same
values; so a journal of that sequence restores it after the service was killed (``pantheon.kubeflow.katib.journal``).
"""

from typing import Protocol

from pantheon.kubeflow.katib.space import Assignments


class Search(Protocol):
    """What proposes the values of trials.

    Attributes:
        ended: there is nothing left to propose, whatever the results.
    """

    ended: bool

    def ask(self) -> Assignments | None:
        """Return the values of the next trial, whose number is the count of earlier ones; None: only after a result."""

    def repeat(self, values: Assignments) -> None:
        """Take the values of the next trial, which were proposed before, in the place of ``ask``.

        Raises:
            ValueError: ``ask`` would have proposed others.
        """

    def tell(self, number: int, value: float | None) -> None:
        """Take the result of a trial, for each trial once; None: it failed."""


class Repeated:
    """``Search.repeat`` for a search that has to propose again, for the sake of its random numbers."""

    def repeat(self: Search, values: Assignments) -> None:
        if self.ask() != values:
            raise ValueError(values)
