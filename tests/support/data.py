"""Runs on small data: a factory for run folders, and the three stages in a row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.workflow.data.cells import Cells
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.data.spec_file import dump_spec
from pantheon.workflow.run import Params, Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from pantheon.workflow.stages.split_data import split_data


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text (or bytes) to a file: ``write("a,b\\n1,2\\n")``."""

    def write(content: str | bytes, name: str = "table.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    """A run for a spec: ``new_run(spec, folds=3)``."""

    def new_run(spec: Spec, **params: Any) -> Run:
        return Run.create(tmp_path / "state", dump_spec(spec), spec.name, Params(**params))

    return new_run


@pytest.fixture
def through(new_run: Callable[..., Run]) -> Callable[..., Run]:
    """A run that has loaded, cleaned and split a file (its spec worked out) or a spec's data."""

    def through(what: Path | Spec, target: str = "y", **params: Any) -> Run:
        run = new_run(what if isinstance(what, Spec) else infer_spec(what, target), **params)
        load_data(run)
        clean_data(run)
        split_data(run)
        return run

    return through


def cell(text: str | None, column: Column, source: Source | None = None, target: Target | None = None) -> Any:
    """Return the value that cleaning reads from a cell."""
    values, _ = Cells(column, source or Source(), target).clean(pl.Series("x", [text], dtype=pl.String))
    return values[0]


def clean(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.path("data/clean.parquet"))


def parts(run: Run) -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.read_parquet(run.path("data/train.parquet")), pl.read_parquet(run.path("data/test.parquet"))
