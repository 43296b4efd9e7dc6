"""Client for the dataflow service: have it continue a run, and wait for the result."""

import time
from collections.abc import Callable
from typing import Any

from pantheon.errors import PantheonError
from pantheon.web.client import Client

RETRY_SECONDS = 120.0  # the engine restarts the service when it dies
AWAY = (500, 502, 503, 504)
POLL_SECONDS = 0.5  # a request costs the service one millisecond


class Service:
    """Client for the dataflow service.

    Args:
        address: such as ``http://dataflow:8070``.
        token: its bearer token.
    """

    def __init__(
        self, address: str, token: str, retry_seconds: float = RETRY_SECONDS, poll: float = POLL_SECONDS
    ) -> None:
        self.retry_seconds, self.poll = retry_seconds, poll
        cure = "See `bin/pantheon status` and `bin/pantheon logs --service dataflow`."
        self.client = Client(address, "the dataflow service", cure, {"Authorization": f"Bearer {token}"})

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """Send one request; retry while the service is unreachable.

        Raises:
            PantheonError: the service rejected the request (carries its reason), or stayed unreachable for
                ``retry_seconds``.
        """
        answer = self.client.ask(method, path, retry_seconds=self.retry_seconds, away=AWAY)
        if not answer.ok:
            raise PantheonError(f"the dataflow service rejected the request: {answer.reason('error')}", "")
        result: dict[str, Any] = answer.json()
        return result

    def finish(self, run: str, say: Callable[[str], None]) -> dict[str, Any]:
        """Continue ``run`` and wait until it is done. Finished stages do not run again.

        Returns:
            The run's outcome.

        Raises:
            PantheonError: the run failed; carries the run's own error.
        """
        answer = self.ask("POST", f"/runs/{run}/continue")
        reported: dict[str, str] = {}
        while answer["state"] != "done":
            if answer["state"] == "interrupted":  # the service or the run was killed
                say("the dataflow was interrupted; it continues from the last finished stage")
                answer = self.ask("POST", f"/runs/{run}/continue")
            if answer["state"] == "failed":
                error = answer.get("error") or {}
                raise PantheonError(error.get("cause") or f"run {run} failed.", error.get("cure") or "")
            time.sleep(self.poll)
            answer = self.ask("GET", f"/runs/{run}")
            for stage, record in (answer.get("stages") or {}).items():
                state = record["state"] if isinstance(record, dict) else str(record)
                if reported.get(stage) != state:
                    reported[stage] = state
                    say(f"{stage}: {state}")
        return answer.get("outcome") or {}
