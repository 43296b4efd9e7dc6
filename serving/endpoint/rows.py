"""The rows of a request's JSON value, and how many of them one request may have."""

from typing import Any
from urllib.parse import parse_qsl

from serving.endpoint import body
from serving.model.predictor import Predictor
from serving.problems import Problem, shown

MAX_ROWS = 10_000  # of one request; fewer for a model with many inputs


def shape(predictor: Predictor | None) -> tuple[int, int]:
    """Return how many inputs the model has, and how many rows one request may have."""
    inputs = len(predictor.signature.fields) if predictor else 1
    return inputs, body.most_rows(inputs, MAX_ROWS)


def need_probabilities(predictor: Predictor, rows: int) -> None:
    """Raise Problem if the model has no probabilities, or too many for one answer."""
    if predictor.signature.task != "classification":
        raise Problem(400, "A regression has no probabilities.", expected="no probabilities in the query")
    classes = len(predictor.signature.classes)
    if rows * classes > body.MOST_VALUES:
        expected = f"at most {max(1, body.MOST_VALUES // classes):,} rows with the probabilities of {classes} classes"
        raise Problem(413, f"The answer would be too large: {expected}.", expected=expected, got=f"{rows:,} rows")


def wants_probabilities(query: str) -> bool:
    """Return whether the query asks for probabilities; raise Problem 400 if its value is not 0 or 1."""
    if not query:
        return False
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "probabilities":
            if value not in ("0", "1", "false", "true"):
                raise Problem(
                    400, "probabilities must be 0 or 1.", field="probabilities", expected="0 or 1", got=shown(value)
                )
            return value in ("1", "true")
    return False


def payload(value: Any, most: int, name: str = "payload") -> list[Any]:
    """Return the rows of a request's JSON value.

    Raises:
        Problem: 422 if it is not ``{name: [one row or more]}``, 413 if it has more than ``most`` rows.
    """
    expected = f'{{"{name}": [{{…}}, …]}}'
    if not isinstance(value, dict):
        raise Problem(422, "The body is not a JSON object.", expected=expected, got=shown(value))
    others = value.keys() - {name}
    if others:
        other = min(others)[:80]
        raise Problem(
            422,
            f'The body has the unknown field "{other}".',
            field=other,
            expected=expected,
            got=shown(value[min(others)]),
        )
    if not isinstance(value.get(name), list):
        got = shown(value[name]) if name in value else "nothing"
        raise Problem(422, f'"{name}" must be a list of rows.', field=name, expected=expected, got=got)
    rows: list[Any] = value[name]
    if not rows:
        raise Problem(422, f'"{name}" has no rows.', field=name, expected="1 row or more", got="0 rows")
    if len(rows) > most:
        expected = f"at most {most:,} rows"
        got = f"{len(rows):,} rows"
        raise Problem(413, f'"{name}" has too many rows: {expected}.', field=name, expected=expected, got=got)
    return rows
