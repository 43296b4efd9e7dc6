"""The tables that models learn from and are tested on: matrix (see ``encoding.py``), target, groups, times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.workflow.data.copies import first_equal, joined
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.training.encoding import Floats, days, matrix

NO_ORIGINS: Mapping[str, float] = MappingProxyType({})


def save(file: IO[bytes], arrays: dict[str, NDArray[Any]]) -> None:
    """Save arrays by name, for ``numpy.load``."""
    np.savez(file, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Table:
    """Rows to learn from or to test on.

    Attributes:
        X: float32 (rows, inputs).
        y: int64 class index, or float64.
        groups: int64 (rows,), equal for rows of one entity and for copies; None if rows are independent.
        time: float64 (rows,) if the split is by time; else None.
    """

    X: Floats
    y: NDArray[Any]
    groups: NDArray[np.int64] | None = None
    time: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return the rows at these positions."""
        return Table(
            self.X[rows],
            self.y[rows],
            None if self.groups is None else self.groups[rows],
            None if self.time is None else self.time[rows],
        )

    def save(self, path: Path) -> None:
        parts = {"X": self.X, "y": self.y, "groups": self.groups, "time": self.time}
        with path.open("wb") as file:
            save(file, {name: part for name, part in parts.items() if part is not None})

    @classmethod
    def load(cls, path: Path) -> "Table":
        with np.load(path, allow_pickle=False) as parts:
            return cls(parts["X"], parts["y"], parts.get("groups"), parts.get("time"))


def train_and_test(run: Run) -> tuple[Table, Table]:
    """Load both parts, which preprocess wrote."""
    return Table.load(run.need("features/train.npz", "preprocess")), Table.load(
        run.need("features/test.npz", "preprocess")
    )


def load_spec(run: Run) -> Spec:
    return read_spec(run.need("spec.toml", "load_data"))


def iso(day: float, has_time: bool = False) -> str:
    """Convert days since 1970-01-01 to an ISO date, with minutes if the column has a time of day."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(day))
    return moment.strftime("%Y-%m-%dT%H:%M" if has_time else "%Y-%m-%d")


def to_table(frame: pl.DataFrame, spec: Spec, copies: bool = False, origins: Mapping[str, float] = NO_ORIGINS) -> Table:
    """Convert a frame that ``clean_data`` wrote to matrix, target, groups and times.

    Args:
        copies: whether rows with the same inputs stay together.
        origins: of the columns that have one.
    """
    X = matrix(frame, spec.features, origins)
    classes = spec.task == "classification"
    y = frame[spec.target.column].cast(pl.Int64 if classes else pl.Float64).to_numpy()
    entity = [c.name for c in spec.columns if c.role == "entity"]
    if spec.split.by == "hash" and spec.split.column:
        entity = [spec.split.column]
    groups = _groups(frame[entity[0]]) if entity and entity[0] in frame.columns else None
    if copies:
        same = first_equal(frame.lazy(), spec.features)
        groups = same if groups is None else joined(groups, same)
    time = None
    if spec.split.by == "time":
        moment = pl.col(spec.split.column)
        moment = days(moment) if spec.column(spec.split.column).type == "date" else moment
        time = frame.select(moment.cast(pl.Float64).fill_null(float("-inf"))).to_series().to_numpy()
    return Table(X, y, groups, time)


def _groups(entity: pl.Series) -> NDArray[np.int64]:
    """Return equal numbers for equal entities; a row without an entity gets a unique number."""
    codes = entity.rank("dense").cast(pl.Int64)
    alone = pl.Series(np.arange(len(codes), dtype=np.int64) + (codes.max() or 0) + 1)  # type: ignore[operator]
    groups: NDArray[np.int64] = codes.zip_with(codes.is_not_null(), alone).to_numpy()
    return groups
