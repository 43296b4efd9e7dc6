"""Check that the ONNX graph predicts what the scikit-learn model predicts; otherwise the bundle is refused."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.outputs import Agreed
from pantheon.workflow.training.candidates import FLOAT32
from pantheon.workflow.training.encoding import Floats

TIE = 1e-3  # labels may differ where the two most likely classes are this close
OFF = 1e-4  # difference above which a row is off: in probability, or in standard deviations of the predictions
SHARE = 1e-4  # share of rows that may be off


@dataclass(frozen=True)
class Agreement:
    """The result of a comparison."""

    rows: int
    labels_differ: int
    off: int
    greatest: float
    worst: int

    def as_dict(self) -> Agreed:
        return {
            "rows": self.rows,
            "labels_differ": self.labels_differ,
            "rows_off": self.off,
            "greatest_difference": self.greatest,
        }


def session(model: Any, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open a session on the CPU. ``model``: a ModelProto, or a path.

    Raises:
        PantheonError: ONNX Runtime cannot load the model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        cause = f"ONNX Runtime cannot load the model: {str(error).splitlines()[0][:300]}"
        raise PantheonError(cause, status=1) from error


def predict(model: onnxruntime.InferenceSession, X: Floats) -> NDArray[np.float64]:
    """Return probabilities (rows, classes) or numbers (rows,) of a ``session``; computed in chunks to bound memory."""
    name = model.get_outputs()[-1].name
    pieces = [
        model.run([name], {"features": X[start : start + 50_000]})[0] for start in range(0, max(1, len(X)), 50_000)
    ]
    answer = np.concatenate(pieces).astype(np.float64)
    return answer[:, 0] if name == "variable" else answer


def agreement(model: Any, X: Floats, expected: NDArray[np.float64], rounding: float = FLOAT32) -> Agreement:
    """Predict ``X`` with the ONNX graph and compare with scikit-learn's predictions.

    Args:
        rounding: of numbers, relative to their size: no difference; see ``Fitted.rounding``.
    """
    answer = predict(session(model), X)
    if expected.ndim == 1:  # in standard deviations, without the rounding error of float32 at that magnitude
        spread = max(float(np.std(expected)), 1e-12)
        difference = np.maximum(np.abs(answer - expected) - rounding * np.abs(expected), 0.0) / spread
        differ = 0
    else:
        difference = np.abs(answer - expected).max(axis=1)
        top = np.sort(expected, axis=1)
        clear = top[:, -1] - top[:, -2] > TIE
        differ = int(np.sum(clear & (answer.argmax(axis=1) != expected.argmax(axis=1))))
    difference = np.where(np.isfinite(difference), difference, np.inf)
    worst = int(difference.argmax()) if len(difference) else 0
    greatest = float(difference[worst]) if len(difference) else 0.0
    return Agreement(len(X), differ, int(np.sum(difference > OFF)), greatest, worst)


def enforce(result: Agreement) -> None:
    """Check the result of a comparison.

    Raises:
        PantheonError: a label differs outside a tie, or more than 0.01 % of rows are off.
    """
    if result.labels_differ:
        raise PantheonError(
            f"the ONNX model predicts another class than scikit-learn in {result.labels_differ} of {result.rows} rows.",
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


_CURE = "Nothing was published. Try another candidate, and report the shape of the data to the project."
