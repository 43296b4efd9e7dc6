"""A regression that learns the logarithm of its target, for numbers over several orders of magnitude."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin

Doubles = NDArray[np.float64]


class LogTarget(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit ``inner`` to sign(y) · log(1 + |y| / scale), and predict y: also for zeros and negative numbers.

    Attributes:
        scale_: the lower decile of the sizes of all numbers but zero: below it, the target is about linear.
        greatest_: the largest size of a transformed number, to which rounding in float32 is relative.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> "LogTarget":
        sizes = np.abs(np.asarray(y, dtype=np.float64))
        present = sizes[sizes > 0]
        self.scale_ = float(np.quantile(present, 0.1)) if len(present) else 1.0
        z = np.sign(y) * np.log1p(sizes / self.scale_)
        self.greatest_ = float(np.abs(z).max())
        self.inner.fit(X, z)
        return self

    def predict(self, X: NDArray[Any]) -> Doubles:
        z = np.clip(np.asarray(self.inner.predict(X), dtype=np.float64), -2 * self.greatest_, 2 * self.greatest_)
        return np.asarray(np.sign(z) * self.scale_ * np.expm1(np.abs(z)), dtype=np.float64)
