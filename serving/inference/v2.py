"""Version 2 of the protocol (Open Inference Protocol, REST): rows from tensors, tensors from answers, and metadata.

A request has one tensor per column, of shape [rows] or [rows, 1]; or a single one of shape [rows, columns] with the
columns in the signature's order. Tensors whose names begin with ``context.`` are sent along (see ``context``).
"""

from typing import Any

import msgspec

from pantheon import __version__
from pantheon.web.messages import Response
from serving.endpoint import body
from serving.endpoint.rows import shape
from serving.inference import context, tensors
from serving.inference.forms import Asked
from serving.inference.tensors import BOOL, BYTES, Tensor
from serving.model.predictor import Answer, Predictor
from serving.model.signature import Signature
from serving.problems import Problem, shown

LENGTH = "inference-header-content-length"  # the header with the size of the JSON before binary data
PROBABILITIES = "probabilities"
PLATFORM = "onnxruntime_onnx"  # as Triton names it
_ALONG = f"{context.CONTEXT}."
_KINDS = {"number": "FP64", "integer": "INT64", "boolean": BOOL}


class Output(msgspec.Struct):
    """A tensor that a request wants."""

    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Tensor]
    id: str = ""
    outputs: list[Output] = []
    parameters: dict[str, Any] = {}


_decode = msgspec.json.Decoder(Inference).decode


def read(data: bytes, predictor: Predictor, json_bytes: str = "") -> Asked:
    """Return what a body asks.

    Args:
        json_bytes: the header ``LENGTH``; empty: the body is JSON only.

    Raises:
        Problem: 400, it is not a request of this protocol; 413, it has too many rows; 422, it has none.
    """
    length = _length(json_bytes, len(data))
    text, binary = data[:length], memoryview(data)[length:]
    inputs, most = shape(predictor)
    entity = predictor.features.entity if predictor.features else ""
    if length > body.FREE_BYTES:
        body.limit_values(text, most, 2 * (inputs + bool(entity)) + 8)  # a nested array has two values per element
    try:
        asked = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not a request of protocol V2: {error}.", expected='{"inputs": […]}') from None
    sent = _rows(asked.inputs, binary, predictor.signature, most, entity)
    rows = context.without(sent, predictor.signature.names)
    outputs = tuple(output.name for output in asked.outputs)
    known = [entry["name"] for entry in output_tensors(predictor.signature)]
    for name in outputs:
        if name not in known:
            expected = f"one of {', '.join(known)}"
            raise Problem(400, f'The model has no output "{name[:80]}".', field=name[:80], expected=expected)
    wanted = PROBABILITIES in (outputs or known)
    raw = b"" if rows is sent else msgspec.json.encode(sent)
    found = Asked(rows, raw, probabilities=wanted, id=asked.id, outputs=outputs)
    return msgspec.structs.replace(found, entities="may", sent=sent) if entity else found


def write(asked: Asked, answer: Answer, predictor: Predictor, request_id: str) -> dict[str, Any]:
    """Return the answer's JSON value; its ``id`` is the client's, or else ``request_id``."""
    data = {entry["name"]: entry for entry in output_tensors(predictor.signature)}
    rows = len(answer.prediction)
    found = []
    for name in asked.outputs or data:
        entry = data[name]
        if name == PROBABILITIES:
            flat: list[Any] = [share for row in answer.probabilities or [] for share in row]
            size = [rows, len(predictor.signature.classes)]
        else:
            flat = list(map(_text, answer.prediction)) if entry["datatype"] == BYTES else answer.prediction
            size = [rows]
        found.append({"name": name, "datatype": entry["datatype"], "shape": size, "data": flat})
    named = {"model_name": predictor.model, "model_version": predictor.version}
    # A parameter is a text, a number or a boolean.
    more = {"parameters": {"missing": msgspec.json.encode(asked.missing).decode()}} if asked.missing else {}
    return {**named, "id": asked.id or request_id, **more, "outputs": found}


def error(response: Response) -> Response:
    """Return an error in the form of this protocol: ``error`` is the message, and the position is beside it."""
    inside = msgspec.json.decode(response.body)["error"]
    body = msgspec.json.encode({"error": inside.pop("message"), **inside})
    return Response(response.status, body, response.headers)


