"""The API described as OpenAPI 3.1, built from the signature: what it allows is what the server takes."""

from typing import Any

from pantheon import __version__
from serving import fields
from serving.fields import Field
from serving.predictor import Predictor

DIALECT = "https://spec.openapis.org/oas/3.1/dialect/base"
JSON = "application/json"


def document(predictor: Predictor | None, max_rows: int) -> dict[str, Any]:
    """The whole document, for the model that answers now."""
    classes = predictor is not None and predictor.signature.task == "classification"
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": f"Pantheon: {predictor.model}" if predictor else "Pantheon",
            "version": __version__,
            "description": "Ask the deployed model. Numbers, booleans and dates may be given as text too; "
            "a text outside the input's range answers 422, like a number outside it.",
        },
        "paths": {
            "/predict": {"post": _predict(predictor, max_rows, classes)},
            "/signature": {
                "get": _get(
                    "The model's inputs and output", {"$ref": "#/components/schemas/Signature"}, needs_model=True
                )
            },
            "/questions": {"get": _questions()},
            "/healthz": {"get": _get("Whether a model answers, and which", {"$ref": "#/components/schemas/Health"})},
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
            "headers": {"Version": {"description": "The version that answered", "schema": {"type": "string"}}},
            "responses": {
                "Error": {"description": "What is wrong, and where", "content": {JSON: {"schema": _ref("Error")}}}
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
    """What the architecture can answer."""
    told = "the T of “Which version served at time T?”; UTC where no offset is given"
    at = {"name": "at", "in": "query", "required": False, "description": told}
    operation = _get("The questions that an architecture is asked, and what this one knows", _ref("Questions"))
    operation["parameters"] = [at | {"schema": {"type": "string", "format": "date-time"}}]
    operation["responses"] |= _errors(400)
    return operation


def _answers() -> dict[str, Any]:
    text = {"type": "string"}
    properties = {
        "id": text,
        "question": text,
        "state": {"enum": ["answered", "unanswered", "cannot"]},
        "answer": text,
        "source": {"type": "string", "description": "where the answer was looked up"},
        "facts": {"type": "object", "description": "the answer for programs"},
        "first": {"type": "object", "description": "the first tier that can answer it, and what it adds"},
    }
    each = {"type": "object", "required": list(properties), "properties": properties}
    named = {"type": ["string", "null"]}
    whole = {"at": {"type": "string"}, "tier": named, "model": named, "questions": {"type": "array", "items": each}}
    return {"type": "object", "required": list(whole), "properties": whole}


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
    """The JSON Schema of an input: every JSON value the server takes, and no other."""
    raw = field.raw
    choices: list[dict[str, Any]]
    if field.type in ("number", "integer"):
        low = -fields.FLOAT32_MAX if raw.get("min") is None else raw["min"]
        high = fields.FLOAT32_MAX if raw.get("max") is None else raw["max"]
        pattern = fields.INTEGER if field.type == "integer" else fields.NUMBER
        choices = [
            {"type": field.type, "minimum": low, "maximum": high},
            {
                "type": "string",
                "pattern": f"^{pattern}$",
                "maxLength": fields.TEXT_MAX,
                "description": "the same number as text",
            },
        ]
    elif field.type == "boolean":
        words = "|".join(
            "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in fields.TRUE + fields.FALSE
        )
        choices = [{"type": "boolean"}, {"enum": [0, 1]}, {"type": "string", "pattern": f"^({words})$"}]
    elif field.type == "date":
        choices = [
            {"type": "string", "format": "date", "pattern": f"^{fields.DAY}$"},
            {
                "type": "string",
                "pattern": f"^{fields.MOMENT}$",
                "description": "date and time, UTC where no offset is given",
            },
        ]
    elif raw.get("unknown", "refuse") == "other":
        digits = 10**fields.TEXT_MAX - 1
        choices = [{"type": "string"}, {"type": "integer", "minimum": -digits, "maximum": digits}]
    else:
        names = [str(c) for c in raw["categories"]]
        choices = [{"enum": names + [int(n) for n in names if str_of_int(n)]}]
    if field.nullable:
        choices.append({"type": "null"})
    schema: dict[str, Any] = choices[0] if len(choices) == 1 else {"anyOf": choices}
    if raw.get("description"):
        schema = schema | {"description": raw["description"]}
    return schema


def str_of_int(text: str) -> bool:
    """Whether ``text`` is how an integer is written, so that the integer itself may be sent."""
    return text.lstrip("-").isdecimal() and len(text) < fields.TEXT_MAX and str(int(text)) == text


def _prediction(predictor: Predictor | None) -> dict[str, Any]:
    items: dict[str, Any] = {}
    if predictor is not None:
        items = {"enum": predictor.signature.classes} if predictor.signature.classes else {"type": "number"}
    properties: dict[str, Any] = {"prediction": {"type": "array", "minItems": 1, "items": items}}
    if predictor is not None and predictor.signature.classes:
        each = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
        order = "for each row a probability for each class, in the order of the signature's classes"
        properties["probabilities"] = {"type": "array", "items": each, "description": order}
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
    refused = {"type": ["object", "null"], "description": "a newer version that cannot be served, and why"}
    properties = {
        "status": {"const": "ok"},
        "ready": {"type": "boolean"},
        "model": text,
        "version": text,
        "since": text,
    }
    return {"type": "object", "required": [*properties, "refused"], "properties": {**properties, "refused": refused}}
