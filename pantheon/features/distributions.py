"""The distribution of a feature: a small histogram of numbers and dates, or the most frequent values of others."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

BINS: Final = 24
TOP: Final = 6  # values that are named
TAILS: Final = 0.005  # share of the values beyond the inner bins, on each side: one far value would squeeze all others
_LONG: Final = 60  # characters of a value


def distribution(values: pl.Series, type: str) -> dict[str, Any] | None:
    """Return the distribution of a field's values.

    Args:
        type: one of ``contract.TYPES``.

    Returns:
        ``{"kind": "histogram", "bins": [{"from", "to", "rows"}]}``, where a few whole numbers have a bin each, and
        dates are ISO 8601; or ``{"kind": "top", "top": [{"value", "rows"}], "others"}``; None if all are missing.
    """
    if type in ("number", "integer", "date"):
        numbers = values.dt.epoch("us") / 1e6 if values.dtype.is_temporal() else values.cast(pl.Float64)
        return _histogram(numbers.fill_nan(None).drop_nulls(), type)
    return _top(values.drop_nulls())


def _top(values: pl.Series) -> dict[str, Any] | None:
    if not len(values):
        return None
    counts = values.alias("value").value_counts(name="rows").sort("rows", "value", descending=[True, False])
    top = [{"value": _short(value), "rows": rows} for value, rows in counts.head(TOP).iter_rows()]
    return {"kind": "top", "top": top, "others": len(values) - sum(each["rows"] for each in top)}


def _short(value: Any) -> Any:
    return f"{value[:_LONG]}…" if isinstance(value, str) and len(value) > _LONG else value


def _histogram(values: pl.Series, type: str) -> dict[str, Any] | None:
    values = values.filter(values.is_finite())
    if not len(values):
        return None
    few = values.unique().sort()
    if type != "date" and len(few) <= BINS and (few == few.round()).all():
        counts = values.alias("value").value_counts(name="rows").sort("value")
        bins = [{"from": value, "to": value, "rows": rows} for value, rows in counts.iter_rows()]
        return {"kind": "histogram", "bins": bins}
    smallest, largest = float(few[0]), float(few[-1])
    numbers = values.to_numpy()
    low, high = np.quantile(numbers, [TAILS, 1 - TAILS])
    if not low < high:
        low, high = smallest, largest
    edges = np.linspace(low, high, BINS + 1) if low < high else np.array([low, high])
    edges[0], edges[-1] = smallest, largest
    rows, _ = np.histogram(numbers, edges) if smallest < largest else ([len(numbers)], None)
    bins = [
        {"from": _end(start, type), "to": _end(end, type), "rows": int(count)}
        for start, end, count in zip(edges[:-1], edges[1:], rows, strict=True)
    ]
    return {"kind": "histogram", "bins": bins}


def _end(value: float, type: str) -> float | str:
    if type != "date":
        return float(value)
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(value))).isoformat()
