"""Does the ONNX graph answer as the scikit-learn model does? A bundle is accepted only if so."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.matrix import Floats

TIE = 1e-3  # labels may differ where the two likeliest classes are this close
OFF = 1e-4  # a row is off from here: in probability, or in units of the answers' spread
SHARE = 1e-4  # of rows that may be off
FLOAT32 = 4e-6  # relative: 32 roundings of float32, in which ONNX adds up a hundred trees


@dataclass(frozen=True)
class Agreement:
    """What was compared, and what differed."""

    rows: int
    labels_differ: int
    off: int
    greatest: float
    worst: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "labels_differ": self.labels_differ,
            "rows_off": self.off,
            "greatest_difference": self.greatest,
        }


def session(model: Any, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the CPU. ``model``: a ModelProto, or a path.

    Raises:
        PantheonError: ONNX Runtime does not take the model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors have no common class
        raise PantheonError(f"ONNX Runtime refuses the model: {str(error).splitlines()[0][:300]}", status=1) from error


def ask(model: onnxruntime.InferenceSession, X: Floats) -> NDArray[np.float64]:
    """Probabilities (rows, classes) or numbers (rows,) of a session made by ``session``; in pieces, to bound memory."""
    name = model.get_outputs()[-1].name
    pieces = [
        model.run([name], {"features": X[start : start + 50_000]})[0] for start in range(0, max(1, len(X)), 50_000)
    ]
    found = np.concatenate(pieces).astype(np.float64)
    return found[:, 0] if name == "variable" else found


def agreement(model: Any, X: Floats, expected: NDArray[np.float64]) -> Agreement:
    """Ask the ONNX graph about ``X`` and compare with what scikit-learn answered."""
    found = ask(session(model), X)
    if expected.ndim == 1:  # in units of the answers' spread, beyond what float32 can tell apart at that size
        spread = max(float(np.std(expected)), 1e-12)
        difference = np.maximum(np.abs(found - expected) - FLOAT32 * np.abs(expected), 0.0) / spread
        differ = 0
    else:
        difference = np.abs(found - expected).max(axis=1)
        top = np.sort(expected, axis=1)
        clear = top[:, -1] - top[:, -2] > TIE
        differ = int(np.sum(clear & (found.argmax(axis=1) != expected.argmax(axis=1))))
    difference = np.where(np.isfinite(difference), difference, np.inf)
    worst = int(difference.argmax()) if len(difference) else 0
    greatest = float(difference[worst]) if len(difference) else 0.0
    return Agreement(len(X), differ, int(np.sum(difference > OFF)), greatest, worst)


def enforce(result: Agreement) -> None:
    """Accept, or say what differs.

    Raises:
        PantheonError: a label differs outside a tie, or more than 0.01 % of rows are off.
    """
    if result.labels_differ:
        raise PantheonError(
            f"the ONNX model gives another class than scikit-learn in {result.labels_differ} of {result.rows} rows.",
            _CURE,
            1,
        )
    if result.off > SHARE * result.rows:
        raise PantheonError(
            f"the ONNX model is off by more than {OFF} in {result.off} of {result.rows} rows "
            f"(by {result.greatest:.3g} in row {result.worst}).",
            _CURE,
            1,
        )


_CURE = "Nothing was published; try another candidate, and report the data's shape to the project."
