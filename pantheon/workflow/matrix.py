"""A frame as the model sees it: one float32 column for each input, in the order of the signature.

number, integer: as they are · boolean: 0, 1 · category: its position in the spec's list · date: days since 1970-01-01
· missing, or a category that the list does not have: NaN.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.workflow.run import Run
from pantheon.workflow.spec import Column, Spec

Floats = NDArray[np.float32]
DAY_MS = 86_400_000


def save(file: IO[bytes], arrays: dict[str, NDArray[Any]]) -> None:
    """Arrays by name, as ``numpy.load`` reads them."""
    np.savez(file, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Table:
    """Rows to learn from or to test on.

    Attributes:
        X: float32 (rows, inputs).
        y: int64 class index, or float64.
        groups: int64 (rows,), equal for rows of one entity; None when each row is its own.
        time: float64 (rows,), when the split is by time; else None.
    """

    X: Floats
    y: NDArray[Any]
    groups: NDArray[np.int64] | None = None
    time: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """The table of some rows, by position."""
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
    """Both parts, as preprocess wrote them."""
    return Table.load(run.need("features/train.npz", "preprocess")), Table.load(
        run.need("features/test.npz", "preprocess")
    )


def load_spec(run: Run) -> Spec:
    return Spec.read(run.need("spec.toml", "load_data"))


def days(column: pl.Expr) -> pl.Expr:
    """A Date or Datetime as days since 1970-01-01, with a fraction."""
    return column.cast(pl.Datetime("ms")).cast(pl.Int64) / DAY_MS


def iso(day: float, has_time: bool = False) -> str:
    """A day count as an ISO date (with minutes where the column has a time of day)."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(day))
    return moment.strftime("%Y-%m-%dT%H:%M" if has_time else "%Y-%m-%d")


def _expression(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.type == "category":
        known = pl.Series(column.categories, dtype=pl.String)
        places = pl.Series(range(len(known)), dtype=pl.Float32)
        value = value.cast(pl.String).replace_strict(known, places, default=None, return_dtype=pl.Float32)
    elif column.type == "date":
        value = days(value)
    return value.cast(pl.Float32).fill_null(float("nan"))


def to_table(frame: pl.DataFrame, spec: Spec) -> Table:
    """The matrix, target, groups and times of a frame that ``clean_data`` typed."""
    X = frame.select(_expression(column) for column in spec.features).to_numpy(order="c")
    X = np.where(np.isfinite(X), X, np.float32("nan")).astype(np.float32, copy=False)
    classes = spec.task == "classification"
    y = frame[spec.target.column].cast(pl.Int64 if classes else pl.Float64).to_numpy()
    entity = [c.name for c in spec.columns if c.role == "entity"]
    if spec.split.by == "hash" and spec.split.column:
        entity = [spec.split.column]
    groups = _groups(frame[entity[0]]) if entity and entity[0] in frame.columns else None
    time = None
    if spec.split.by == "time":
        moment = pl.col(spec.split.column)
        moment = days(moment) if spec.column(spec.split.column).type == "date" else moment
        time = frame.select(moment.cast(pl.Float64).fill_null(float("-inf"))).to_series().to_numpy()
    return Table(X, y, groups, time)


def _groups(entity: pl.Series) -> NDArray[np.int64]:
    """Equal numbers for equal entities; a row without one is on its own."""
    codes = entity.rank("dense").cast(pl.Int64)
    alone = pl.Series(np.arange(len(codes), dtype=np.int64) + (codes.max() or 0) + 1)  # type: ignore[operator]
    found: NDArray[np.int64] = codes.zip_with(codes.is_not_null(), alone).to_numpy()
    return found


def signature_inputs(spec: Spec, train: Table) -> list[dict[str, Any]]:
    """What a caller must give, by ``signature.json``'s rules; ``seen`` and missing examples are the training part's."""
    inputs = []
    for column, values in zip(spec.features, train.X.T, strict=True):
        seen = values[~np.isnan(values)].astype(np.float64)
        entry: dict[str, Any] = {"name": column.name, "type": column.type, "nullable": column.nullable}
        if column.description:
            entry["description"] = column.description
        if column.type == "category":
            entry |= {"categories": list(column.categories), "unknown": column.unknown}
        for bound in ("min", "max"):
            if getattr(column, bound) is not None:
                entry[bound] = getattr(column, bound)
        if len(seen) and column.type in ("number", "integer", "date"):
            low, high = float(seen.min()), float(seen.max())
            entry["seen"] = (
                [iso(low, column.has_time), iso(high, column.has_time)] if column.type == "date" else [low, high]
            )
        example = column.example if column.example is not None else _example(column, seen)
        if example is not None:
            entry["example"] = example
        inputs.append(entry)
    return inputs


def _example(column: Column, seen: NDArray[np.float64]) -> Any:
    if not len(seen):
        return None
    values, counts = np.unique(seen, return_counts=True)
    usual = float(values[counts.argmax()])
    middle = float(np.quantile(seen, 0.5, method="nearest"))
    if column.type == "category":
        return column.categories[int(usual)]
    if column.type == "boolean":
        return bool(usual)
    if column.type == "date":
        return iso(middle, column.has_time)
    return int(middle) if column.type == "integer" else float(f"{middle:.6g}")
