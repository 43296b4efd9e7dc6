"""The API as OpenAPI 3.1, generated from the signature: it allows exactly the values that the server accepts."""

import re
from typing import Any

from pantheon import __version__
from serving.model import dates, fields, numbers
from serving.model.fields import Field
from serving.model.predictor import Predictor
from serving.model.texts import Texts
from serving.problems import Refused

DIALECT = "https://spec.openapis.org/oas/3.1/dialect/base"
JSON = "application/json"


def document(predictor: Predictor | None, max_rows: int) -> dict[str, Any]:
    """Return the complete document for the model that is serving."""
    classes = predictor is not None and predictor.signature.task == "classification"
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": f"Pantheon: {predictor.model}" if predictor else "Pantheon",
            "version": __version__,
            "description": "Request predictions from the deployed model. Any value may also be sent as text, as it is "
            "in the file that the model was trained on. A text that cannot be read, or is outside the input's range, "
            "is rejected with 422, like a number.",
        },
        "paths": {
            "/predict": {"post": _predict(predictor, max_rows, classes)},
            "/signature": {
                "get": _get(
                    "The model's inputs and output", {"$ref": "#/components/schemas/Signature"}, needs_model=True
                )
            },
            "/questions": {"get": _questions()},
            "/healthz": {
                "get": _get("Whether a model is serving, and which one", {"$ref": "#/components/schemas/Health"})
            },
            "/openapi.json": {"get": _get("This document", {"type": "object"})},
        },
        "components": {
            "schemas": {
                "Row": _row(predictor),
                "Prediction": _prediction(predictor),
                "Error": _error(),
                "Health": _health(),
                "Questions": _answers(),
                "Signature": {
                    "type": "object",
                    "required": ["format", "name", "task", "inputs", "output", "onnx"],
                    "properties": {"inputs": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
                },
            },
            "headers": {
                "Version": {"description": "The version that made the prediction", "schema": {"type": "string"}}
            },
            "responses": {
                "Error": {"description": "The error and its position", "content": {JSON: {"schema": _ref("Error")}}}
            },
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    version = {"X-Model-Version": {"$ref": "#/components/headers/Version"}}
    return {"description": "The answer", "headers": version, "content": {JSON: {"schema": schema}}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": "#/components/responses/Error"} for status in statuses}


def _get(summary: str, schema: dict[str, Any], needs_model: bool = False) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": _ok(schema), **_errors(403, 405, *((503,) if needs_model else ()))},
    }


def _predict(predictor: Predictor | None, max_rows: int, classes: bool) -> dict[str, Any]:
    payload = {"type": "array", "minItems": 1, "maxItems": max_rows, "items": _ref("Row")}
    schema = {
        "type": "object",
        "required": ["payload"],
        "properties": {"payload": payload},
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"schema": schema}
    if predictor is not None:
        inputs = predictor.signature.fields
        example = {f.name: f.raw["example"] for f in inputs if f.raw.get("example") is not None}
        if all(f.nullable or f.name in example for f in inputs):
            content["example"] = {"payload": [example]}
    operation: dict[str, Any] = {
        "summary": "Predict a batch of rows, each an object of the signature's inputs",
        "requestBody": {"required": True, "content": {JSON: content}},
        "responses": {"200": _ok(_ref("Prediction")), **_errors(400, 403, 405, 408, 413, 415, 422, 503)},
    }
    if classes:
        choice = {"type": "string", "enum": ["0", "1", "false", "true"], "default": "0"}
        operation["parameters"] = [{"name": "probabilities", "in": "query", "required": False, "schema": choice}]
    return operation


def _questions() -> dict[str, Any]:
    """The route of the questions about the architecture."""
    description = "the T of “Which version served at time T?”; UTC if it has no offset"
    at = {"name": "at", "in": "query", "required": False, "description": description}
    operation = _get("Questions about the architecture, with this deployment's answers", _ref("Questions"))
    operation["parameters"] = [at | {"schema": {"type": "string", "format": "date-time"}}]
    operation["responses"] |= _errors(400, 401)  # only for the page after a login, and for commands
    return operation


def _answers() -> dict[str, Any]:
    text = {"type": "string"}
    properties = {
        "id": text,
        "question": text,
        "state": {"enum": ["answered", "unanswered", "cannot"]},
        "answer": text,
        "source": {"type": "string", "description": "the source of the answer"},
        "facts": {"type": "object", "description": "the answer as machine-readable values"},
        "first": {"type": "object", "description": "the first tier that can answer the question, and what it adds"},
    }
    question = {"type": "object", "required": list(properties), "properties": properties}
    named = {"type": ["string", "null"]}
    fields = {
        "at": {"type": "string"},
        "tier": named,
        "model": named,
        "questions": {"type": "array", "items": question},
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def _row(predictor: Predictor | None) -> dict[str, Any]:
    if predictor is None:
        return {"type": "object"}
    inputs = predictor.signature.fields
    return {
        "type": "object",
        "properties": {f.name: _input(f) for f in inputs},
        "required": [f.name for f in inputs if not f.nullable],
        "additionalProperties": False,
    }


def _input(field: Field) -> dict[str, Any]:
    """Return the JSON Schema of an input: it allows exactly the JSON values that the server accepts.

    Of texts that are read as the cells of the training data, it allows all, and describes those that are accepted.
    """
    choices = _values(field) + (_texts(field, field.texts) if field.texts else _plain_texts(field))
    if field.nullable:
        choices.append({"type": "null"})
    schema: dict[str, Any] = choices[0] if len(choices) == 1 else {"anyOf": choices}
    if field.raw.get("description"):
        schema = schema | {"description": field.raw["description"]}
    return schema


def _values(field: Field) -> list[dict[str, Any]]:
    """Return the schemas of JSON values, except texts, and of listed categories."""
    raw = field.raw
    if field.type in ("number", "integer"):
        low, high = fields.bounds(field.type == "integer", (field.low, field.high), field.texts)
        codes = sorted(field.texts.codes) if field.texts and field.nullable else []
        return [{"type": field.type, "minimum": low, "maximum": high}, *([{"enum": codes}] if codes else [])]
    if field.type == "boolean":
        digits = [d for d in (0, 1) if not field.texts or str(d) in field.texts.words]
        return [{"type": "boolean"}, *([{"enum": digits}] if digits else [])]
    if field.type == "date":
        return []
    most = 10**dates.TEXT_MAX - 1
    if fields.takes_others(raw):
        limits = {"minimum": -most, "maximum": most}
        if field.texts:
            return [{"type": "number", **limits}, {"type": "boolean"}]
        return [{"type": "string"}, {"type": "integer", **limits}]
    names = [str(c) for c in raw["categories"]]
    others: list[Any] = [int(n) for n in names if str_of_int(n)]
    if field.texts:
        others += [value for value in (*_fractions(names), True, False) if _is_accepted(field, value)]
    return [{"enum": names + others}]


def _fractions(names: list[str]) -> list[float]:
    """Return the numbers with a fraction that are written like one of ``names``."""
    numbers_ = [float(n) for n in names if re.fullmatch(numbers.NUMBER, n, re.ASCII) and len(n) <= dates.TEXT_MAX]
    return [number for number in numbers_ if not number.is_integer()]


def _is_accepted(field: Field, value: Any) -> bool:
    try:
        field.coerce(value)
    except Refused:
        return False
    return True


def _plain_texts(field: Field) -> list[dict[str, Any]]:
    """Return the schemas of texts, for a signature that does not describe them."""
    if field.type in ("number", "integer"):
        pattern = fields.INTEGER if field.type == "integer" else numbers.NUMBER
        text = {"type": "string", "pattern": f"^{pattern}$", "maxLength": dates.TEXT_MAX}
        return [text | {"description": "the same number as text"}]
    if field.type == "boolean":
        alternatives = "|".join(
            "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in text) for text in fields.TRUE + fields.FALSE
        )
        return [{"type": "string", "pattern": f"^({alternatives})$"}]
    if field.type == "date":
        time = "date and time, UTC if it has no offset"
        return [
            {"type": "string", "format": "date", "pattern": f"^{dates.DAY}$"},
            {"type": "string", "pattern": f"^{dates.MOMENT}$", "description": time},
        ]
    return []


def _texts(field: Field, texts: Texts) -> list[dict[str, Any]]:
    """Return the schema of texts that are read as the cells of the training data were."""
    said = f"{field.expected}; blanks around it and its case do not matter"
    if field.nullable:
        words = ", ".join(f'"{word}"' for word in sorted(texts.missing)[:12])
        said += f"; missing: {words}"
    return [{"type": "string", "description": said}]


def str_of_int(text: str) -> bool:
    """Return whether ``text`` is the usual form of an integer, so that the integer itself can be sent."""
    return text.lstrip("-").isdecimal() and len(text) < dates.TEXT_MAX and str(int(text)) == text


def _prediction(predictor: Predictor | None) -> dict[str, Any]:
    items: dict[str, Any] = {}
    if predictor is not None:
        items = {"enum": predictor.signature.classes} if predictor.signature.classes else {"type": "number"}
    properties: dict[str, Any] = {"prediction": {"type": "array", "minItems": 1, "items": items}}
    if predictor is not None and predictor.signature.classes:
        row = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
        order = "per row, one probability per class, in the order of the signature's classes"
        properties["probabilities"] = {"type": "array", "items": row, "description": order}
    properties["notes"] = {"type": "array", "items": {"type": "string"}, "description": "new categories in the rows"}
    return {"type": "object", "required": ["prediction"], "properties": properties, "additionalProperties": False}


def _error() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    properties = {
        "message": {"type": "string"},
        "row": {"type": ["integer", "null"]},
        "field": text,
        "expected": text,
        "got": text,
    }
    error = {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}
    return {"type": "object", "required": ["error"], "properties": {"error": error}, "additionalProperties": False}


def _health() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    refused = {"type": ["object", "null"], "description": "a newer version that cannot be served, and the reason"}
    properties = {
        "status": {"const": "ok"},
        "ready": {"type": "boolean"},
        "model": text,
        "version": text,
        "since": text | {"description": "when this version became the champion"},
    }
    return {"type": "object", "required": [*properties, "refused"], "properties": {**properties, "refused": refused}}