def server() -> dict[str, Any]:
    """Return the server's metadata."""
    return {"name": "pantheon", "version": __version__, "extensions": ["binary_tensor_data"]}


def model(predictor: Predictor, versions: list[str]) -> dict[str, Any]:
    """Return a model's metadata; ``versions``: those that are loaded."""
    inputs = [
        {"name": field.name, "datatype": _KINDS.get(field.type, BYTES), "shape": [-1]}
        for field in predictor.signature.fields
    ]
    outputs = output_tensors(predictor.signature)
    return {
        "name": predictor.model,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": outputs,
    }


def output_tensors(signature: Signature) -> list[dict[str, Any]]:
    """Return the metadata of the tensors that an answer may have: the predictions and, of classes, probabilities."""
    name = str(signature.output["name"])
    if signature.task == "regression":
        return [{"name": name, "datatype": "FP64", "shape": [-1]}]
    classes = signature.classes
    return [
        {"name": name, "datatype": tensors.datatype_of(classes), "shape": [-1]},
        {"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, len(classes)]},
    ]


def _rows(
    given: list[Tensor], binary: memoryview, signature: Signature, most: int, entity: str
) -> list[dict[str, Any]]:
    """Return the rows that the tensors are; ``entity``: a column that is not one of the inputs."""
    if not given:
        raise Problem(400, "The request has no tensors.", field="inputs", expected="1 tensor or more", got="0 tensors")
    fields = signature.fields
    whole = {field.name for field in fields if field.type == "integer"}
    columns: dict[str, list[Any]] = {}
    height = given[0].shape[0] if given[0].shape else 0
    along = [tensor.name for tensor in given if _is_along(tensor.name, signature)]
    for tensor in given:
        found, binary = tensors.values(tensor, binary)
        if tensor.shape[0] != height:
            expected = f"{height} rows, as in the tensor before"
            raise Problem(400, f'The tensor "{tensor.name[:80]}" must have {expected}.', field=tensor.name[:80])
        if tensor.name in columns:
            raise Problem(400, f'The request has the tensor "{tensor.name[:80]}" twice.', field=tensor.name[:80])
        width = tensor.shape[1] if len(tensor.shape) == 2 else 1
        single = len(given) - len(along) == 1 and tensor.name not in (*along, *signature.names, entity)
        if single and width == len(fields):
            for place, field in enumerate(fields):
                columns[field.name] = tensors.column(tensor.datatype, found[place::width], field.name in whole)
        elif width == 1:
            columns[tensor.name] = tensors.column(tensor.datatype, found, tensor.name in whole)
        else:
            expected = f"the shape [rows], or, for a single tensor, [rows, {len(fields)}]"
            message = f'The tensor "{tensor.name[:80]}" must have {expected}.'
            raise Problem(400, message, field=tensor.name[:80], expected=expected, got=str(tensor.shape))
    if height == 0:
        raise Problem(422, "The tensors have no rows.", field="inputs", expected="1 row or more", got="0 rows")
    if height > most:
        expected = f"at most {most:,} rows"
        raise Problem(413, f"The tensors have too many rows: {expected}.", expected=expected, got=f"{height:,} rows")
    others = {name.removeprefix(_ALONG): columns.pop(name) for name in along}
    rows = _by_row(columns, height)
    if along:
        rows = [row | {context.CONTEXT: each} for row, each in zip(rows, _by_row(others, height), strict=True)]
    return rows


def _by_row(columns: dict[str, list[Any]], rows: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(rows)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_along(name: str, signature: Signature) -> bool:
    return name.startswith(_ALONG) and signature.names.isdisjoint((name, context.CONTEXT))


def _length(given: str, size: int) -> int:
    if not given:
        return size
    if not given.isdecimal() or int(given) > size:
        expected = "the size of the JSON before the binary data, in bytes"
        raise Problem(400, f"{LENGTH} must be {expected}.", field=LENGTH, expected=expected, got=shown(given))
    return int(given)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
