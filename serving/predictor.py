"""A model bundle, loaded: ``model.onnx`` behind its signature. No pickle is ever opened."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from serving.problems import Problem
from serving.signature import Signature


class BrokenBundle(Exception):
    """The bundle cannot be served; says why."""


@dataclass(frozen=True)
class Answer:
    """Predictions for some rows.

    Attributes:
        prediction: a class (JSON value) or a number a row.
        probabilities: classification only: for each row one for each of the signature's classes, in their order.
    """

    prediction: list[Any]
    probabilities: list[list[float]] | None


class Predictor:
    """One version of a model, ready to answer; safe to share between threads.

    Args:
        folder: the bundle (its checksums already verified by the store).
        model: the model's name.
        version: the version, as the store names it.

    Raises:
        BrokenBundle: a file is missing or malformed, or model and signature do not fit.
    """

    def __init__(self, folder: Path, model: str, version: str) -> None:
        self.folder, self.model, self.version = folder, model, version
        self.since = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self.signature = Signature(json.loads((folder / "signature.json").read_text(encoding="utf-8")))
            self.metrics: dict[str, Any] = _optional(folder / "metrics.json")
            self.lineage: dict[str, Any] = _optional(folder / "lineage.json")
            card = folder / "card.md"
            self.card = card.read_text(encoding="utf-8") if card.exists() else ""
            self._open(folder / "model.onnx")
            self._try()
        except BrokenBundle:
            raise
        except Exception as error:  # onnxruntime's own errors share no base class
            raise BrokenBundle(f"version {version} of {model}: {_first_line(error)}") from error

    def _open(self, path: Path) -> None:
        options = ort.SessionOptions()
        # One thread: a row takes microseconds, and waking a pool costs more; requests run beside each other anyway.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = False  # the arena keeps the memory of the largest batch for ever
        options.enable_mem_pattern = False  # plans for one batch size; ours vary
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        entry = self.signature.raw["onnx"]
        self._input, self._outputs = entry["input"], list(entry["outputs"])
        inputs = self._session.get_inputs()
        width = len(self.signature.fields)
        if [i.name for i in inputs] != [self._input] or inputs[0].type != "tensor(float)":
            raise BrokenBundle(f"version {self.version}: the model's input is not one float tensor {self._input!r}")
        if len(inputs[0].shape) != 2 or (isinstance(inputs[0].shape[1], int) and inputs[0].shape[1] != width):
            raise BrokenBundle(
                f"version {self.version}: the model takes {inputs[0].shape}, its signature has {width} inputs"
            )
        missing = set(self._outputs) - {o.name for o in self._session.get_outputs()}
        if missing:
            raise BrokenBundle(f"version {self.version}: the model has no output {', '.join(sorted(missing))}")

    def _try(self) -> None:
        """A prediction before anyone asks: what cannot answer its own example is not let in."""
        example = [[_example(f.raw, f.coerce, f.nullable) for f in self.signature.fields]]
        answer = self.run(np.array(example, dtype=np.float32))
        classes = len(self.signature.classes)
        if answer.probabilities is not None and len(answer.probabilities[0]) != classes:
            raise BrokenBundle(f"version {self.version}: the model tells other classes apart than its signature names")

    def predict(self, rows: Sequence[Any]) -> Answer:
        """Answer rows of JSON objects.

        Raises:
            Problem: 422, the first row and field that the signature refuses.
        """
        return self.run(self.signature.encode(rows))

    def run(self, features: Any) -> Answer:
        """Answer a float32 matrix (rows, inputs), encoded as the signature says."""
        results = self._session.run(self._outputs, {self._input: features})
        if self.signature.task == "regression":
            values = np.asarray(results[0], dtype=np.float64).reshape(len(features))
            self._finite(values)
            return Answer(values.tolist(), None)
        labels, probabilities = results[0], results[1]
        self._finite(probabilities)
        classes = self.signature.classes
        return Answer(
            [classes[i] for i in labels.tolist()],
            # float32 holds about seven digits: what lies beyond is noise
            [[round(p, 6) for p in row] for row in probabilities.tolist()],
        )

    def _finite(self, values: Any) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            row = int(np.argwhere(~finite)[0][0])
            raise Problem(422, f"Row {row}: the model has no finite answer for these values.", row=row)


def _example(raw: dict[str, Any], coerce: Any, nullable: bool) -> float:
    if raw.get("example") is not None:
        return float(coerce(raw["example"]))
    if nullable:
        return float("nan")
    return 0.0 if raw["type"] in ("boolean", "category") or not raw.get("seen") else float(coerce(raw["seen"][0]))


def _optional(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing from a file of the bundle"
    return f"{text[0][:300] if text else type(error).__name__}"
