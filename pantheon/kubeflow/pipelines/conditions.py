"""Evaluates the conditions of a compiled pipeline: ``dsl.If``, ``dsl.Elif`` and ``dsl.Else``.

``kfp.local`` writes values into the text of the condition and calls ``eval``: a quote in a value breaks it, or runs as
code, and what fails counts as false. Here the text is parsed once, and values are never part of it.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from pantheon.kubeflow.contract import Refused

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
CASTS: dict[str, Callable[[Any], Any]] = {"int": int, "double": float, "float": float, "string": str, "bool": bool}
NAMES = {"true": True, "false": False, "null": None}
TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def parse(condition: str) -> ast.expr:
    """Parse a condition in CEL, of which KFP's compiler uses a part that is almost Python.

    Raises:
        ValueError: it is not valid.
    """

    def python(part: str) -> str:
        part = part.replace("&&", " and ").replace("||", " or ")
        return re.sub(r"!(?!=)", " not ", part)

    pieces, end = [], 0
    for text in TEXT.finditer(condition):  # operators within texts stay as they are
        pieces += [python(condition[end : text.start()]), text[0]]
        end = text.end()
    code = "".join([*pieces, python(condition[end:])])
    try:
        tree = ast.parse(" ".join(code.split("\n")).strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{condition!r} is not a condition") from None
    return tree


def evaluate(condition: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether a condition holds for the inputs of its task.

    Raises:
        ValueError: it uses an input that the task does not have, or compares values that have no order.
    """
    return bool(_value(parse(condition), inputs))


def check(condition: str, path: str) -> None:
    """Check a condition without values.

    Raises:
        Refused: it is not one that KFP's compiler writes.
    """
    try:
        _walk(parse(condition))
    except ValueError as error:
        raise Refused(path, f"{error}.") from None


def _walk(node: ast.expr) -> None:
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _walk(value)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            _walk(operand)
        case ast.Compare(left=left, comparators=others, ops=ops) if all(type(op) in COMPARISONS for op in ops):
            for value in (left, *others):
                _walk(value)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in CASTS:
            _walk(argument)
        case ast.Constant(value=str() | int() | float()):
            pass
        case ast.Name(id=name) if name in NAMES:
            pass
        case ast.Subscript(slice=ast.Constant(value=str())) if _is_parameters(node.value):
            pass
        case _:
            raise ValueError(f"{ast.unparse(node)!r} cannot be part of a condition")


def _is_parameters(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="inputs"), attr="parameter_values" | "parameters"):
            return True
    return False


def _value(node: ast.expr, inputs: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, inputs) for value in values)
        case ast.BoolOp(values=values):
            return any(_value(value, inputs) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, inputs)
        case ast.UnaryOp(operand=operand):
            return -_value(operand, inputs)
        case ast.Compare(left=left, comparators=others, ops=ops):
            values = [_value(value, inputs) for value in (left, *others)]
            try:
                return all(COMPARISONS[type(op)](*pair) for op, pair in zip(ops, pairwise(values), strict=True))
            except TypeError:
                raise ValueError(f"{values[0]!r} and {values[1]!r} cannot be compared") from None
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            given = _value(argument, inputs)
            try:
                return given.lower() == "true" if name == "bool" and isinstance(given, str) else CASTS[name](given)
            except (TypeError, ValueError):
                raise ValueError(f"{given!r} is not of type {name}") from None
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return NAMES[name]
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            if name not in inputs:
                raise ValueError(f"the input {name!r} is missing")
            return inputs[name]
    raise ValueError(f"{ast.unparse(node)!r} cannot be part of a condition")
