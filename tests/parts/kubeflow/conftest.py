"""Runs of toy data."""

from tests.support.training import make_run

__all__ = ["make_run"]
