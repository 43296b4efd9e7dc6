"""From a request's body to its answer: read the rows, predict, write the answer, and count it."""

from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from pantheon.keys import Key
from pantheon.web.messages import Response
from serving.endpoint.dispatch import FENCED_JSON, encode
from serving.endpoint.guard import fenced
from serving.endpoint.lanes import Lanes
from serving.endpoint.rows import need_probabilities
from serving.inference import v2
from serving.inference.forms import PREDICT, V1, Asked
from serving.inference.metrics import Metrics
from serving.inference.targets import Target
from serving.model.predictor import Predictor, TooSlow
from serving.problems import Problem


@dataclass(slots=True)
class Call:
    """One request for predictions, from its arrival on.

    Attributes:
        key: the name of the API key.
        probabilities: whether the query asks for them.
        json_bytes: of version 2 with binary data: the size of the JSON, as sent.
        began: of ``time.perf_counter``.
    """

    target: Target
    predictor: Predictor
    key: Key
    probabilities: bool = False
    json_bytes: str = ""
    began: float = 0.0

    def read(self, data: bytes) -> Asked:
        """Return what the body asks; raises Problem."""
        if self.target.verb == "infer":
            return v2.read(data, self.predictor, self.json_bytes)
        form = PREDICT if self.target.verb == "predict" else V1
        return form.read(data, self.predictor, self.probabilities)

    def write(self, asked: Asked, answer: Any) -> dict[str, Any]:
        """Return the answer's JSON value."""
        if self.target.verb == "infer":
            return v2.write(asked, answer, self.predictor, "")
        form = PREDICT if self.target.verb == "predict" else V1
        return form.write(asked, answer, self.predictor)


class Answering:
    """Answers calls, in the threads that ``Lanes`` chooses."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.lanes = Lanes(lambda late: fenced(late.response()))

    def run(self, call: Call, data: bytes) -> Response | Future[Response]:
        """Answer a call; ``data`` is its body."""
        call.began = perf_counter()
        version = f"{call.predictor.model}/{call.predictor.version}"
        return self.lanes.run(partial(self.answer, call, data), len(data), version, partial(self.failed, call))

    def answer(self, call: Call, data: bytes, deadline: float) -> Response:
        """Answer a call until ``deadline``; raises TooSlow if the model has no answer then."""
        predictor = call.predictor
        try:
            asked = call.read(data)
            if asked.probabilities and call.probabilities:
                need_probabilities(predictor, len(asked.rows))
            answer = predictor.predict(asked.rows, asked.probabilities, deadline)
            response = Response(200, encode(call.write(asked, answer)), self._headers(call))
        except TooSlow:
            raise
        except Problem as problem:
            return self.failed(call, problem)
        self._count(call, 200, len(asked.rows))
        return response

    def failed(self, call: Call, problem: Problem) -> Response:
        """Return the answer to a call that failed."""
        response = problem.response()
        response.headers += self._headers(call)[len(FENCED_JSON) :]
        self._count(call, problem.status, 0)
        return fenced(response)

    def _headers(self, call: Call) -> list[tuple[str, str]]:
        predictor = call.predictor
        return [*FENCED_JSON, ("x-model-name", predictor.model), ("x-model-version", predictor.version)]

    def _count(self, call: Call, status: int, rows: int) -> None:
        seconds = perf_counter() - call.began
        self.metrics.answered(call.predictor.model, call.predictor.version, call.target.verb, status, seconds, rows)
