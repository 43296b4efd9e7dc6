"""Tensors of version 2 of the protocol (Open Inference Protocol), as JSON or binary, and the rows that they are.

Sources: the REST part of the Open Inference Protocol, and Triton's binary tensor data extension for its binary form.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from serving.problems import Problem, shown

FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
INTEGERS = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
BOOL, BYTES = "BOOL", "BYTES"
DATATYPES = (BOOL, BYTES, *FLOATS, *INTEGERS)


class Tensor(msgspec.Struct):
    """A tensor of a request.

    Attributes:
        shape: the size of each dimension; the first is the number of rows.
        datatype: one of ``DATATYPES``.
        data: its elements, flat in row-major order or nested as ``shape``; None if they are binary.
    """

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


def values(tensor: Tensor, binary: memoryview) -> tuple[list[Any], memoryview]:
    """Return a tensor's elements, flat, and the rest of the request's binary data.

    Args:
        binary: the request's binary data from this tensor's on.

    Returns:
        JSON values, where NaN is None: missing.

    Raises:
        Problem: 400, its data do not fit its shape or datatype.
    """
    size = tensor.parameters.get("binary_data_size")
    if any(each < 0 for each in tensor.shape) or not 1 <= len(tensor.shape) <= 2:
        raise _refusal(tensor, "its shape must have one or two dimensions", str(tensor.shape))
    if tensor.datatype not in DATATYPES:
        raise _refusal(tensor, f"its datatype must be one of {', '.join(DATATYPES)}", shown(tensor.datatype))
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(binary) or tensor.data is not None:
            raise _refusal(tensor, "binary_data_size must be the size of its binary data", shown(size))
        found, binary = _from_binary(tensor, bytes(binary[:size])), binary[size:]
    else:
        found = _flat(tensor)
        _check(tensor, found)
    if len(found) != math.prod(tensor.shape):
        raise _refusal(tensor, f"its shape {tensor.shape} has {math.prod(tensor.shape)} elements", str(len(found)))
    return found, binary


def column(datatype: str, found: Sequence[Any], whole: bool) -> list[Any]:
    """Return the elements of one column as JSON values of rows.

    Args:
        whole: whether the column has whole numbers, which a floating-point tensor holds too.
    """
    if datatype in FLOATS:
        found = [None if value is not None and math.isnan(value) else value for value in found]
        if whole:
            return [int(v) if isinstance(v, float) and v.is_integer() else v for v in found]
    return list(found)


def datatype_of(classes: Sequence[Any]) -> str:
    """Return the datatype of a tensor with these JSON values."""
    kinds = set(map(type, classes))
    if kinds == {bool}:
        return BOOL
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds and kinds <= {int, float} else BYTES


def _flat(tensor: Tensor) -> list[Any]:
    data = tensor.data
    if data is None:
        raise _refusal(tensor, "it has no data", "nothing")
    if len(tensor.shape) == 2 and data and isinstance(data[0], list):
        width = tensor.shape[1]
        for row in data:
            if not isinstance(row, list) or len(row) != width:
                raise _refusal(tensor, f"each row must be an array of {width}", shown(row))
        return [value for row in data for value in row]
    return data


def _check(tensor: Tensor, found: list[Any]) -> None:
    allowed: set[type] = {type(None)}
    allowed |= {str} if tensor.datatype == BYTES else {bool} if tensor.datatype == BOOL else {int}
    if tensor.datatype in FLOATS:
        allowed.add(float)
    if set(map(type, found)) <= allowed:
        return
    place = next(i for i, value in enumerate(found) if type(value) not in allowed)
    raise _refusal(
        tensor, f"element {place} must be {_NAMES.get(tensor.datatype, 'a whole number')}", shown(found[place])
    )


_NAMES = {BYTES: "a text", BOOL: "true or false"} | dict.fromkeys(FLOATS, "a number")


def _from_binary(tensor: Tensor, data: bytes) -> list[Any]:
    if tensor.datatype == BYTES:
        return _texts(tensor, data)
    kind = np.dtype(FLOATS.get(tensor.datatype) or INTEGERS.get(tensor.datatype) or "?")
    if len(data) % kind.itemsize:
        raise _refusal(tensor, f"elements of {tensor.datatype} take {kind.itemsize} bytes", f"{len(data)} bytes")
    return list(np.frombuffer(data, kind).tolist())


def _texts(tensor: Tensor, data: bytes) -> list[str]:
    """Return texts that each follow their length, an unsigned 32-bit little-endian number."""
    found, place = [], 0
    try:
        while place < len(data):
            (length,) = struct.unpack_from("<I", data, place)
            place += 4 + length
            if place > len(data):
                raise ValueError("a text is longer than the data")
            found.append(data[place - length : place].decode())
    except (struct.error, ValueError) as error:
        raise _refusal(tensor, "its binary data must be texts in UTF-8, each after its length", str(error)) from None
    return found


def _refusal(tensor: Tensor, expected: str, got: str) -> Problem:
    name = tensor.name[:80]
    return Problem(400, f'The tensor "{name}": {expected}, got {got}.', field=name, expected=expected, got=got)
