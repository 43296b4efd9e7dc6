"""What a run trains on: the features of its rows as they were known at each row's time, and how they differ from the
file, in which values may have been corrected since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.features.computing import as_cleaned
from pantheon.features.contract import ROW
from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.outputs import Feature, Input
from pantheon.workflow.training.encoding import Floats, matrix
from pantheon.workflow.training.origins import origins_of

COLUMNS = 3  # that are named in a sentence, at most


@dataclass(frozen=True)
class Known:
    """The rows of a run in the feature store.

    Attributes:
        X: float32 (rows, inputs), as ``preprocess`` encodes it.
        differ: rows by column: those that have another value in the file.
        rows: rows that differ in any column.
        recomputed: rows whose engineered features in the store are not those that the model computes from ``X``.
        recomputed_of: one of these features; empty: none.
    """

    X: Floats
    differ: Mapping[str, int]
    rows: int
    recomputed: int
    recomputed_of: str

    def notes(self, total: int) -> list[str]:
        """Return sentences about the differences, for the user."""
        found = []
        if self.rows:
            names = [repr(name) for name, count in self.differ.items() if count]
            named = ", ".join(names[:COLUMNS]) + (" …" if len(names) > COLUMNS else "")
            found.append(
                f"the feature store: {self.rows:,} of {total:,} rows have other values in the file now ({named}); "
                "training uses what was known at each row's time, before they were corrected"
            )
        if self.recomputed:
            found.append(
                f"the feature store: {self.recomputed_of!r} in the store is not what the model computes in "
                f"{self.recomputed:,} of {total:,} rows: its view is newer than a correction. Training computes it "
                "from what was known at each row's time, as the model does"
            )
        return found


def answered(content: bytes, rows: int, references: Mapping[str, str]) -> pl.DataFrame:
    """Return the store's answer: a column for every key of ``references``, in the order in which rows were asked.

    Args:
        content: a Parquet file, as ``Features.historical`` returns it.
        rows: how many were asked.
        references: column → feature, such as ``robots:robot_age``.

    Raises:
        PantheonError: a row or a feature is missing.
    """
    frame = pl.read_parquet(BytesIO(content)).sort(ROW)
    if not frame[ROW].cast(pl.Int64).equals(pl.Series(ROW, np.arange(rows))):
        what = f"the feature store returned {frame.height:,} rows, not the {rows:,} that were asked."
        raise PantheonError(what, "See `bin/pantheon logs --service feast`.", 1)
    columns = []
    for column, reference in references.items():
        view, _, field = reference.partition(":")
        name = next((n for n in (reference, f"{view}__{field}", field) if n in frame.columns), None)
        if name is None:
            raise PantheonError(
                f"the feature store returned no {reference}.", "See `bin/pantheon logs --service feast`.", 1
            )
        columns.append(frame[name].alias(column))
    return pl.DataFrame(columns) if columns else pl.DataFrame()


def known(
    spec: Spec,
    frame: pl.DataFrame,
    answer: pl.DataFrame,
    inputs: Sequence[Input],
    features: Sequence[Feature],
) -> Known:
    """Compare what the store knew with the file, and encode it.

    Args:
        frame: clean rows.
        answer: columns of the store, and engineered features, for the same rows.
        inputs, features: as preprocess and feature_engineering wrote them.
    """
    columns: list[Column] = spec.features
    origins = origins_of(list(inputs))
    ours = [column.name for column in columns if column.name in answer.columns]
    cast = [as_cleaned(answer[name], frame[name].dtype) for name in ours]
    X, file = matrix(frame.with_columns(cast), columns, origins), matrix(frame, columns, origins)
    unequal = ~((file == X) | (np.isnan(X) & np.isnan(file)))
    by_name = {entry["name"]: X[:, place] for place, entry in enumerate(inputs)}
    other, named = np.zeros(frame.height, bool), ""
    for feature in features:
        if feature["name"] in answer.columns:
            computed = evaluate(feature["expression"], by_name)
            stored = answer[feature["name"]].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float32)
            off = ~((computed == stored) | (np.isnan(computed) & np.isnan(stored)))
            named = named or (feature["name"] if off.any() else "")
            other |= off
    counts = {column.name: int(unequal[:, place].sum()) for place, column in enumerate(columns)}
    return Known(X, counts, int(unequal.any(axis=1).sum()), int(other.sum()), named)
