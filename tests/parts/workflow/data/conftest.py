"""Runs on data that is large enough to interrupt."""

from tests.support.data import new_run, through, write

__all__ = ["new_run", "through", "write"]
