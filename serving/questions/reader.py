"""Read the store for the page: if it does not answer, later requests fail immediately for a while.

With a hanging store, every request takes some seconds, and every open page polls every few seconds: without this
circuit breaker, they would occupy the threads that ``/predict`` needs.
"""

import builtins
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from pantheon.errors import PantheonError
from pantheon.store import Alias, ModelStore, Version

T = TypeVar("T")
SLOW_SECONDS = 1.0  # a failure that took longer opens the circuit breaker
PAUSE_SECONDS = 5.0  # for which the last error is repeated without a request


class Reader:
    """The store's methods that the page and the questions use; raises the store's errors."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._failure: tuple[float, Exception] | None = None

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
        """Return the result of ``question``, or raise the last error if a recent request failed slowly.

        Raises:
            PantheonError, OSError: the error of ``question``.
        """
        if self._failure and monotonic() < self._failure[0]:
            raise self._failure[1]
        began = monotonic()
        try:
            return question()
        except (PantheonError, OSError) as error:
            if monotonic() - began > SLOW_SECONDS:
                self._failure = monotonic() + PAUSE_SECONDS, error
            raise
