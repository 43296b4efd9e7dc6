"""The model's signature: rows of JSON → the float32 matrix of the ONNX input, exactly as ``signature.json`` says."""

import difflib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.fields import Field
from serving.problems import Problem, Refused, shown

FORMAT = 1


class Signature:
    """Inputs and output of one model version.

    Args:
        raw: the content of ``signature.json``.

    Raises:
        ValueError: of another format, or contradictory; says what.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        if raw.get("format") != FORMAT:
            raise ValueError(f"signature.json has format {raw.get('format')!r}; this server reads format {FORMAT}")
        self.raw = raw
        self.task: str = raw["task"]
        if self.task not in ("classification", "regression"):
            raise ValueError(f"the task {self.task!r} is not known")
        self.fields = [Field.read(entry) for entry in raw["inputs"]]
        self.names = frozenset(f.name for f in self.fields)
        if not self.fields or len(self.names) != len(self.fields):
            raise ValueError("the inputs' names are not one or more distinct ones")
        self.output: dict[str, Any] = raw["output"]
        self.classes: list[Any] = list(self.output["classes"]) if self.task == "classification" else []
        self._columns = [(f.name, f.coerce, f.nullable) for f in self.fields]

    def label(self, value: Any) -> str:
        """The words for a class: ``labels`` is keyed by the class as text; without an entry, the class itself."""
        labels = self.output.get("labels") or {}
        plain = value if isinstance(value, str) else json.dumps(value)
        return str(labels.get(plain, labels.get(str(value), plain)))

    def encode(self, rows: Sequence[Any]) -> npt.NDArray[np.float32]:
        """Rows as the model takes them.

        Args:
            rows: JSON objects.

        Returns:
            float32, shape (rows, inputs), NaN where missing.

        Raises:
            Problem: 422, with the first row and field that the signature refuses.
        """
        return np.array([self.encode_row(row, i) for i, row in enumerate(rows)], dtype=np.float32)

    def encode_row(self, row: Any, index: int) -> list[float]:
        if type(row) is not dict:
            raise Problem(
                422, f"Row {index} is not an object.", row=index, expected="an object of fields", got=shown(row)
            )
        if not row.keys() <= self.names:
            raise self._unknown(row, index)
        values = []
        get = row.get
        for name, coerce, nullable in self._columns:
            value = get(name)
            if value is None:
                if not nullable:
                    raise self._missing(name, index, name in row)
                values.append(math.nan)
                continue
            try:
                values.append(coerce(value))
            except Refused as refused:
                expected, got = str(refused), shown(value)
                message = f'Row {index}, "{name}": expected {expected}, got {got}.'
                raise Problem(422, message, row=index, field=name, expected=expected, got=got) from None
        return values

    def _missing(self, name: str, index: int, null: bool) -> Problem:
        expected = next(f.expected for f in self.fields if f.name == name)
        message = f'Row {index}, "{name}": it must be given: expected {expected}.'
        return Problem(422, message, row=index, field=name, expected=expected, got="null" if null else "nothing")

    def _unknown(self, row: dict[str, Any], index: int) -> Problem:
        name = next(key for key in row if key not in self.names)
        known = [f.name for f in self.fields]
        near = difflib.get_close_matches(name[:200], known, n=1)
        field = name if len(name) <= 200 else name[:200] + "…"
        listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        hint = f' Did you mean "{near[0]}"?' if near else ""
        message = f'Row {index}: the model has no input "{field}".{hint}'
        return Problem(422, message, row=index, field=field, expected=f"only {listed}", got=shown(row[name]))
