"""The endpoint's API as OpenAPI 3.1, with the schemas of each model's own signature."""

from collections.abc import Iterable
from typing import Any

from pantheon import __version__
from serving.endpoint import schemas
from serving.endpoint.openapi import DIALECT
from serving.endpoint.rows import shape
from serving.endpoint.schemas import JSON, errors, ref
from serving.features import push
from serving.inference import context, v2
from serving.inference.forms import ENTITIES
from serving.model.predictor import Predictor

_PREDICTED = (400, 401, 403, 408, 413, 415, 422, 429, 503)
_ASKED = (401, 403, 404, 429, 503)


def document(predictors: Iterable[Predictor], default: str, pushes: bool = False) -> dict[str, Any]:
    """Return the document for the models of ``predictors``.

    Args:
        default: the model that ``/predict`` asks; empty: the request must name one.
        pushes: whether there is a feature store to push to.
    """
    found = {predictor.model: predictor for predictor in predictors}
    paths, parts = _common(), _parts()
    if pushes:
        paths["/push"] = {"post": _push()}
    for name, predictor in sorted(found.items()):
        paths |= _paths(name, predictor)
        parts |= {f"Row-{name}": _row(predictor), f"Tensors-{name}": _tensors(predictor)}
        if entity_of(predictor):
            parts[f"Entity-{name}"] = _entity(predictor)
        parts |= {f"Answer-{name}": schemas.prediction(predictor, "predictions")}
    if default in found:
        parts["Answer"] = schemas.prediction(found[default])
        paths["/predict"] = {"post": _rows("The article's form", found[default], "payload", ref("Answer"))}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "Pantheon: the endpoint",
            "version": __version__,
            "description": "Predictions of every deployed model. Every answer has the header x-request-id, under "
            "which the prediction log has it, and which feedback names.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}},
            "schemas": parts,
            "responses": {"Error": schemas.error_response()},
        },
    }


def _paths(name: str, predictor: Predictor) -> dict[str, Any]:
    answer = ref(f"Answer-{name}")
    tensors = {"type": "object", "required": ["inputs"], "properties": {"inputs": ref(f"Tensors-{name}")}}
    return {
        f"/v1/models/{name}": {"get": _get(f"Whether {name} is ready")},
        f"/v1/models/{name}:predict": {"post": _rows("Predict rows (protocol V1)", predictor, "instances", answer)},
        f"/v2/models/{name}": {"get": _get(f"The tensors of {name} (protocol V2)")},
        f"/v2/models/{name}/ready": {"get": _get(f"Whether {name} is ready (protocol V2)")},
        f"/v2/models/{name}/infer": {
            "post": _post("Predict tensors (protocol V2)", tensors, ref("Tensors")),
        },
    }


def _row(predictor: Predictor) -> dict[str, Any]:
    """Return the schema of a row, with what may be sent along."""
    schema = schemas.row(predictor)
    names = predictor.signature.names
    along = context.SCHEMA | {"propertyNames": {**context.SCHEMA["propertyNames"], "not": {"enum": sorted(names)}}}
    return schema | {"properties": {context.CONTEXT: along} | schema["properties"]}


def entity_of(predictor: Predictor) -> str:
    """Return the column whose values rows may name to have features looked up; empty: none."""
    return predictor.features.entity if predictor.features else ""


def _entity(predictor: Predictor) -> dict[str, Any]:
    """Return the schema of a row that names an entity: what the feature store has need not be in it."""
    schema, entity = _row(predictor), entity_of(predictor)
    known = predictor.features.inputs if predictor.features else {}
    id = {"type": ["string", "number"], "description": 'whose features are looked up; 7, 7.0 and "7" are the same'}
    needed = [name for name in schema["required"] if name not in known]
    properties = {entity: id} | schema["properties"]
    return schema | {"properties": properties, "required": list(dict.fromkeys([entity, *needed]))}


def _body(field: str, predictor: Predictor) -> dict[str, Any]:
    """Return the schema of ``{field: [row, …]}``; of a model with features, ``{"entities": [row, …]}``, too."""
    row, entity = ref(f"Row-{predictor.model}"), ref(f"Entity-{predictor.model}")
    if not entity_of(predictor):
        return _list(field, row, predictor)
    rows = {"anyOf": [row, entity]} if field == "instances" else row
    return {"oneOf": [_list(field, rows, predictor), _list(ENTITIES, entity, predictor)]}


