"""Ask the endpoint, which logs every answer, for the predictions of the button's page and of its API.

Without the endpoint there is no answer, except if the deployment's log is kept by best effort or not at all: then the
button answers by itself, and says in the header ``x-log`` that this is not in the log.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlencode

import msgspec

from pantheon.web.messages import Headers, Response
from serving.endpoint.guard import fenced
from serving.model.predictor import SECONDS
from serving.problems import Problem
from serving.remote.handover import Handover

THREADS = 8
CONNECT_SECONDS = 1.0
READ_SECONDS = SECONDS + 3.0  # the endpoint's own limit, and its queue
MOST_WAITING = 500  # requests
LOADING_SECONDS = 4.0  # for which a request waits until the endpoint has found a new model
LOOK_SECONDS = 0.1
TRIES = 2  # a connection that was kept may have ended: the endpoint was replaced
RETURNED = {"content-type", "cache-control", "retry-after", "x-request-id", "x-model-name", "x-model-version", "x-log"}
_OWN = {
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "authorization",
    "cookie",
    "origin",
}
_OWN |= {"referer", "accept", "accept-encoding", "user-agent", "expect", "te", "upgrade", "keep-alive", "forwarded"}
Local = Callable[[], "Response | Future[Response]"]


class Away(Exception):
    """The endpoint does not answer; the message is the reason."""


def passed_on(headers: Any) -> dict[str, str]:
    """Return the headers of a request that the endpoint gets: routing rules and ``traceparent`` may need them."""
    return {
        name: value for name, value in headers.items() if name not in _OWN and not name.startswith(("sec-", "proxy-"))
    }


class Endpoint:
    """The endpoint as the button asks it.

    Args:
        address: such as ``http://127.0.0.1:8085``.
        key: the file with the button's API key.
        handover: whether it is asked at all.
    """

    def __init__(self, address: str, key: Path, handover: Handover) -> None:
        self.address, self.key, self.handover = address, key, handover
        self.threads = ThreadPoolExecutor(THREADS, "endpoint")  # none runs before the first request
        self._pool: Any = None
        self._room = Semaphore(MOST_WAITING)

    @property
    def active(self) -> bool:
        return self.handover.active

    def soon(self, model: str, data: bytes, headers: Any, probabilities: bool, local: Local) -> "Future[Response]":
        """Answer a request for predictions in a thread.

        Args:
            data: the body, in the article's form.
            headers: of the request; the endpoint gets those of ``passed_on``.
            local: answers here, without the log.
        """
        if not self._room.acquire(blocking=False):
            busy: Future[Response] = Future()
            why = "Too many requests wait for the endpoint. Try again later."
            busy.set_result(fenced(Problem(503, why, headers=(("retry-after", "2"),)).response()))
            return busy
        found = self.threads.submit(self.predict, model, data, passed_on(headers), probabilities, local)
        found.add_done_callback(lambda _: self._room.release())
        return found

    def predict(
        self, model: str, data: bytes, headers: Mapping[str, str], probabilities: bool, local: Local
    ) -> Response:
        """Answer a request for predictions; as ``soon``."""
        query = urlencode({"model": model, **({"probabilities": "1"} if probabilities else {})})
        try:
            answer = self.send("POST", f"/predict?{query}", data, headers)
            end = monotonic() + LOADING_SECONDS
            while answer.status == 404 and monotonic() < end:  # the button has the model, and the endpoint will soon
                sleep(LOOK_SECONDS)
                answer = self.send("POST", f"/predict?{query}", data, headers)
        except Away as away:
            if self.handover.look() and not self.handover.unlogged:
                return fenced(self.problem(away).response())
            found = local()
            response = found.result() if isinstance(found, Future) else found
            if self.handover.active:
                response.headers.append(("x-log", "unlogged"))
            return response
        if answer.status == 404:
            why = f'The endpoint has not loaded the model "{model}" yet. Try again.'
            return fenced(Problem(503, why, headers=(("retry-after", "2"),)).response())
        return answer

    def feedback(self, said: dict[str, Any]) -> None:
        """Send what a user said about a prediction; raises Problem."""
        try:
            answer = self.send("POST", "/feedback", msgspec.json.encode(said), {})
        except Away as away:
            raise Problem(503, f"The endpoint does not answer: {away}. Nothing was sent; try again.") from None
        if answer.status >= 400:
            raise problem_of(answer)

    def send(self, method: str, path: str, data: bytes, headers: Mapping[str, str]) -> Response:
        """Return the endpoint's answer, of any status, with security headers; raises Away."""
        import urllib3

        sent = {**headers, "content-type": "application/json", "authorization": f"Bearer {self.token()}"}
        for left in reversed(range(TRIES)):
            try:
                got = self.pool().request(method, self.address + path, body=data, headers=sent)
                break
            except (urllib3.exceptions.ProtocolError, urllib3.exceptions.NewConnectionError) as error:
                if not left:
                    raise Away(_why(error)) from None
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise Away(_why(error)) from None
        if got.status in (401, 403):
            raise Away("it refuses the button's key, which `up` makes again if it is missing")
        kept: Headers = [(name.lower(), value) for name, value in got.headers.items() if name.lower() in RETURNED]
        return fenced(Response(got.status, got.data, kept))

    def pool(self) -> Any:
        """Return the connections: as many as threads, and no proxy."""
        if self._pool is None:
            import urllib3

            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
            self._pool = urllib3.PoolManager(1, maxsize=THREADS, block=True, timeout=timeout, retries=False)
        return self._pool

    def token(self) -> str:
        """Return the key; raises Away. The file is read each time: a replaced one counts immediately."""
        try:
            return self.key.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise Away(f"the button's key cannot be read ({type(error).__name__}); `up` makes it") from None

    def problem(self, away: Away) -> Problem:
        why = f"The endpoint, which logs every answer, does not answer: {away}. Nothing is answered without a record."
        return Problem(503, why, headers=(("retry-after", "2"),))


def problem_of(answer: Response) -> Problem:
    """Return the endpoint's error as a Problem."""
    try:
        error = msgspec.json.decode(answer.body)["error"]
        named = {name: error.get(name) for name in ("row", "field", "expected", "got")}
        return Problem(answer.status, str(error["message"]), **named)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return Problem(502, f"The endpoint answered with status {answer.status} and no reason.")


def _why(error: Exception) -> str:
    from pantheon.web.client import problem_of as reason

    return reason(error, READ_SECONDS).rstrip(".")
