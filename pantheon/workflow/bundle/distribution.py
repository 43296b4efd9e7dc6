"""The distribution of a column, from its values. Needs numpy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.bundle.reference import LEVELS, Distribution


def of_codes(codes: NDArray[np.float32], names: Sequence[str], kind: str = "category") -> Distribution:
    """Describe values that are given as positions in ``names``; NaN is missing."""
    present = codes[~np.isnan(codes)]
    counts = np.bincount(present.astype(np.int64), minlength=len(names))
    shares = {name: int(count) / len(present) for name, count in zip(names, counts, strict=True) if count}
    return Distribution(kind, len(codes), _missing(codes, present), categories=shares)


def of_numbers(values: NDArray[Any], kind: str = "number", origin: float = 0.0) -> Distribution:
    """Describe numbers; NaN is missing. The quantiles are values that occur, so that whole numbers stay whole.

    Args:
        values: float32, or float64.
        origin: is added to each.
    """
    present = np.sort(values[~np.isnan(values)])
    missing = _missing(values, present)
    if not len(present):
        return Distribution(kind, len(values), missing)
    positions = np.linspace(0, len(present) - 1, LEVELS).round().astype(np.int64)
    quantiles = present[positions]
    below = np.searchsorted(present, quantiles, side="right") / len(present)
    return Distribution(kind, len(values), missing, [_plain(each, origin) for each in quantiles], below.tolist())


def _missing(values: NDArray[Any], present: NDArray[Any]) -> float:
    return 1 - len(present) / len(values) if len(values) else 0.0


def _plain(value: Any, origin: float) -> float:
    """Return a number as people and programs send it: 0.1, although float32 has 0.10000000149."""
    return float(f"{float(value) + origin:.15g}") if origin else float(str(value))
