"""Ask the service ``predictions`` about the log."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from serving.remote.asked import Asked, AskedError


class LogError(AskedError):
    """The log has no answer."""


class Log(Asked):
    """The log as the page asks it; answers are those of ``pantheon.log_reader``. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:8086``.
        key: the file with the button's API key.
    """

    def __init__(self, address: str, key: Path) -> None:
        cure = "`bin/pantheon logs --service predictions` says why."
        super().__init__(address, key, "the log's service", cure, LogError, ("error",))

    def predictions(self, **wanted: str) -> dict[str, Any]:
        return self._get("/predictions", wanted)

    def prediction(self, id: str) -> dict[str, Any]:
        return self._get(f"/predictions/{quote(id, safe='')}", {})

    def feedback(self, **wanted: str) -> dict[str, Any]:
        return self._get("/feedback", wanted)

    def routing(self, **wanted: str) -> dict[str, Any]:
        return self._get("/routing", wanted)

    def monitoring(self, model: str) -> dict[str, Any]:
        return self._get("/monitoring", {"model": model})

    def evidently(self, model: str) -> dict[str, Any]:
        return self._get("/evidently", {"model": model})

    def _get(self, path: str, wanted: dict[str, str]) -> dict[str, Any]:
        """Return the answer; raises LogError."""
        query = urlencode({name: value for name, value in wanted.items() if value}, errors="replace")
        return self.ask("GET", f"{path}?{query}")
