"""The API as one plain WSGI app: POST /predict, GET /signature, /questions, /healthz and /openapi.json.

Plain, since CherryPy's own request machinery costs half a millisecond, ten times the model's own time for a row.
"""

import json
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from serving import body
from serving.champion import Champion
from serving.openapi import document
from serving.predictor import Predictor
from serving.problems import Problem, shown
from serving.questions import Questions
from serving.words import time

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
MAX_ROWS = 10_000
STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
STATUS[422] = "422 Unprocessable Content"


class Api:
    """The routes of the API; ``routes`` maps each path to its method and handler."""

    def __init__(self, champion: Champion, questions: Questions) -> None:
        self.champion, self.asked = champion, questions
        self.routes: dict[str, tuple[str, Callable[[dict[str, Any]], tuple[Any, Predictor | None]]]] = {
            "/predict": ("POST", self.predict),
            "/signature": ("GET", self.signature),
            "/questions": ("GET", self.questions),
            "/healthz": ("GET", self.healthz),
            "/openapi.json": ("GET", self.openapi),
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        allowed, handler = self.routes[environ["PATH_INFO"]]
        method = environ["REQUEST_METHOD"]
        predictor: Predictor | None = None
        extra: tuple[tuple[str, str], ...] = ()
        try:
            if method != allowed and (method, allowed) != ("HEAD", "GET"):
                allow = "GET, HEAD" if allowed == "GET" else allowed
                raise Problem(
                    405,
                    f"{method[:20]} is not for {environ['PATH_INFO']}.",
                    expected=allow,
                    headers=(("Allow", allow),),
                )
            value, predictor = handler(environ)
            status = 200
        except Problem as problem:
            status, value, extra = problem.status, problem.as_json(), problem.headers
        except Exception:  # noqa: BLE001 - a bug of ours: say so, in the log with its trace
            traceback.print_exc(file=sys.stderr)
            status, value = 500, Problem(500, "Something went wrong on our side; the button's log has more.").as_json()
        data = json.dumps(value).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
            *extra,
        ]
        if predictor is not None:
            headers.append(("X-Model-Version", predictor.version))
        start_response(STATUS[status], headers)
        return [] if method == "HEAD" else [data]

    def _current(self) -> Predictor:
        predictor = self.champion.current
        if predictor is None:
            refusal = self.champion.refusal
            why = " yet: run the workflow first."
            if refusal:
                what = f"version {refusal.version} cannot be served: " if refusal.version else ""
                why = f": {what}{refusal.why}"
            raise Problem(503, f"No model is deployed{why}", headers=(("Retry-After", "2"),))
        return predictor

    def predict(self, environ: dict[str, Any]) -> tuple[Any, Predictor]:
        body.need_json(environ)
        wanted = _wants_probabilities(environ.get("QUERY_STRING", ""))
        rows = payload(body.parse(body.read(environ)))
        predictor = self._current()
        if wanted and predictor.signature.task != "classification":
            raise Problem(400, "A regression has no probabilities.", expected="no probabilities in the query")
        answer = predictor.predict(rows)
        value: dict[str, Any] = {"prediction": answer.prediction}
        if wanted:
            value["probabilities"] = answer.probabilities
        return value, predictor

    def signature(self, environ: dict[str, Any]) -> tuple[Any, Predictor]:
        predictor = self._current()
        return predictor.signature.raw, predictor

    def questions(self, environ: dict[str, Any]) -> tuple[Any, Predictor | None]:
        predictor = self.champion.current
        return self.asked.ask(_moment(environ.get("QUERY_STRING", ""))), predictor

    def healthz(self, environ: dict[str, Any]) -> tuple[Any, Predictor | None]:
        """Alive means 200: a deployment without a model yet is well, and about to train one."""
        predictor, refusal = self.champion.current, self.champion.refusal
        return {
            "status": "ok",
            "ready": predictor is not None,
            "model": predictor.model if predictor else None,
            "version": predictor.version if predictor else None,
            "since": predictor.since if predictor else None,
            "refused": vars(refusal) if refusal else None,
        }, predictor

    def openapi(self, environ: dict[str, Any]) -> tuple[Any, Predictor | None]:
        predictor = self.champion.current
        return document(predictor, MAX_ROWS), predictor


def _wants_probabilities(query: str) -> bool:
    if not query:
        return False
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "probabilities":
            if value not in ("0", "1", "false", "true"):
                raise Problem(
                    400, "probabilities is 0 or 1.", field="probabilities", expected="0 or 1", got=shown(value)
                )
            return value in ("1", "true")
    return False


def _moment(query: str) -> datetime | None:
    """The time that ``at`` names; None where the query has none."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "at" and value:
            try:
                return time(value)
            except ValueError:
                expected = "a time such as 2026-11-22T10:00:00Z, UTC where no offset is given"
                raise Problem(400, f"at is not {expected}.", field="at", expected=expected, got=shown(value)) from None
    return None


def payload(value: Any) -> list[Any]:
    """The rows of a request's JSON value.

    Raises:
        Problem: 422 where it is not ``{"payload": [one row or more]}``, 413 where it has more than ``MAX_ROWS``.
    """
    expected = '{"payload": [{…}, …]}'
    if not isinstance(value, dict):
        raise Problem(422, "The body is not a JSON object.", expected=expected, got=shown(value))
    others = value.keys() - {"payload"}
    if others:
        name = min(others)[:80]
        raise Problem(
            422,
            f'The body has the unknown field "{name}".',
            field=name,
            expected=expected,
            got=shown(value[min(others)]),
        )
    if not isinstance(value.get("payload"), list):
        got = shown(value["payload"]) if "payload" in value else "nothing"
        raise Problem(422, '"payload" must be a list of rows.', field="payload", expected=expected, got=got)
    rows: list[Any] = value["payload"]
    if not rows:
        raise Problem(422, '"payload" has no rows.', field="payload", expected="1 row or more", got="0 rows")
    if len(rows) > MAX_ROWS:
        most = f"at most {MAX_ROWS:,} rows"
        raise Problem(
            413, f'"payload" has too many rows: {most}.', field="payload", expected=most, got=f"{len(rows):,} rows"
        )
    return rows
