"""HTTP client for a deployment's services: urllib3 with JSON, timeouts, and retries while a service restarts.

Never uses a proxy: the services are on this machine or in its network. urllib3 is imported at the first request, so
that commands without requests start faster.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pantheon.errors import PantheonError

AWAY = (502, 503, 504)  # statuses of a service that is starting, or of a proxy in front of it
MAX_ANSWER = 64 << 20  # bytes


@dataclass(frozen=True)
class Answer:
    """A response, of any status.

    Attributes:
        headers: names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def ok(self) -> bool:
        return self.status < 400

    def json(self) -> Any:
        """Parse the body as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.data)

    def reason(self, *keys: str) -> str:
        """Return the reason of a rejection: the text under ``keys`` in the answer's JSON, or else the status."""
        try:
            value = self.json()
            for key in keys:
                value = value[key]
            return str(value)
        except (ValueError, KeyError, TypeError):
            return f"status {self.status}"


class NoAnswer(PantheonError):
    """A service does not answer; ``problem`` is the reason, such as ``Connection refused``."""

    def __init__(self, name: str, address: str, problem: str, cure: str) -> None:
        super().__init__(f"{name} at {address} does not answer: {problem}.", cure, 1)
        self.problem = problem


class Client:
    """Sends requests to one service. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:8081``.
        name: the service's name in error messages.
        cure: what to do if it does not answer, usually a command.
        headers: sent with every request.
        timeout: seconds for connecting, and between two chunks of the answer.
        largest: bytes of an answer, at most.
    """

    def __init__(
        self,
        address: str,
        name: str,
        cure: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        largest: int = MAX_ANSWER,
    ) -> None:
        self.address, self.name, self.cure, self.timeout = address.rstrip("/"), name, cure, timeout
        self.largest = largest
        self.headers = dict(headers or {})

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request.

        Args:
            body: a JSON value, or bytes, which are sent as they are; None sends no body.
            headers: in addition to the client's.

        Raises:
            NoAnswer: the service is unreachable, or closed the connection, or its answer is larger than ``largest``.
                It may have received the request.
        """
        import urllib3

        sent = {"Accept": "application/json", **self.headers, **(headers or {})}
        data = None
        if isinstance(body, bytes):
            data = body
            sent.setdefault("Content-Type", "application/octet-stream")
        elif body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            got = pool().request(
                method,
                self.address + path,
                body=data,
                headers=sent,
                timeout=self.timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = got.read(self.largest + 1, decode_content=True)
            if len(content) > self.largest:
                got.close()
                raise NoAnswer(self.name, self.address, f"its answer is larger than {self.largest:,} bytes", self.cure)
            got.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # ValueError: invalid address
            raise NoAnswer(self.name, self.address, problem_of(error, self.timeout), self.cure) from None
        return Answer(got.status, {name.lower(): value for name, value in got.headers.items()}, content)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        retry_seconds: float,
        away: tuple[int, ...] = AWAY,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; retry while the service is unreachable.

        Args:
            retry_seconds: time limit for retries.
            away: statuses that are retried.

        Raises:
            NoAnswer: it was unreachable for ``retry_seconds``.
        """
        end, wait = time.monotonic() + retry_seconds, 0.1
        while True:
            try:
                answer = self.send(method, path, body, headers)
                if answer.status not in away:
                    return answer
                problem = f"it answered with status {answer.status}"
            except NoAnswer as error:
                problem = error.problem
            if time.monotonic() >= end:
                raise NoAnswer(self.name, self.address, problem, self.cure)
            time.sleep(wait)
            wait = min(wait * 1.5, 1.0)


@cache
def pool() -> Any:
    """Return urllib3's connection pool for all clients of this process. A PoolManager ignores proxies, including those
    in the environment."""
    import urllib3

    return urllib3.PoolManager(num_pools=8, maxsize=4)


def problem_of(error: BaseException, timeout: float) -> str:
    """Describe why a request failed, with the operating system's message if there is one."""
    import urllib3

    if isinstance(error, (TimeoutError, urllib3.exceptions.TimeoutError)) and not isinstance(
        error, urllib3.exceptions.NewConnectionError
    ):
        return f"no answer within {timeout:g} seconds"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
