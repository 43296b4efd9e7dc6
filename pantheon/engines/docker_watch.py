"""Follows the containers while Compose brings them up, and says when waiting on is of no use."""

import time
from collections.abc import Callable, Sequence

from pantheon.engines import Event, OnEvent, ServiceStatus
from pantheon.engines.docker_model import Model
from pantheon.errors import PantheonError

LOOP = 3  # restarts in a row that make a crash loop


def good(status: ServiceStatus, model: Model) -> bool:
    """Whether a service is where `up` wants it; another one may wait for its completion."""
    return status.state in ("completed", "healthy") or (
        status.state == "running" and status.name not in model.must_complete
    )


class Watch:
    """What one `up` has seen.

    Args:
        before: the services before it began, of which nobody need be told.
        on_event: told of each change.
        begin: when the command began, monotonic seconds.
        tail: the last lines of a service's log, for a message.
    """

    def __init__(
        self,
        model: Model,
        before: Sequence[ServiceStatus],
        on_event: OnEvent | None,
        begin: float,
        tail: Callable[[str], str],
    ) -> None:
        self.model, self.on_event, self.begin, self.tail = model, on_event, begin, tail
        self.told = {status.name: self.news(status) for status in before}

    def news(self, status: ServiceStatus) -> tuple[str, str, int]:
        return status.state, "" if status.state == "starting" else status.since, status.restarts

    def tell(self, found: Sequence[ServiceStatus]) -> None:
        """Report what is new; a container that stops to make room for the changed one is no news."""
        for status in found:
            if self.told.get(status.name) != self.news(status) and status.state != "stopped":
                self.told[status.name] = self.news(status)
                begun = status.state == "running" and not good(status, self.model)  # a one-off at its work
                if self.on_event:
                    state = "starting" if begun else status.state
                    self.on_event(Event(status.name, state, status.why, time.monotonic() - self.begin))

    def judge(self, found: Sequence[ServiceStatus], over: bool, failed: bool = False) -> None:
        """Say where waiting on is of no use.

        Args:
            over: Compose has ended; before, a container that failed may be one that it will still start again.
            failed: Compose gave up, so that one which is being restarted is what it waited for.

        Raises:
            PantheonError: names the service, why, and the last lines of its log.
        """
        for status in found:
            loop = status.state == "restarting" and (failed or status.restarts >= LOOP)
            gone = over and status.state == "stopped" and status.name in self.model.started
            if not (loop or gone or (over and status.state == "failed")):
                continue
            how = "ends again and again" if loop else ("was stopped" if gone else "failed")
            raise PantheonError(
                f"{status.name} {how}: {status.why}.{self.tail(status.name)}",
                "Correct it and run `up` again; `logs` shows all of it; `down` stops what runs.",
                1,
            )

    def is_up(self, found: Sequence[ServiceStatus]) -> bool:
        return {s.name for s in found} >= set(self.model.started) and all(good(s, self.model) for s in found)
