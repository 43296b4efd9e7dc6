"""The two forms in which rows are JSON objects: ``/predict`` of the article, and version 1 of the protocol."""

from dataclasses import dataclass
from typing import Any

import msgspec

from serving.endpoint import body
from serving.endpoint.rows import payload, shape
from serving.inference import context
from serving.model.predictor import Answer, Predictor


class Asked(msgspec.Struct, frozen=True):
    """The rows of a request, and what it wants to know.

    Attributes:
        rows: JSON objects, not checked against the signature yet, without what is sent along (``context``).
        raw: the rows as a JSON array, exactly as they were sent; empty: encode them again.
        probabilities: whether the answer has them.
        id: of version 2 of the protocol: the client's own name of the request.
        outputs: of version 2: the tensors that it wants; empty: all.
    """

    rows: list[Any]
    raw: bytes = b""
    probabilities: bool = False
    id: str = ""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """One of the forms.

    Attributes:
        question, answer: the names of the fields with the rows and with the predictions.
    """

    question: str
    answer: str

    def read(self, data: bytes, predictor: Predictor, probabilities: bool = False) -> Asked:
        """Return what a body asks.

        Raises:
            Problem: 400, it is not JSON; 422, it is not in this form, or what is sent along is not;
                413, it has too many rows.
        """
        inputs, most = shape(predictor)
        rows = payload(body.parse(data, most, inputs, self.question), most, self.question)
        # The body is one object with one field, which is this array: nothing before it has a bracket, or after it.
        raw = data[data.index(b"[") : data.rindex(b"]") + 1]
        return Asked(context.without(rows, predictor.signature.names), raw, probabilities)

    def write(self, asked: Asked, answer: Answer, predictor: Predictor) -> dict[str, Any]:
        """Return the answer's JSON value."""
        value: dict[str, Any] = {self.answer: answer.prediction}
        if asked.probabilities:
            value["probabilities"] = answer.probabilities
        if notes := predictor.signature.notes(asked.rows):
            value["notes"] = notes
        return value


PREDICT = Form("payload", "prediction")
V1 = Form("instances", "predictions")
