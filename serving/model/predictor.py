"""A loaded model bundle: ``model.onnx`` and its signature. Pickles are never loaded."""

import json
import math
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

from pantheon.features.contract import ModelFeatures
from serving.model.deadline import Stopped
from serving.model.signature import Signature
from serving.problems import Problem

ORIGIN = "_features"  # where the log has the origin of a row's inputs: no input may have this name
SECONDS = 5.0  # for a prediction, including the time that it waits for its turn
OUTPUTS = 1_000_000  # probabilities that are computed at a time
MIN_DIVIDED_ROWS = 256  # smallest batch that is divided among the cores
CORES = min(4, len(os.sched_getaffinity(0)))
_helpers = threading.BoundedSemaphore(CORES)  # taken without waiting: a batch that never ends holds up no other


@cache
def _cores() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CORES, "part")


class BrokenBundle(Exception):
    """The bundle cannot be served; the message is the reason."""


class TooSlow(Problem):
    """The model had no answer at the deadline, and was stopped."""

    def __init__(self, version: str) -> None:
        why = f"The model (version {version}) had no prediction after {SECONDS:g} s and was stopped."
        super().__init__(503, why, expected=f"a prediction within {SECONDS:g} s")


class Answer(msgspec.Struct, frozen=True):
    """Predictions for some rows.

    Attributes:
        prediction: one class (JSON value) or number per row.
        probabilities: for a classification, if requested: per row, one probability per class of the signature, in
            the same order.
    """

    prediction: list[Any]
    probabilities: list[list[float]] | None


