"""The API: POST /predict, GET /signature, /questions, /runs.json, /healthz and /openapi.json.

Small predictions run where they arrive; large ones, and what reads the store, run in threads.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qsl

from pantheon.errors import PantheonError
from pantheon.web.messages import Quick, Response
from pantheon.web.server import Request
from pantheon.workflow import runs
from serving.endpoint import body
from serving.endpoint.dispatch import FENCED_JSON, Answered, Handler, dispatch, encode
from serving.endpoint.guard import fenced
from serving.endpoint.lanes import Lanes
from serving.endpoint.openapi import document
from serving.endpoint.rows import need_probabilities, payload, shape, wants_probabilities
from serving.formatting import time
from serving.model.champion import Champion
from serving.model.predictor import Predictor, TooSlow
from serving.problems import Problem, shown
from serving.questions.answers import Questions


class Elsewhere(Protocol):
    """Who answers predictions instead of the button: ``serving.endpoint.remote.Endpoint``."""

    @property
    def active(self) -> bool: ...

    def soon(
        self,
        model: str,
        data: bytes,
        headers: Any,
        probabilities: bool,
        local: Callable[[], Response | Future[Response]],
    ) -> Future[Response]: ...


class Api:
    """The routes of the API; ``routes`` maps every path to its method and handler.

    Args:
        threads: for requests that wait for the store; predictions use other threads.
        elsewhere: who answers predictions while it is ``active``.
    """

    def __init__(self, champion: Champion, questions: Questions, threads: Executor, elsewhere: Elsewhere) -> None:
        self.champion, self.asked, self.threads, self.elsewhere = champion, questions, threads, elsewhere
        self.lanes = Lanes(lambda late: fenced(late.response()))
        self.routes: dict[str, tuple[str, Handler]] = {
            "/predict": ("POST", self.predict),
            "/signature": ("GET", self.signature),
            "/questions": ("GET", self.questions),
            "/healthz": ("GET", self.healthz),
            "/runs.json": ("GET", self.runs),
            "/openapi.json": ("GET", self.openapi),
        }

    async def __call__(self, request: Request) -> Response:
        return await dispatch(request, *self.routes[request.path], "button")

    def quick(self, request: Request) -> Quick | None:
        """Return a function that answers a plain prediction request; None for other requests."""
        if request.path != "/predict" or request.method != "POST" or request.query:
            return None
        if request.header("content-type") != "application/json":
            return None
        if self.elsewhere.active and self.champion.current:
            return partial(self.predicted_elsewhere, request.headers, probabilities=False)
        return self.predicted_soon

    def predicted_elsewhere(self, headers: Any, data: bytes, probabilities: bool) -> Future[Response]:
        model = self.champion.version.partition("/")[0]
        local = partial(self.predicted_soon, data, probabilities)
        return self.elsewhere.soon(model, data, headers, probabilities, local)

    def predicted_soon(self, data: bytes, probabilities: bool = False) -> Response | Future[Response]:
        return self.lanes.run(partial(self.predicted, data, probabilities), len(data), self.champion.version)

    def predicted(self, data: bytes, probabilities: bool, deadline: float) -> Response:
        """Answer a prediction request.

        Raises:
            TooSlow: the model had no answer at the deadline.
        """
        try:
            value, predictor = self.answer(data, probabilities, deadline)
            return Response(200, encode(value), [*FENCED_JSON, ("x-model-version", predictor.version)])
        except TooSlow:
            raise
        except Problem as problem:
            return fenced(problem.response())

    async def _in_thread(self, pool: Executor, call: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *given)

    def _current(self) -> Predictor:
        predictor = self.champion.current
        if predictor is None:
            refusal = self.champion.refusal
            why = " yet: run the workflow first."
            if refusal:
                what = f"version {refusal.version} cannot be served: " if refusal.version else ""
                why = f": {what}{refusal.why}"
            raise Problem(503, f"No model is deployed{why}", headers=(("retry-after", "2"),))
        return predictor

    async def predict(self, request: Request) -> Response:
        body.need_json(request)
        wanted = wants_probabilities(request.query)
        data = await body.read(request)
        result: Response | Future[Response]
        if self.elsewhere.active and self.champion.current:
            result = self.predicted_elsewhere(request.headers, data, wanted)
        else:
            result = self.predicted_soon(data, wanted)
        return await asyncio.wrap_future(result) if isinstance(result, Future) else result

    def answer(self, data: bytes, probabilities: bool, deadline: float) -> tuple[dict[str, Any], Predictor]:
        """Return the predictions for a request's body; raises ``TooSlow`` if there are none at the deadline."""
        predictor = self.champion.current
        inputs, most = shape(predictor)
        rows = payload(body.parse(data, most, inputs), most)
        predictor = predictor or self._current()
        if probabilities:
            need_probabilities(predictor, len(rows))
        answer = predictor.predict(rows, probabilities, deadline)
        value: dict[str, Any] = {"prediction": answer.prediction}
        if probabilities:
            value["probabilities"] = answer.probabilities
        if notes := predictor.signature.notes(rows):
            value["notes"] = notes
        return value, predictor

    async def signature(self, request: Request) -> Answered:
        predictor = self._current()
        return predictor.signature.raw, predictor

    async def questions(self, request: Request) -> Answered:
        predictor = self.champion.current
        query = dict(parse_qsl(request.query))
        about = query.get("request", ""), query.get("entity", "")
        return await self._in_thread(self.threads, self.asked.ask, _moment(request.query), *about), predictor

    async def healthz(self, request: Request) -> Answered:
        """Return 200 while the server runs: a deployment without a model is healthy, because it may still train one."""
        predictor, refusal = self.champion.current, self.champion.refusal
        return {
            "status": "ok",
            "ready": predictor is not None,
            "model": predictor.model if predictor else None,
            "version": predictor.version if predictor else None,
            "since": predictor.since if predictor else None,
            "refused": vars(refusal) if refusal else None,
        }, predictor

    async def runs(self, request: Request) -> Answered:
        """Return the deployment's runs, newest first; with ``?run=ID`` (or ``latest``) the status of that run."""
        return await self._in_thread(self.threads, self._runs, dict(parse_qsl(request.query)).get("run", "")), None

    def _runs(self, run: str) -> Any:
        state = self.asked.state
        try:
            return runs.look(state.folder, run) if run else runs.listed(state.folder)
        except PantheonError as error:
            raise Problem(404, error.cause) from None

    async def openapi(self, request: Request) -> Answered:
        predictor = self.champion.current
        return await self._in_thread(self.threads, document, predictor, shape(predictor)[1]), predictor


def _moment(query: str) -> datetime | None:
    """Return the time in ``at``; None if the query has no ``at``."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "at" and value:
            try:
                return time(value)
            except ValueError:
                expected = "a time such as 2026-11-22T10:00:00Z, UTC if it has no offset"
                raise Problem(400, f"at is not {expected}.", field="at", expected=expected, got=shown(value)) from None
    return None
