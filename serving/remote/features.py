"""Ask the feature store's service: its catalogue, and what an entity's features were."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from serving.remote.asked import Asked, AskedError
from serving.remote.handover import Handover

ADDRESS = "http://127.0.0.1:6568"


class FeatureError(AskedError):
    """The feature store has no answer."""


class Features(Asked):
    """The feature store as the page asks it; see ``pantheon.features.contract``. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:6568``.
        key: the file with the service's key.
        handover: knows whether the deployment has a feature store.
    """

    def __init__(self, address: str, key: Path, handover: Handover) -> None:
        cure = "`bin/pantheon logs --service feast` says why."
        super().__init__(address, key, "the feature store", cure, FeatureError, ("error", "message"))
        self.handover = handover

    @property
    def active(self) -> bool:
        """Whether the deployment has a feature store."""
        return self.handover.features

    def catalogue(self) -> list[dict[str, Any]]:
        views: list[dict[str, Any]] = self.ask("GET", "/catalogue")["views"]
        return views

    def view(self, name: str) -> dict[str, Any]:
        return self.ask("GET", f"/catalogue/{quote(name, safe='')}")

    def at(self, entities: list[str], time: datetime | None = None, view: str = "") -> list[dict[str, Any]]:
        """Return the rows of ``POST /at``; without a time, those of now."""
        moment = (time or datetime.now(UTC)).astimezone(UTC).isoformat()
        asked = {"entities": entities, "time": moment, **({"view": view} if view else {})}
        rows: list[dict[str, Any]] = self.ask("POST", "/at", asked)["rows"]
        return rows
