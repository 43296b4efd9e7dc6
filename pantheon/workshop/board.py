"""Who is where: the state of everybody's deployment, read from its files. Changes nothing; also used by the page."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pantheon import state
from pantheon.errors import PantheonError
from pantheon.exercises import data, record
from pantheon.processes import find
from pantheon.state import ServiceRecord
from pantheon.tiers import find as find_tier
from pantheon.workflow import runs
from pantheon.workshop.place import Person, Place, Workshop

PAGE = 8080
UP = ("healthy", "running")
NOT_RUNNING = ("stopped", "completed")


class Seat(msgspec.Struct, frozen=True):
    """Somebody's deployment, as it is now.

    Attributes:
        tier: where the person is; empty: not started yet.
        state: ``up``, ``starting``, ``trouble`` or ``down``.
        why: what is not up; empty for nothing.
        page: the address of the person's page.
        passed: the exercises of the tier that were passed, by number.
        helped: of those, the ones whose solution was shown.
        tries: checks that did not pass, of exercises that are not passed yet, by number.
        run: the newest run: ``{"created", "dataset", "state", "decision", "version"}``; empty for none.
    """

    name: str
    tier: str
    state: str
    why: str
    page: str
    passed: list[int] = []
    helped: list[int] = []
    tries: dict[int, int] = {}
    run: dict[str, Any] = {}


def seats(place: Place, workshop: Workshop) -> list[Seat]:
    """Return everybody's seat, in their order."""
    return [seat(place.people / person.name, person) for person in workshop.people]


def exercises(tier: str) -> list[tuple[int, str]]:
    """Return number and title of each exercise of a tier."""
    try:
        return [(each.number, each.title) for each in data.of(find_tier(tier))]
    except PantheonError:
        return []


def seat(folder: Path, person: Person) -> Seat:
    """Return the seat of a person whose deployment is in ``folder``."""
    tier, how, why, work, newest = "", "down", "", record.Record(), {}
    with suppress(OSError, PantheonError):  # being made, or being reset
        settings = state.read_settings(folder)
        tier = settings.tier if settings else ""
        how, why = state_of(state.read_services(folder).services)
        work = record.read(folder)
        newest = newest_run(folder)
    mine = {int(key.partition("/")[2]): each for key, each in work.exercises.items() if key.startswith(f"{tier}/")}
    return Seat(
        name=person.name,
        tier=tier,
        state=how,
        why=why,
        page=f"http://127.0.0.1:{PAGE + person.offset}",
        passed=sorted(number for number, each in mine.items() if each.passed),
        helped=sorted(number for number, each in mine.items() if each.passed and each.solution),
        tries={number: each.tries for number, each in mine.items() if each.tries and not each.passed},
        run=newest,
    )


def state_of(services: Iterable[ServiceRecord]) -> tuple[str, str]:
    """Return the state of all services together, and which are not up."""
    wanted = [each for each in services if each.state not in NOT_RUNNING]
    if not wanted:
        return "down", ""
    gone = [each.name for each in wanted if each.state in UP and not (each.pid and find(each.pid))]
    bad = [each.name for each in wanted if each.state in ("failed", "restarting")] + gone
    if bad:
        return "trouble", ", ".join(bad)
    late = [each.name for each in wanted if each.state not in UP]
    return ("starting", ", ".join(late)) if late else ("up", "")


def newest_run(folder: Path) -> dict[str, Any]:
    """Return the newest run; empty for none."""
    for run in runs.listed(folder)[:1]:
        fields = ("created", "dataset", "state", "decision", "version")
        return {name: getattr(run, name) for name in fields}
    return {}
