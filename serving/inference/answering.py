"""From a request's body to its answer: read the rows, predict, write the record of the log, and the answer."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from pantheon.predictions.records import Answered
from pantheon.routing.choose import Choice
from pantheon.web.messages import Response
from serving.endpoint.dispatch import FENCED_JSON, encode
from serving.endpoint.guard import fenced
from serving.endpoint.lanes import Lanes
from serving.endpoint.rows import need_probabilities
from serving.features.joining import Online
from serving.features.origins import blamed
from serving.inference import v2
from serving.inference.entities import joined, marked
from serving.inference.forms import PREDICT, V1, Asked
from serving.inference.journal import LOGGED_PROBABILITIES, Journal, Origin, answer_of, rows_of
from serving.inference.metrics import Metrics
from serving.inference.models import Hosted, Models
from serving.inference.shadows import Shadows
from serving.inference.targets import Target
from serving.model.predictor import SECONDS, Answer, Predictor, TooSlow
from serving.problems import Problem

Explain = Callable[[Predictor, list[Any], float], list[dict[str, Any]]]  # rows, deadline → one explanation for each
EXPLAINED_ROWS = 100  # of one request


@dataclass(slots=True)
class Call:
    """One request for predictions, from its arrival on.

    Attributes:
        predictor: the version that answers, as ``choice`` says.
        probabilities: whether the query asks for them.
        json_bytes: of version 2 with binary data: the size of the JSON, as sent.
        began: of ``time.perf_counter``.
        asked: what its body asks, with the features of its entities; None until it has been read.
    """

    target: Target
    hosted: Hosted
    predictor: Predictor
    choice: Choice
    origin: Origin
    probabilities: bool = False
    json_bytes: str = ""
    began: float = 0.0
    asked: Asked | None = None

    def read(self, data: bytes) -> Asked:
        """Return what the body asks; raises Problem."""
        if self.target.verb == "infer":
            return v2.read(data, self.predictor, self.json_bytes)
        form = PREDICT if self.target.verb == "predict" else V1
        return form.read(data, self.predictor, self.probabilities)

    def write(self, asked: Asked, answer: Answer) -> dict[str, Any]:
        """Return the answer's JSON value."""
        if self.target.verb == "infer":
            return v2.write(asked, answer, self.predictor, self.origin.id)
        form = PREDICT if self.target.verb == "predict" else V1
        return form.write(asked, answer, self.predictor)


