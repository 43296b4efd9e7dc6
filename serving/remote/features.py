"""Ask the feature store's service: its catalogue, and what an entity's features were."""

from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from pantheon.web.client import Client, NoAnswer
from serving.remote.handover import Handover

SECONDS = 12.0  # for an answer
PAUSE_SECONDS = 5.0  # after no answer, for which the error is repeated without a request: pages are polled
ADDRESS = "http://127.0.0.1:6568"


class FeatureError(Exception):
    """The feature store has no answer; the message is the reason, as a sentence.

    Attributes:
        status: the HTTP status: 400, the question is wrong; 404, there is no such view; else 503.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Features:
    """The feature store as the page asks it; see ``pantheon.features.contract``. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:6568``.
        key: the file with the service's key.
        handover: knows whether the deployment has a feature store.
    """

    def __init__(self, address: str, key: Path, handover: Handover) -> None:
        self.key, self.handover = key, handover
        cure = "`bin/pantheon logs --service feast` says why."
        self._client = Client(address, "the feature store", cure, timeout=SECONDS)
        self._failure: tuple[float, FeatureError] | None = None

    @property
    def active(self) -> bool:
        """Whether the deployment has a feature store."""
        return self.handover.features

    def catalogue(self) -> list[dict[str, Any]]:
        views: list[dict[str, Any]] = self._ask("GET", "/catalogue")["views"]
        return views

    def view(self, name: str) -> dict[str, Any]:
        return self._ask("GET", f"/catalogue/{quote(name, safe='')}")

    def at(self, entities: list[str], time: datetime | None = None, view: str = "") -> list[dict[str, Any]]:
        """Return the rows of ``POST /at``; without a time, those of now."""
        moment = (time or datetime.now(UTC)).astimezone(UTC).isoformat()
        asked = {"entities": entities, "time": moment, **({"view": view} if view else {})}
        rows: list[dict[str, Any]] = self._ask("POST", "/at", asked)["rows"]
        return rows

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the answer; raises FeatureError."""
        if self._failure and monotonic() < self._failure[0]:
            raise self._failure[1]
        try:
            token = self.key.read_text(encoding="ascii").strip()
            answer = self._client.send(method, path, body, headers={"Authorization": f"Bearer {token}"})
            if answer.ok:
                found: dict[str, Any] = answer.json()
                return found
        except NoAnswer as error:
            away = FeatureError(503, str(error))
            self._failure = monotonic() + PAUSE_SECONDS, away
            raise away from None
        except (OSError, ValueError) as error:
            raise FeatureError(503, f"The feature store cannot be asked: {error}.") from None
        status = answer.status if answer.status in (400, 404) else 503
        why = answer.reason("error", "message")
        raise FeatureError(status, why[:1].upper() + why[1:])
