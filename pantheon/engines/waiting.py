"""Follows services.json while `up` or `down` waits, and says when waiting on is of no use."""

import time
from typing import Any

from pantheon.engines import Event, OnEvent, logs
from pantheon.engines.files import Home, read_json
from pantheon.engines.model import COMPLETED, Service
from pantheon.errors import PantheonError

LOOK = 0.02  # seconds between looks
LOOP = 3  # ends in a row that make a crash loop
SHOWN = 10  # log lines in an error


class Waiting:
    """What one command has seen of the services.

    Args:
        on_event: told of each change.
        begin: when the command began, monotonic seconds.
        known: the services' records so far, of which nobody need be told.
    """

    def __init__(self, home: Home, on_event: OnEvent | None, begin: float, known: list[dict[str, Any]]) -> None:
        self.home, self.on_event, self.begin = home, on_event, begin
        self.told = {record["name"]: (record["state"], record["restarts"]) for record in known}

    def tell(self, records: list[dict[str, Any]]) -> None:
        """Tell of what has changed since the last call."""
        for record in records:
            now = (record["state"], record["restarts"])
            if self.told.get(record["name"]) != now:
                self.told[record["name"]] = now
                if self.on_event:
                    self.on_event(Event(record["name"], now[0], record["why"], time.monotonic() - self.begin))

    def until_good(self, wanted: dict[str, Service], generation: int) -> None:
        """Wait until every service of ``wanted`` is healthy or complete and no other is left.

        Raises:
            PantheonError: one cannot get there.
        """
        needs = [needed for service in wanted.values() for needed in service.depends_on.items()]
        must_complete = {name for name, condition in needs if condition == COMPLETED}
        must_complete |= {name for name, service in wanted.items() if service.one_off}
        while True:
            alive = self.home.supervisor()
            current = read_json(self.home.services) or {"generation": -1, "services": []}
            records = {record["name"]: record for record in current["services"]}
            if current["generation"] >= generation:
                self.tell(current["services"])
                self.judge(wanted, records)
                leaving = current["generation"] == generation and not records.keys() <= wanted.keys()
                if not leaving and all(good(records[name], name in must_complete) for name in wanted):
                    return
            if not alive:
                raise PantheonError(
                    f"The supervisor ended while `up` was waiting.{last_lines(self.home, 'supervisor')}",
                    "Run `up` again, or `down` to clean.",
                    1,
                )
            time.sleep(LOOK)

    def judge(self, wanted: dict[str, Service], records: dict[str, dict[str, Any]]) -> None:
        """Raise where waiting on is of no use."""
        for name in wanted:
            record = records.get(name)
            if not record or record["state"] == "stopped":
                raise PantheonError(
                    f"{name} was stopped or taken away by another command while `up` was waiting.", "Run `up` again.", 1
                )
            loop = record["state"] == "restarting" and record["ends"] >= LOOP
            if record["state"] == "failed" or loop:
                how = "ends again and again" if loop else "failed"
                raise PantheonError(
                    f"{name} {how}: {record['why']}.{last_lines(self.home, name, record['log_begin'])}",
                    f"Correct it and run `up` again; `logs` shows all of {self.home.log(name)}; `down` stops all.",
                    1,
                )


def good(record: dict[str, Any], must_complete: bool) -> bool:
    """Whether a service is where `up` wants it; another one may wait for its completion."""
    return record["state"] == "completed" or (record["state"] in ("healthy", "running") and not must_complete)


def last_lines(home: Home, service: str, begin: int = 0) -> str:
    """The last lines of a log after the byte ``begin``, for a message."""
    lines = logs.last_lines(home.log(service), SHOWN, begin)
    return "".join(f"\n    {service} | {line}" for line in lines) + "\n" if lines else " Its log is empty."