class Predictor:
    """One version of a model, ready to predict. Thread-safe.

    Args:
        folder: the bundle (the store has verified its checksums).
        model: the model's name.
        version: the version in the store.
        since: when it became the champion, ISO 8601; empty for a model that is only checked.

    Attributes:
        features: how its inputs are read from the feature store; None: it was trained without one.

    Raises:
        BrokenBundle: a file is missing or malformed, model and signature do not match, or the model has no prediction
            for its example in time.
    """

    def __init__(self, folder: Path, model: str, version: str, since: str = "") -> None:
        self.folder, self.model, self.version, self.since = folder, model, version, since
        try:
            self.signature = Signature(json.loads((folder / "signature.json").read_text(encoding="utf-8")))
            self.metrics: dict[str, Any] = _optional(folder / "metrics.json")
            self.lineage: dict[str, Any] = _optional(folder / "lineage.json")
            self.features = self._features(folder / "features.json")
            card = folder / "card.md"
            self.card = card.read_text(encoding="utf-8") if card.exists() else ""
            self._open(folder / "model.onnx")
            self._try()
        except BrokenBundle:
            raise
        except Exception as error:  # onnxruntime's own errors share no base class
            raise BrokenBundle(f"version {version} of {model}: {_first_line(error)}") from error

    def _features(self, path: Path) -> ModelFeatures | None:
        if not path.exists():
            return None
        found = msgspec.json.decode(path.read_bytes(), type=ModelFeatures)
        if others := found.inputs.keys() - self.signature.names:
            raise ValueError(f"features.json has {min(others)!r}, which is not an input of the model")
        if ORIGIN in self.signature.names:
            raise ValueError(f"a model with features cannot have an input {ORIGIN!r}")
        return found

    def _open(self, path: Path) -> None:
        options = ort.SessionOptions()
        # One thread: a row takes microseconds, less than waking a thread pool; requests run in parallel anyway.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = False  # the arena never frees the memory of the largest batch
        options.enable_mem_pattern = False  # plans for a fixed batch size; here it varies
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
        """Predict the signature's example: a model that cannot do this is not served."""
        example = [[_example(f.raw, f.coerce, f.nullable) for f in self.signature.fields]]
        self.run(np.array(example, dtype=np.float32))

    def predict(self, rows: Sequence[Any], probabilities: bool = True, deadline: float | None = None) -> Answer:
        """Predict rows of JSON objects, with the probabilities of classes if requested.

        Args:
            deadline: on the clock of ``time.monotonic``; None: in ``SECONDS``.

        Raises:
            Problem: 422, the first row and field that the signature does not allow, or values for which the model
                fails.
            TooSlow: the model had no answer at the deadline.
        """
        return self.run(self.signature.encode(rows), probabilities, deadline)

    def run(self, features: Any, probabilities: bool = True, deadline: float | None = None) -> Answer:
        """Predict a float32 matrix (rows, inputs), encoded according to the signature. Raises as ``predict``."""
        end = monotonic() + SECONDS if deadline is None else deadline
        step = max(1, OUTPUTS // max(1, len(self.signature.classes)))
        if len(features) <= step:
            return self._run(features, probabilities, end, 0)
        answers = [self._run(features[i : i + step], probabilities, end, i) for i in range(0, len(features), step)]
        shares = [row for answer in answers for row in answer.probabilities or []]
        return Answer([each for answer in answers for each in answer.prediction], shares or None)

    def scores(self, features: Any, deadline: float) -> Any:
        """Return the numbers behind the predictions, not rounded.

        Args:
            features: float32 (rows, inputs), encoded.
            deadline: on the clock of ``time.monotonic``.

        Returns:
            float64 (rows, classes), the probabilities; of a regression (rows, 1), the predictions.

        Raises:
            Problem: 422, the model fails for these values, or its outputs do not fit its signature.
            TooSlow: the model had no answer at the deadline.
        """
        results = self.results(features, deadline)
        regression = self.signature.task == "regression"
        columns = 1 if regression else len(self.signature.classes)
        try:
            return np.asarray(results[0 if regression else 1], dtype=np.float64).reshape(len(features), columns)
        except (TypeError, ValueError, IndexError) as error:
            raise Problem(422, f"The model's outputs do not fit its signature: {_first_line(error)}") from None

    def _run(self, features: Any, probabilities: bool, deadline: float, first: int) -> Answer:
        """Predict a part of the rows; ``first`` is the index of its first row."""
        results = self.results(features, deadline)
        try:
            return self._answer(results, len(features), probabilities, first)
        except (TypeError, ValueError, IndexError, AttributeError) as error:  # its outputs are not what they should be
            raise Problem(422, f"The model's outputs do not fit its signature: {_first_line(error)}") from None

    def _answer(self, results: list[Any], rows: int, probabilities: bool, first: int) -> Answer:
        if self.signature.task == "regression":
            values = np.asarray(results[0], dtype=np.float64).reshape(rows)
            self._finite(values, first)
            return Answer(values.tolist(), None)
        labels, shares = results[0].reshape(rows), results[1]
        classes = self.signature.classes
        if shares.shape != (rows, len(classes)):
            raise ValueError(f"probabilities of shape {shares.shape} for {rows} rows and {len(classes)} classes")
        self._finite(shares, first)
        return Answer([classes[i] for i in labels.tolist()], rounded(shares) if probabilities else None)

    def results(self, features: Any, deadline: float) -> list[Any]:
        """Return the model's outputs, as the signature names them, for a float32 matrix (rows, inputs).

        Raises:
            Problem: 422, the model fails for these values.
            TooSlow: it had no answer at the deadline.
        """
        with Stopped(deadline) as options:
            try:
                if len(features) < MIN_DIVIDED_ROWS:
                    return self._part(features, options)
                return self._divided(features, options)
            except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no base class
                if options.terminate:
                    raise TooSlow(self.version) from None
                raise Problem(422, f"The model fails for these values: {_first_line(error)}") from None

    def _divided(self, features: Any, options: ort.RunOptions) -> list[Any]:
        """Divide a large batch among the cores that are free, because the session uses one thread."""
        helpers = 0
        while helpers < CORES - 1 and _helpers.acquire(blocking=False):
            helpers += 1
        parts = np.array_split(features, helpers + 1)
        others = [_cores().submit(self._help, part, options) for part in parts[1:]]
        done = [self._part(parts[0], options), *(future.result() for future in others)]
        return [np.concatenate(outputs) for outputs in zip(*done, strict=True)]

    def _help(self, features: Any, options: ort.RunOptions) -> list[Any]:
        try:
            return self._part(features, options)
        finally:
            _helpers.release()

    def _part(self, features: Any, options: ort.RunOptions) -> list[Any]:
        outputs: list[Any] = self._session.run(self._outputs, {self._input: features}, options)
        return outputs

    def _finite(self, values: Any, first: int) -> None:
        if len(values) == 1:  # several times faster than numpy
            flat = values.ravel().tolist()
            if all(map(math.isfinite, flat)):
                return
        finite = np.isfinite(values)
        if not finite.all():
            row = first + int(np.argwhere(~finite)[0][0])
            raise Problem(422, f"Row {row}: the model has no finite answer for these values.", row=row)


def rounded(shares: Any) -> list[list[float]]:
    """Return float32 probabilities with 6 decimals: more than seven significant digits would be noise."""
    if len(shares) == 1:  # the same numbers, several times faster than numpy
        return [[round(share * 1e6) / 1e6 for share in shares[0].tolist()]]
    found: list[list[float]] = np.round(shares.astype(np.float64), 6).tolist()
    return found


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
