"""Runs of toy data."""

from tests.support.training import bundled, make_run, store, trained, trained_once

__all__ = ["bundled", "make_run", "store", "trained", "trained_once"]
