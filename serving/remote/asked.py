"""A service of the deployment that the page asks with a key, such as that of the log. Its errors are sentences."""

from pathlib import Path
from time import monotonic
from typing import Any

from pantheon.web.client import Client, NoAnswer

SECONDS = 12.0  # for an answer: the services' own deadline, and a little more
PAUSE_SECONDS = 5.0  # after no answer, for which the error is repeated without a request: pages are polled


class AskedError(Exception):
    """The service has no answer; the message is the reason, as a sentence.

    Attributes:
        status: the HTTP status: 400, the question is wrong; 404, it has no such thing; else 503.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Asked:
    """A service as the page asks it. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:8086``.
        key: the file with the key that it accepts.
        name: the service's name in messages, with an article.
        cure: what to do if it does not answer.
        error: what is raised.
        reason: where the reason is in the JSON of a refusal.
    """

    def __init__(
        self, address: str, key: Path, name: str, cure: str, error: type[AskedError], reason: tuple[str, ...]
    ) -> None:
        self.key = key
        self._name, self._error, self._reason = name, error, reason
        self._client = Client(address, name, cure, timeout=SECONDS)
        self._failure: tuple[float, AskedError] | None = None

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the answer; raises ``error``."""
        if self._failure and monotonic() < self._failure[0]:
            raise self._failure[1]
        try:
            token = self.key.read_text(encoding="ascii").strip()
            answer = self._client.send(method, path, body, headers={"Authorization": f"Bearer {token}"})
            if answer.ok:
                found: dict[str, Any] = answer.json()
                return found
        except NoAnswer as error:
            away = self._error(503, str(error))
            self._failure = monotonic() + PAUSE_SECONDS, away
            raise away from None
        except (OSError, ValueError) as error:
            what = f"{self._name[:1].upper()}{self._name[1:]} cannot be asked: {error}."
            raise self._error(503, what) from None
        status = answer.status if answer.status in (400, 404) else 503
        why = answer.reason(*self._reason)
        raise self._error(status, why[:1].upper() + why[1:])
