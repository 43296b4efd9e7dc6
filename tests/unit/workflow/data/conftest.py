"""Runs on small data."""

from tests.support.data import new_run, through, write

__all__ = ["new_run", "through", "write"]
