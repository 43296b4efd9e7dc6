"""The API as OpenAPI 3.1, generated from the signature: it allows exactly the values that the server accepts."""

from typing import Any

from pantheon import __version__
from serving.endpoint import schemas
from serving.endpoint.schemas import JSON, errors, ref
from serving.model.predictor import Predictor

DIALECT = "https://spec.openapis.org/oas/3.1/dialect/base"


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
                "Row": schemas.row(predictor),
                "Prediction": schemas.prediction(predictor),
                "Error": schemas.error(),
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
            "responses": {"Error": schemas.error_response()},
        },
    }


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    version = {"X-Model-Version": {"$ref": "#/components/headers/Version"}}
    return {"description": "The answer", "headers": version, "content": {JSON: {"schema": schema}}}


def _get(summary: str, schema: dict[str, Any], needs_model: bool = False) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": _ok(schema), **errors(403, 405, *((503,) if needs_model else ()))},
    }


def _predict(predictor: Predictor | None, max_rows: int, classes: bool) -> dict[str, Any]:
    payload = {"type": "array", "minItems": 1, "maxItems": max_rows, "items": ref("Row")}
    schema = {
        "type": "object",
        "required": ["payload"],
        "properties": {"payload": payload},
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"schema": schema}
    if predictor is not None and (example := schemas.example(predictor)) is not None:
        content["example"] = {"payload": [example]}
    operation: dict[str, Any] = {
        "summary": "Predict a batch of rows, each an object of the signature's inputs",
        "requestBody": {"required": True, "content": {JSON: content}},
        "responses": {"200": _ok(ref("Prediction")), **errors(400, 403, 405, 408, 413, 415, 422, 503)},
    }
    if classes:
        choice = {"type": "string", "enum": ["0", "1", "false", "true"], "default": "0"}
        operation["parameters"] = [{"name": "probabilities", "in": "query", "required": False, "schema": choice}]
    return operation


def _questions() -> dict[str, Any]:
    """The route of the questions about the architecture."""
    description = "the T of the questions about a time; UTC if it has no offset"
    at = {"name": "at", "in": "query", "required": False, "description": description}
    operation = _get("Questions about the architecture, with this deployment's answers", ref("Questions"))
    asked = "the x-request-id of “this request”, from epimetheus on; the newest request if it is not given"
    request = {"name": "request", "in": "query", "required": False, "description": asked}
    about = "“this entity”, such as robot-id=7, from hephaestus on; the one with the newest features if it is not given"
    entity = {"name": "entity", "in": "query", "required": False, "description": about}
    operation["parameters"] = [
        at | {"schema": {"type": "string", "format": "date-time"}},
        request | {"schema": {"type": "string"}},
        entity | {"schema": {"type": "string"}},
    ]
    operation["responses"] |= errors(400, 401)  # only for the page after a login, and for commands
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
