"""Reading the store for people: when it does not answer, nobody waits for it again and again.

A store that hangs costs some seconds a question, and the page of every browser asks every few seconds: without this,
they would take the threads that ``/predict`` needs.
"""

import builtins
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from pantheon.errors import PantheonError
from pantheon.store import Alias, ModelStore, Version

T = TypeVar("T")
SLOW = 1.0  # seconds after which a failure was a wait
PAUSE = 5.0  # seconds in which it is told again without asking


class Reader:
    """What the page and the questions ask of a store; errors as the store's own."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._known: tuple[float, Exception] | None = None

    @property
    def where(self) -> str:
        return self._store.where

    def list(self, name: str) -> builtins.list[Version]:
        return self.ask(lambda: self._store.list(name))

    def describe(self, name: str, version: str) -> Version:
        return self.ask(lambda: self._store.describe(name, version))

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        return self.ask(lambda: self._store.alias(name, alias))

    def history(self, name: str, alias: str = "champion") -> builtins.list[Alias] | None:
        return self.ask(lambda: self._store.history(name, alias))

    def ask(self, question: Callable[[], T]) -> T:
        """What ``question`` gives; at once the error of a moment ago where that took long to come.

        Raises:
            PantheonError, OSError: as ``question``.
        """
        if self._known and monotonic() < self._known[0]:
            raise self._known[1]
        began = monotonic()
        try:
            return question()
        except (PantheonError, OSError) as error:
            if monotonic() - began > SLOW:
                self._known = monotonic() + PAUSE, error
            raise
