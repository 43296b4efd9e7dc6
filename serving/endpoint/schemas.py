"""JSON schemas of rows, answers and errors, from the signature: exactly the values that the server accepts."""

import re
from typing import Any

from serving.model import dates, fields, numbers
from serving.model.fields import Field
from serving.model.predictor import Predictor
from serving.model.texts import Texts
from serving.problems import Refused

JSON = "application/json"


def ref(name: str) -> dict[str, str]:
    """Return a reference to the schema ``name``."""
    return {"$ref": f"#/components/schemas/{name}"}


def errors(*statuses: int) -> dict[str, Any]:
    """Return the responses for error statuses."""
    return {str(status): {"$ref": "#/components/responses/Error"} for status in statuses}


def row(predictor: Predictor | None) -> dict[str, Any]:
    """Return the schema of a row; any object without a model."""
    if predictor is None:
        return {"type": "object"}
    inputs = predictor.signature.fields
    return {
        "type": "object",
        "properties": {f.name: _input(f) for f in inputs},
        "required": [f.name for f in inputs if not f.nullable],
        "additionalProperties": False,
    }


def example(predictor: Predictor) -> dict[str, Any] | None:
    """Return a row that the model accepts, from the signature's examples; None if a required one is missing."""
    inputs = predictor.signature.fields
    found = {f.name: f.raw["example"] for f in inputs if f.raw.get("example") is not None}
    return found if all(f.nullable or f.name in found for f in inputs) else None


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


def prediction(predictor: Predictor | None, name: str = "prediction") -> dict[str, Any]:
    """Return the schema of an answer, whose field ``name`` has the predictions."""
    items: dict[str, Any] = {}
    if predictor is not None:
        items = {"enum": predictor.signature.classes} if predictor.signature.classes else {"type": "number"}
    properties: dict[str, Any] = {name: {"type": "array", "minItems": 1, "items": items}}
    if predictor is not None and predictor.signature.classes:
        shares = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
        order = "per row, one probability per class, in the order of the signature's classes"
        properties["probabilities"] = {"type": "array", "items": shares, "description": order}
    if predictor is not None and predictor.features:
        names = {"type": "array", "items": {"type": "string"}}
        about = "per row, the inputs whose stored value is null; only if there are some"
        properties["missing"] = {"type": "array", "items": names, "description": about}
    properties["notes"] = {"type": "array", "items": {"type": "string"}, "description": "new categories in the rows"}
    return {"type": "object", "required": [name], "properties": properties, "additionalProperties": False}


def error() -> dict[str, Any]:
    """Return the schema of an error, the same for all routes."""
    text = {"type": ["string", "null"]}
    properties = {
        "message": {"type": "string"},
        "row": {"type": ["integer", "null"]},
        "field": text,
        "expected": text,
        "got": text,
    }
    inside = {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}
    return {"type": "object", "required": ["error"], "properties": {"error": inside}, "additionalProperties": False}


def error_response() -> dict[str, Any]:
    """Return the response ``Error``, to which ``errors`` refers."""
    return {"description": "The error and its position", "content": {JSON: {"schema": ref("Error")}}}
