"""Asks the workflow's own service to go on with a run, and waits for it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from pantheon.errors import PantheonError

PATIENCE = 120.0  # seconds that the service may be away: it is restarted when it dies
POLL = 0.5  # seconds; a look costs it a millisecond


class Service:
    """The dataflow's service.

    Args:
        address: such as ``http://dataflow:8070``.
        token: its bearer token.
    """

    def __init__(self, address: str, token: str, patience: float = PATIENCE, poll: float = POLL) -> None:
        self.address, self.token, self.patience, self.poll = address, token, patience, poll
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a neighbour: never by a proxy

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """One request, made again while the service is away.

        Raises:
            PantheonError: it refuses, with its reason, or is away for longer than ``patience``.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        begin = time.monotonic()
        while True:
            request = urllib.request.Request(self.address + path, method=method, headers=headers)  # noqa: S310
            try:
                with self.opener.open(request, timeout=20) as answer:
                    found: dict[str, Any] = json.load(answer)
                    return found
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise refusal(error) from None
                problem = f"{error.code} {error.reason}"
            except (OSError, ValueError) as error:  # refused, reset, cut off in the middle
                problem = str(error)
            if time.monotonic() - begin > self.patience:
                raise PantheonError(
                    f"the dataflow service at {self.address} does not answer: {problem}.",
                    "See `make status` and `make logs SERVICE=dataflow`.",
                    1,
                )
            time.sleep(self.poll)

    def finish(self, run: str, say: Callable[[str], None]) -> dict[str, Any]:
        """Have the rest of ``run`` done, and wait for it; what is done already is not done again.

        Returns:
            The run's outcome.

        Raises:
            PantheonError: the run failed, in its own words.
        """
        answer = self.ask("POST", f"/runs/{run}/continue")
        told: dict[str, str] = {}
        while answer["state"] != "done":
            if answer["state"] == "interrupted":  # the service or the run was killed
                say("the dataflow was interrupted; it goes on where it stopped")
                answer = self.ask("POST", f"/runs/{run}/continue")
            if answer["state"] == "failed":
                error = answer.get("error") or {}
                raise PantheonError(error.get("cause") or f"run {run} failed.", error.get("cure") or "")
            time.sleep(self.poll)
            answer = self.ask("GET", f"/runs/{run}")
            for stage, record in (answer.get("stages") or {}).items():
                state = record["state"] if isinstance(record, dict) else str(record)
                if told.get(stage) != state:
                    told[stage] = state
                    say(f"{stage}: {state}")
        return answer.get("outcome") or {}


def refusal(error: urllib.error.HTTPError) -> PantheonError:
    """The service's own reason for a status from 400 to 499."""
    try:
        reason = str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        reason = f"{error.code} {error.reason}"
    return PantheonError(f"the dataflow service refuses: {reason}", "")
