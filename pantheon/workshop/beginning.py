"""What a workshop begins with: who takes part, on which ports, and with which caps."""

import os
import re
from dataclasses import dataclass

from pantheon import components
from pantheon.deployment.deployment import Deployment, home
from pantheon.deployment.offsets import offsets
from pantheon.engines import ports
from pantheon.errors import PantheonError
from pantheon.tiers import Tier
from pantheon.workshop import page
from pantheon.workshop.place import MOST, Person, Place, Workshop, named

FIRST_OFFSET = 1000
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
MORE = 1.5  # a person's cap on memory, by default: that many times what the tier's components ask for


@dataclass(frozen=True)
class Asked:
    """What the user asked for; None or empty: the default, or what the workshop has already.

    Attributes:
        offset: of the first person; the others' follow in steps of ``ports.STEP``.
        options: further options of ``up`` for a new deployment.
    """

    people: int | None
    memory: int | None
    cpus: float | None
    offset: int | None
    options: list[str]


def planned(place: Place, tier: Tier, asked: Asked) -> Workshop:
    """Return the workshop as it was asked for: the existing one, with more people, or a new one.

    Raises:
        PantheonError: there is one of another tier or with more people; or no ports are free.
    """
    before = place.read()
    if before and before.tier != tier.name:
        cause = f"there is a workshop already, of the tier {before.tier}."
        raise PantheonError(cause, "End it first: `bin/pantheon workshop down`")
    count = asked.people or (len(before.people) if before else 0)
    if not count:
        raise PantheonError("PEOPLE= is missing.", f"Say how many: `make workshop PEOPLE=20 TIER={tier.name}`")
    if count > MOST:
        raise PantheonError(f"{count} people are too many for one machine.", f"Use at most {MOST}.")
    there = before.people if before else []
    if count < len(there):
        cause = f"the workshop has {len(there)} people already."
        raise PantheonError(cause, "Leave some deployments unused, or end it: `bin/pantheon workshop down`")
    people = [*there, *more_people(place, tier, named(count)[len(there) :], there, asked.offset)]
    if before:
        before.people = people
        before.memory = before.memory if asked.memory is None else asked.memory
        before.cpus = before.cpus if asked.cpus is None else asked.cpus
        return before
    memory = default_memory(tier) if asked.memory is None else asked.memory
    cpus = max(1.0, cores() / 2) if asked.cpus is None else asked.cpus
    return Workshop(tier.name, people, memory, cpus, asked.options, page.port(people[0].offset))


def more_people(place: Place, tier: Tier, names: list[str], there: list[Person], first: int | None) -> list[Person]:
    """Return people with port offsets at which all ports of the tier are free, and that no deployment has."""
    if not names:
        return []
    wanted = list(ports_of(place, tier, names[0]))
    taken = offsets(home()) | {person.offset for person in there}
    after = max((person.offset for person in there), default=FIRST_OFFSET - ports.STEP) + ports.STEP
    offset = after if first is None else first
    found = []
    for name in names:
        while offset in taken or not all(ports.is_free(port + offset) for port in wanted):
            offset += ports.STEP
            if offset + max(wanted) > ports.HIGHEST:
                raise PantheonError(f"too few ports are free for {len(names)} people.", "Choose another PORT_OFFSET.")
        found.append(Person(name, offset))
        taken.add(offset)
    return found


def ports_of(place: Place, tier: Tier, name: str) -> set[int]:
    """Return the ports of a deployment of the tier without an offset."""
    engine = Deployment(name, place.trash / "none").engine(tier, "local")
    return {port for plan in engine.planned() for port in plan.ports}


def default_memory(tier: Tier) -> int:
    """Return the cap on the memory of one person, in bytes: what the tier asks for, and a reserve."""
    return round(components.read(tier.compose_file).memory_mb * MORE) * 10**6


def size(text: str) -> int:
    """Parse ``2g``, ``1500m`` or ``none``; bytes, 0 for none.

    Raises:
        PantheonError: it is none of these.
    """
    given = text.strip().lower()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", given)
    if given == "none":
        return 0
    if not found or not float(found[1]):
        raise PantheonError(f"MEMORY={text} is not a size.", "For example MEMORY=2g, or MEMORY=none.")
    return round(float(found[1]) * UNITS[found[2]])


def processors(text: str) -> float:
    """Parse ``1.5`` or ``none``; 0 for none.

    Raises:
        PantheonError: it is none of these.
    """
    given = text.strip().lower()
    if given == "none":
        return 0.0
    if not re.fullmatch(r"\d+(\.\d+)?", given) or not float(given):
        raise PantheonError(f"CPUS={text} is not a number of processors.", "For example CPUS=1.5, or CPUS=none.")
    return float(given)


def cores() -> int:
    return len(os.sched_getaffinity(0))
