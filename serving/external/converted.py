"""What a conversion results in: an ONNX model as its converter writes it, and how the original answered."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Converted:
    """A converted model.

    Attributes:
        format: the library's name, such as ``XGBoost``.
        model: the ONNX model; ``adapt`` gives it the served form.
        signature: for ``adapt``.
        X: rows in the encoding of the served form, float32, shape (rows, inputs).
        expected: what the original answers: probabilities (rows, classes) or numbers (rows,), float64.
        packages: names of the packages that took part.
    """

    format: str
    model: bytes
    signature: dict[str, Any]
    X: NDArray[Any]
    expected: NDArray[Any]
    packages: list[str]
