"""Cleaning checks every cell against the spec, counts changes, and stops at violations."""

from collections.abc import Callable
from dataclasses import replace

from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from tests.support import DATASETS
from tests.support.data import clean

"""A share that accepts all cells, to test single ones."""


def test_many_rows_of_many_batches(through: Callable[..., Run]) -> None:
    spec = read_spec(DATASETS / "robots.toml")
    many = through(replace(spec, source=replace(spec.source, rows=350_000)))
    few = through(replace(spec, source=replace(spec.source, rows=90_000)))
    assert clean(many).head(80_000).equals(clean(few).head(80_000))