def _list(field: str, item: dict[str, Any], predictor: Predictor) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": shape(predictor)[1], "items": item}
    return {"type": "object", "required": [field], "properties": {field: rows}, "additionalProperties": False}


def _rows(summary: str, predictor: Predictor, field: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the operation whose body is rows."""
    schema = _body(field, predictor)
    operation = _post(summary, schema, answer)
    if (example := schemas.example(predictor)) is not None:
        operation["requestBody"]["content"][JSON]["example"] = {field: [example]}
    if predictor.signature.classes:
        choice = {"type": "string", "enum": ["0", "1", "false", "true"], "default": "0"}
        operation["parameters"] = [{"name": "probabilities", "in": "query", "required": False, "schema": choice}]
    return operation


def _post(summary: str, schema: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
        "responses": {"200": _ok(answer), **errors(*_PREDICTED)},
    }


def _push() -> dict[str, Any]:
    row = {"type": "object", "description": "the entity, values by column, and possibly event_timestamp (ISO 8601)"}
    properties = {"view": {"type": "string"}, "rows": {"type": "array", "minItems": 1, "items": row}}
    schema = {"type": "object", "required": ["view", "rows"], "properties": properties, "additionalProperties": False}
    answer: dict[str, Any] = {name: {"type": "integer"} for name in ("written", "older")}
    views = {"type": "array", "items": {"type": "string"}}
    answer |= {"computed": views | {"description": "engineered views that have their values of these rows, too"}}
    answer |= {"stale": views | {"description": "engineered views that have not: they need other columns, too"}}
    operation = _post(
        "Bring values of features; needs a key for this", schema, {"type": "object", "properties": answer}
    )
    operation["responses"] |= errors(404, 409)
    operation["requestBody"]["description"] = push.EXPECTED
    return operation


def _get(summary: str, schema: dict[str, Any] | None = None, *, open_: bool = False) -> dict[str, Any]:
    operation = {"summary": summary, "responses": {"200": _ok(schema or {"type": "object"}), **errors(*_ASKED)}}
    return operation | ({"security": []} if open_ else {})


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    names = {
        "X-Request-Id": "the id of the answer in the prediction log, a UUID of version 7",
        "X-Model-Name": "the model that answered",
        "X-Model-Version": "its version",
    }
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in names.items()}
    return {"description": "The answer", "headers": headers, "content": {JSON: {"schema": schema}}}


def _common() -> dict[str, Any]:
    feedback = _post("Say whether a prediction was right", ref("Feedback"), {"type": "object"})
    return {
        "/feedback": {"post": feedback},
        "/signature": {"get": _get("A model's inputs and output; ?model=NAME")},
        "/v1/models": {"get": _get("The models that the key may ask")},
        "/v2": {"get": _get("The server (protocol V2)")},
        "/v2/health/live": {"get": _get("Whether the server runs (protocol V2)", open_=True)},
        "/v2/health/ready": {"get": _get("Whether every model can answer (protocol V2)", open_=True)},
        "/healthz": {"get": _get("The server and its models", open_=True)},
        "/openapi.json": {"get": _get("This document")},
    }


def _parts() -> dict[str, Any]:
    properties = {
        "id": {"type": "string", "description": "x-request-id of the answer"},
        "row": {"type": "integer", "minimum": 0, "default": 0, "description": "which row of the request"},
        "correct": {"type": ["boolean", "null"]},
        "value": {"description": "the true value, as the model predicts it"},
        "comment": {"type": "string", "maxLength": 2000},
    }
    feedback = {"type": "object", "required": ["id"], "properties": properties, "additionalProperties": False}
    outputs = {"type": "array", "items": {"type": "object", "required": ["name", "datatype", "shape", "data"]}}
    return {
        "Feedback": feedback,
        "Error": schemas.error(),
        "Tensors": {"type": "object", "required": ["outputs"], "properties": {"outputs": outputs}},
    }


def _tensors(predictor: Predictor) -> dict[str, Any]:
    """Return the schema of a V2 request's tensors, one per input."""
    names = [entry["name"] for entry in v2.model(predictor, [])["inputs"]]
    item = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string", "examples": names},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "data": {"type": "array"},
        },
    }
    return {"type": "array", "minItems": 1, "items": item}
