"""Ask the service ``predictions`` about the log."""

from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

from pantheon.web.client import Client, NoAnswer

SECONDS = 12.0  # the service's own deadline, and a little more
PAUSE_SECONDS = 5.0  # after no answer, for which the error is repeated without a request: pages are polled


class LogError(Exception):
    """The log has no answer; the message is the reason, as a sentence.

    Attributes:
        status: the HTTP status: 400, the question is wrong; 404, there is no such request; else 503.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Log:
    """The log as the page asks it; answers are those of ``pantheon.log_reader``. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:8086``.
        key: the file with the button's API key.
    """

    def __init__(self, address: str, key: Path) -> None:
        self.key = key
        self._client = Client(
            address, "the log's service", "`bin/pantheon logs --service predictions` says why.", timeout=SECONDS
        )
        self._failure: tuple[float, LogError] | None = None

    def predictions(self, **wanted: str) -> dict[str, Any]:
        return self._ask("/predictions", wanted)

    def prediction(self, id: str) -> dict[str, Any]:
        return self._ask(f"/predictions/{quote(id, safe='')}", {})

    def feedback(self, **wanted: str) -> dict[str, Any]:
        return self._ask("/feedback", wanted)

    def routing(self, **wanted: str) -> dict[str, Any]:
        return self._ask("/routing", wanted)

    def monitoring(self, model: str) -> dict[str, Any]:
        return self._ask("/monitoring", {"model": model})

    def evidently(self, model: str) -> dict[str, Any]:
        return self._ask("/evidently", {"model": model})

    def _ask(self, path: str, wanted: dict[str, str]) -> dict[str, Any]:
        """Return the answer; raises LogError."""
        if self._failure and monotonic() < self._failure[0]:
            raise self._failure[1]
        query = urlencode({name: value for name, value in wanted.items() if value}, errors="replace")
        try:
            token = self.key.read_text(encoding="ascii").strip()
            answer = self._client.send("GET", f"{path}?{query}", headers={"Authorization": f"Bearer {token}"})
            if answer.ok:
                found: dict[str, Any] = answer.json()
                return found
        except NoAnswer as error:
            away = LogError(503, str(error))
            self._failure = monotonic() + PAUSE_SECONDS, away
            raise away from None
        except (OSError, ValueError) as error:
            raise LogError(503, f"The log cannot be asked: {error}.") from None
        status = answer.status if answer.status in (400, 404) else 503
        why = answer.reason("error")
        raise LogError(status, why[:1].upper() + why[1:])