class Answering:
    """Answers calls, in the threads that ``Lanes`` chooses; explanations in one of their own.

    Args:
        explain: None: explanations are refused.
        elsewhere: another server predicts.
        online: the features of entities; None: they cannot be looked up.
    """

    def __init__(
        self,
        models: Models,
        journal: Journal,
        shadows: Shadows,
        metrics: Metrics,
        explain: Explain | None = None,
        elsewhere: bool = False,
        online: Online | None = None,
    ) -> None:
        self.explain, self.explaining = explain, ThreadPoolExecutor(1, "explain")
        self.models, self.journal, self.shadows, self.metrics = models, journal, shadows, metrics
        self.online = online
        self.lanes = Lanes(lambda late: fenced(late.response()), elsewhere)

    def run(self, call: Call, data: bytes) -> Response | Future[Response]:
        """Answer a call; ``data`` is its body."""
        call.began = perf_counter()
        if call.target.verb == "explain":
            return self.explaining.submit(self.explained, call, data)
        version = f"{call.predictor.model}/{call.predictor.version}"
        return self.lanes.run(partial(self.answer, call, data), len(data), version, partial(self.failed, call))

    def answer(self, call: Call, data: bytes, deadline: float) -> Response:
        """Answer a call until ``deadline``; raises TooSlow if the model has no answer then."""
        predictor = call.predictor
        try:
            sent = call.asked = call.read(data)
            asked = call.asked = joined(self.online, predictor, sent, deadline)
            if asked.probabilities:
                need_probabilities(predictor, len(asked.rows))
            if call.target.verb == "explain":
                self.can_explain(len(asked.rows))
            answer = predictor.predict(asked.rows, asked.probabilities or few(predictor, asked), deadline)
            value = call.write(asked, answer)
            if self.explain and call.target.verb == "explain":
                value["explanations"] = self.explain(predictor, asked.rows, deadline)
            body = encode(value)
            logged = self.log(call, answer_of(answer), explained="explanations" in value)
        except TooSlow:
            raise
        except Problem as problem:
            return self.failed(call, explained(problem, call))
        self._count(call, 200, len(asked.rows))
        for version in call.choice.shadows:
            self._shadow(call, sent, version)
        return Response(200, body, self._headers(call, logged))

    def explained(self, call: Call, data: bytes) -> Response:
        """Answer a call with explanations."""
        try:
            return self.answer(call, data, monotonic() + SECONDS)
        except TooSlow as late:
            return self.failed(call, late)

    def can_explain(self, rows: int) -> None:
        """Raise Problem 501 or 413 if so many rows cannot be explained."""
        if self.explain is None:
            raise Problem(501, "This endpoint does not explain predictions.")
        if rows > EXPLAINED_ROWS:
            expected = f"at most {EXPLAINED_ROWS} rows"
            why = f"Too many rows to explain: {expected}."
            raise Problem(413, why, field="instances", expected=expected, got=f"{rows:,} rows")

    def log(self, call: Call, answer: bytes, problem: Problem | None = None, explained: bool = False) -> bool:
        """Write the record of a call; return whether it was written. Raises Problem as ``Journal.write``."""
        predictor, choice, origin = call.predictor, call.choice, call.origin
        record = Answered(
            id=origin.id,
            at=time.time_ns() // 1000,
            model=predictor.model,
            version=predictor.version,
            arm=choice.arm,
            reason=choice.reason,
            key=origin.key,
            ms=round((perf_counter() - call.began) * 1000, 3),
            status=problem.status if problem else 200,
            error=problem.message.encode(errors="replace").decode() if problem else "",  # it may quote half a character
            trace=origin.trace,
            explained=explained,
        )
        return self.journal.write(record, rows_of(call.asked), answer)

    def failed(self, call: Call, problem: Problem) -> Response:
        """Return the answer to a call that failed, after it was logged."""
        if call.asked:
            call.asked = marked(call.asked, call.predictor)
        logged = self.log(call, answer_of(None), problem)
        self._count(call, problem.status, 0)
        response = problem.response()
        if call.target.verb == "infer":
            response = v2.error(response)
        response.headers += self._headers(call, logged)[len(FENCED_JSON) :]
        return fenced(response)

    def _headers(self, call: Call, logged: bool) -> list[tuple[str, str]]:
        predictor = call.predictor
        headers = [
            *FENCED_JSON,
            ("x-request-id", call.origin.id),
            ("x-model-name", predictor.model),
            ("x-model-version", predictor.version),
        ]
        return headers if logged else [*headers, ("x-log", "unlogged")]

    def _count(self, call: Call, status: int, rows: int) -> None:
        seconds = perf_counter() - call.began
        self.metrics.answered(call.predictor.model, call.predictor.version, call.target.verb, status, seconds, rows)

    def _shadow(self, call: Call, asked: Asked, version: str) -> None:
        predictor = self.models.ready(call.hosted, version)
        if predictor is None:
            self.metrics.count("shadow missing")
        else:
            self.shadows.add(predictor, call.origin, asked)


def explained(problem: Problem, call: Call) -> Problem:
    """Return the problem with what the feature store has to do with it, if it has."""
    asked, features, signature = call.asked, call.predictor.features, call.predictor.signature
    if asked is None or features is None:
        return problem
    if not asked.entities and problem.field == features.entity and features.entity not in signature.names:
        problem.message += ' To have its features looked up, send the row in "entities".'
    return blamed(problem, asked.origins)


def few(predictor: Predictor, asked: Asked) -> bool:
    """Return whether the log has the probabilities of an answer that does not."""
    classes = len(predictor.signature.classes)
    return 0 < len(asked.rows) * classes <= LOGGED_PROBABILITIES
