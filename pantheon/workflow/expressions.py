"""Features as expression trees, evaluated by NumPy for training and by ONNX for serving.

A tree is a nested list, which JSON can store: ``["div", ["column", "rust-level"], ["number", 2.0]]``. Both sides
compute in float64 and round to float32 at the end, so they agree although their logarithms differ in the last bit.
The result is missing if an operand is missing, or if it is not finite (a division by zero).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.outputs import Input, Tree

Doubles = NDArray[np.float64]

UNARY: dict[str, Callable[[Doubles], Doubles]] = {
    "neg": np.negative,
    "abs": np.abs,
    "floor": np.floor,
    "log1p": lambda a: np.log(1.0 + a),  # ONNX has no Log1p
    "sqrt": np.sqrt,
}
BINARY: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
}
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


class Column:
    """A symbolic column, or an expression of columns; it has no rows.

    It supports ``+ - * /``, comparisons (1.0 where true, else 0.0), ``abs()``, and this module's ``log1p``, ``sqrt``,
    ``floor``, ``minimum``, ``maximum``. A category can be compared with a text: ``columns["battery"] == "low"``.
    """

    __hash__ = None  # type: ignore[assignment]  # == returns a column, so columns cannot be hashed

    def __init__(self, tree: Tree, categories: tuple[str, ...] = ()) -> None:
        self.tree = tree
        self.categories = categories

    def _with(self, op: str, other: object, turned: bool = False) -> Column:
        right = self._operand(other)
        return Column([op, right, self.tree] if turned else [op, self.tree, right])

    def _operand(self, other: object) -> Tree:
        if isinstance(other, Column):
            return other.tree
        if isinstance(other, str):
            if other not in self.categories:
                choices = ", ".join(self.categories) or "none: it is not a category"
                raise TypeError(f"{other!r} is not among the categories of {self.tree[-1]!r} ({choices})")
            return ["number", float(self.categories.index(other))]
        if isinstance(other, bool | int | float | np.number):
            return ["number", float(other)]
        raise TypeError(f"a feature is computed from columns and numbers, not from {type(other).__name__}")

    def __add__(self, other: object) -> Column:
        return self._with("add", other)

    def __radd__(self, other: object) -> Column:
        return self._with("add", other, turned=True)

    def __sub__(self, other: object) -> Column:
        return self._with("sub", other)

    def __rsub__(self, other: object) -> Column:
        return self._with("sub", other, turned=True)

    def __mul__(self, other: object) -> Column:
        return self._with("mul", other)

    def __rmul__(self, other: object) -> Column:
        return self._with("mul", other, turned=True)

    def __truediv__(self, other: object) -> Column:
        return self._with("div", other)

    def __rtruediv__(self, other: object) -> Column:
        return self._with("div", other, turned=True)

    def __lt__(self, other: object) -> Column:
        return self._with("less", other)

    def __le__(self, other: object) -> Column:
        return self._with("less_equal", other)

    def __gt__(self, other: object) -> Column:
        return self._with("greater", other)

    def __ge__(self, other: object) -> Column:
        return self._with("greater_equal", other)

    def __eq__(self, other: object) -> Column:  # type: ignore[override]
        return self._with("equal", other)

    def __ne__(self, other: object) -> Column:  # type: ignore[override]
        return self._with("not_equal", other)

    def __neg__(self) -> Column:
        return Column(["neg", self.tree])

    def __abs__(self) -> Column:
        return Column(["abs", self.tree])

    def _no(self, *_: object) -> Any:
        raise TypeError(
            "a column stands for all rows at once: if, and, or, not, math.log and float() do not work on it; use "
            "comparisons (1.0 or 0.0), and minimum, maximum, log1p, sqrt, floor of pantheon.workflow.expressions"
        )

    __bool__ = __float__ = __int__ = __index__ = __iter__ = __array__ = __len__ = _no


class Columns(Mapping[str, Column]):
    """The columns of a dataset by name, for a feature's function."""

    def __init__(self, inputs: list[Input]) -> None:
        self._columns = {i["name"]: Column(["column", i["name"]], tuple(i.get("categories", ()))) for i in inputs}

    def __getitem__(self, name: str) -> Column:
        if name not in self._columns:
            near = difflib.get_close_matches(str(name), self._columns, n=3, cutoff=0.3) or list(self._columns)[:5]
            raise LookupError(f"there is no column {name!r}; similar columns: {', '.join(near)}")
        return self._columns[name]

    def __iter__(self) -> Any:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def _unary(op: str) -> Callable[[Column], Column]:
    def apply(column: Column) -> Column:
        return Column([op, column.tree])

    apply.__name__ = apply.__qualname__ = op
    return apply


def _binary(op: str) -> Callable[[Column | float, Column | float], Column]:
    def apply(left: Column | float, right: Column | float) -> Column:
        if isinstance(left, Column):
            return left._with(op, right)
        return Column(
            [op, ["number", float(left)], ["number", float(right)] if not isinstance(right, Column) else right.tree]
        )

    apply.__name__ = apply.__qualname__ = op
    return apply


log1p, sqrt, floor = _unary("log1p"), _unary("sqrt"), _unary("floor")
minimum, maximum = _binary("minimum"), _binary("maximum")


def columns_of(tree: Tree) -> set[str]:
    """Return the names of the columns that a tree reads."""
    if tree[0] == "column":
        return {tree[1]}
    return set().union(*(columns_of(part) for part in tree[1:] if isinstance(part, list)))


def evaluate(tree: Tree, columns: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Evaluate a tree for every row.

    Args:
        columns: float32 (rows,) by name.

    Returns:
        float32 (rows,); NaN where missing.
    """
    with np.errstate(all="ignore"):
        value = np.asarray(_evaluate(tree, columns)).astype(np.float32)
    rows = len(next(iter(columns.values())))
    return np.broadcast_to(np.where(np.isfinite(value), value, np.float32("nan")), (rows,))


def _evaluate(tree: Tree, columns: Mapping[str, NDArray[np.float32]]) -> Doubles:
    op, *parts = tree
    if op == "column":
        return columns[parts[0]].astype(np.float64)
    if op == "number":
        return np.asarray(parts[0], dtype=np.float64)
    values = [_evaluate(part, columns) for part in parts]
    if op in UNARY:
        return UNARY[op](values[0])
    if op in BINARY:
        result = np.asarray(BINARY[op](*values), dtype=np.float64)
        if op in (*COMPARISONS, "minimum", "maximum"):  # only these would turn a missing operand into a value
            return np.where(np.isnan(values[0]) | np.isnan(values[1]), np.nan, result)
        return result
    raise PantheonError(f"an expression has the unknown operation {op!r}.", status=1)
