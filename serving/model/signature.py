"""The model's signature: converts JSON rows to the float32 matrix of the ONNX input, as ``signature.json`` defines."""

import difflib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.model import columns
from serving.model.fields import Field
from serving.problems import Problem, Refused, shown

FORMATS = (1, 2)  # 2: inputs may have an origin
MIN_COLUMN_ROWS = 8  # from this number of rows, encoding by column is faster


class Signature:
    """Inputs and output of one model version.

    Args:
        raw: the content of ``signature.json``.

    Raises:
        ValueError: it has another format or contradictions; the message describes them.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        if raw.get("format") not in FORMATS:
            raise ValueError(f"signature.json has format {raw.get('format')!r}; this server reads {FORMATS}")
        self.raw = raw
        self.task: str = raw["task"]
        if self.task not in ("classification", "regression"):
            raise ValueError(f"the task {self.task!r} is unknown")
        self.fields = [Field.read(entry, raw.get("text")) for entry in raw["inputs"]]
        self.names = frozenset(f.name for f in self.fields)
        if not self.fields or len(self.names) != len(self.fields):
            raise ValueError("the inputs must be one or more, with distinct names")
        self.output: dict[str, Any] = raw["output"]
        self.classes: list[Any] = list(self.output["classes"]) if self.task == "classification" else []
        self._columns = [(f.name, f.coerce, f.nullable) for f in self.fields]
        warned = [f for f in self.fields if f.type == "category" and f.raw.get("unknown") == "warn"]
        self._warned = [(f, {None, *map(str, f.raw["categories"])}) for f in warned]

    def label(self, value: Any) -> str:
        """Return a class's label: ``labels`` is keyed by the class as text; without an entry, the class itself."""
        labels = self.output.get("labels") or {}
        plain = value if isinstance(value, str) else json.dumps(value)
        return str(labels.get(plain, labels.get(str(value), plain)))

    def encode(self, rows: Sequence[Any]) -> npt.NDArray[np.float32]:
        """Encode rows for the model.

        Args:
            rows: JSON objects.

        Returns:
            float32, shape (rows, inputs), NaN where missing.

        Raises:
            Problem: 422, with the first row and field that the signature does not allow.
        """
        if len(rows) >= MIN_COLUMN_ROWS and (matrix := columns.encode(rows, self.fields)) is not None:
            return matrix
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

    def notes(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        """Return a sentence for every input with categories in ``rows`` that the model does not know.

        Args:
            rows: that ``encode`` accepts.
        """
        notes = []
        for field, known in self._warned:
            others = {value for row in rows if (value := row.get(field.name)) not in known}
            if field.texts:
                others = {value for value in others if not field.texts.is_missing(str(value))}
            if new := sorted(str(value) for value in others if math.isnan(field.coerce(value))):
                texts = ", ".join(shown(value) for value in new[:5]) + (" …" if len(new) > 5 else "")
                notes.append(f'"{field.name}": the model does not know {texts}, and takes it as missing.')
        return notes

    def _missing(self, name: str, index: int, null: bool) -> Problem:
        expected = next(f.expected for f in self.fields if f.name == name)
        message = f'Row {index}, "{name}": a value is required: expected {expected}.'
        return Problem(422, message, row=index, field=name, expected=expected, got="null" if null else "nothing")

    def _unknown(self, row: dict[str, Any], index: int) -> Problem:
        name = next(key for key in row if key not in self.names)
        names = [f.name for f in self.fields]
        near = difflib.get_close_matches(name[:200], names, n=1)
        field = name if len(name) <= 200 else name[:200] + "…"
        listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        hint = f' Did you mean "{near[0]}"?' if near else ""
        message = f'Row {index}: the model has no input "{field}".{hint}'
        return Problem(422, message, row=index, field=field, expected=f"only {listed}", got=shown(row[name]))
