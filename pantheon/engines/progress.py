"""Waiting in `up`, for all engines: report changes, detect crash loops and failures, return when all is healthy."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pantheon.engines import Event, OnEvent, ServiceStatus
from pantheon.engines.definition.model import Model
from pantheon.errors import PantheonError

CRASH_LOOP = 3  # consecutive exits that count as a crash loop
MAX_LOG_LINES = 10  # in an error
CURE = "Fix the problem and run `up` again. `logs` shows the complete log; `down` stops all services."


@dataclass(frozen=True)
class Observation:
    """The state of the services as seen by an engine during `up`.

    Attributes:
        services: current status of the services in the definition.
        final: the engine will not start a service again that failed, was stopped or is missing.
        settled: no other operation is in progress, such as removing a service.
        broken: why the engine itself gave up; empty if it did not.
    """

    services: Sequence[ServiceStatus]
    final: bool = True
    settled: bool = True
    broken: str = ""


class Progress:
    """Tracks and reports the services' changes during one command.

    Args:
        on_event: called with every change.
        tail: returns the last lines of a service's log, oldest first.
        before: status before the command started, which is not reported.
    """

    def __init__(
        self, on_event: OnEvent | None, tail: Callable[[str], list[str]], before: Sequence[ServiceStatus] = ()
    ) -> None:
        self.on_event, self.tail, self.begin = on_event, tail, time.monotonic()
        self.reported = {status.name: _news(status) for status in before}

    def report(self, services: Sequence[ServiceStatus], one_offs: frozenset[str] = frozenset()) -> None:
        """Report the changes since the last call.

        Args:
            one_offs: services that must complete; while they run, they are reported as ``starting``.
        """
        for status in services:
            if self.reported.get(status.name) != _news(status):
                self.reported[status.name] = _news(status)
                if self.on_event:
                    state = "starting" if status.state == "running" and status.name in one_offs else status.state
                    self.on_event(Event(status.name, state, status.why, time.monotonic() - self.begin))

    def tell(self, name: str, state: str, why: str) -> None:
        """Report an event of something that is not one of the services."""
        if self.on_event:
            self.on_event(Event(name, state, why, time.monotonic() - self.begin))

    def until_up(self, model: Model, observe: Callable[[], Observation], pause: float) -> None:
        """Wait until every service that ``up`` starts is healthy, running or completed.

        Args:
            observe: queries the engine.
            pause: seconds between two queries.

        Raises:
            PantheonError: a service failed or keeps crashing: names it, the reason and the last lines of its log.
        """
        while True:
            seen = observe()
            # a container that stops because a changed one replaces it is not reported
            self.report([s for s in seen.services if s.state != "stopped"], model.must_complete)
            self._judge(model, seen)
            if seen.broken:
                raise PantheonError(seen.broken, "Fix the problem and run `up` again, or `down` to clean up.", 1)
            if seen.settled and is_up(seen.services, model):
                return
            time.sleep(pause)

    def _judge(self, model: Model, seen: Observation) -> None:
        """Raise an error if waiting longer cannot help."""
        by_name = {status.name: status for status in seen.services}
        for name in model.started:
            status = by_name.get(name)
            if status is None or status.state == "stopped":
                if seen.final and not seen.broken:
                    why = f" ({status.why})" if status and status.why else ""
                    raise PantheonError(
                        f"{name} was stopped or removed{why} while `up` was waiting.", "Run `up` again.", 1
                    )
                continue
            crashes = status.state == "restarting" and (bool(seen.broken) or status.crashes >= CRASH_LOOP)
            if crashes or (seen.final and status.state == "failed"):
                how = "keeps crashing" if crashes else "failed"
                raise PantheonError(f"{name} {how}: {status.why}.{last_lines(name, self.tail(name))}", CURE, 1)


def is_up(services: Sequence[ServiceStatus], model: Model) -> bool:
    """Return whether every service has the state that `up` waits for."""
    by_name = {status.name: status for status in services}
    return all(name in by_name and _is_good(by_name[name], model) for name in model.started)


def _is_good(status: ServiceStatus, model: Model) -> bool:
    if status.name in model.must_complete:
        return status.state == "completed"
    return status.state in ("healthy", "running", "completed")


def _news(status: ServiceStatus) -> tuple[str, str, int]:
    return status.state, "" if status.state == "starting" else status.since, status.restarts


def last_lines(service: str, lines: Sequence[str]) -> str:
    """Format the last lines of a log for an error."""
    return (
        "".join(f"\n    {service} | {line}" for line in lines[-MAX_LOG_LINES:]) + "\n"
        if lines
        else " Its log is empty."
    )
