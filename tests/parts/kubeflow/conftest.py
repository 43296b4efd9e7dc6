"""Runs of toy data, and of the bundled data."""

from tests.support.training import bundled, make_run

__all__ = ["bundled", "make_run"]
