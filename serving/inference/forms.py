"""The two forms in which rows are JSON objects: ``/predict`` of the article, and version 1 of the protocol."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from serving.endpoint import body
from serving.endpoint.rows import payload, shape
from serving.inference import context
from serving.model.predictor import Answer, Predictor

ENTITIES = "entities"
_NAMES_ENTITIES = re.compile(rb'\s*\{\s*"entities"\s*:')


class Asked(msgspec.Struct, frozen=True):
    """The rows of a request, and what it wants to know.

    Attributes:
        rows: JSON objects, not checked against the signature yet, without what is sent along (``context``).
        raw: the rows for the log, a JSON array: exactly as they were sent, or with features; empty: encode them again.
        probabilities: whether the answer has them.
        id: of version 2 of the protocol: the client's own name of the request.
        outputs: of version 2: the tensors that it wants; empty: all.
        entities: whether rows may, or must, name an entity, whose features are looked up (``serving.features``).
        sent: the rows with what is sent along, if they may name entities.
        origins: of each row, where inputs came from; empty: all are the request's.
        missing: of each row, the inputs whose stored value is null; empty: none has any.
    """

    rows: list[Any]
    raw: bytes = b""
    probabilities: bool = False
    id: str = ""
    outputs: tuple[str, ...] = ()
    entities: Literal["", "may", "must"] = ""
    sent: list[Any] = []
    origins: list[Any] = []
    missing: list[list[str]] = []


@dataclass(frozen=True)
class Form:
    """One of the forms.

    Attributes:
        question, answer: the names of the fields with the rows and with the predictions.
        mixed: its rows may name entities, too; else only those in ``entities``.
    """

    question: str
    answer: str
    mixed: bool = False

    def read(self, data: bytes, predictor: Predictor, probabilities: bool = False) -> Asked:
        """Return what a body asks.

        Raises:
            Problem: 400, it is not JSON; 422, it is not in this form, or what is sent along is not;
                413, it has too many rows.
        """
        inputs, most = shape(predictor)
        must = _NAMES_ENTITIES.match(data) is not None
        name = ENTITIES if must else self.question
        width = inputs + 1 if must or predictor.features else inputs  # and the entity
        sent = payload(body.parse(data, most, width, name), most, name)
        # The body is one object with one field, which is this array: nothing before it has a bracket, or after it.
        raw = data[data.index(b"[") : data.rindex(b"]") + 1]
        rows = context.without(sent, predictor.signature.names)
        if must:
            return Asked(rows, raw, probabilities, entities="must", sent=sent)
        if self.mixed and predictor.features:
            return Asked(rows, raw, probabilities, entities="may", sent=sent)
        return Asked(rows, raw, probabilities)

    def write(self, asked: Asked, answer: Answer, predictor: Predictor) -> dict[str, Any]:
        """Return the answer's JSON value."""
        value: dict[str, Any] = {self.answer: answer.prediction}
        if asked.probabilities:
            value["probabilities"] = answer.probabilities
        if asked.missing:
            value["missing"] = asked.missing
        if notes := predictor.signature.notes(asked.rows):
            value["notes"] = notes
        return value


PREDICT = Form("payload", "prediction")
V1 = Form("instances", "predictions", mixed=True)
