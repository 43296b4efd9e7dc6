"""What changed between two reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pantheon.compare.figures import ALL
from pantheon.compare.report import Figures, Report, cells_of, differing


@dataclass(frozen=True)
class Change:
    """One difference: before and after as texts for people; ``by`` is the relative change, if both are numbers."""

    tier: str
    engine: str
    what: str
    before: str
    after: str
    by: float | None = None

    @property
    def percent(self) -> str:
        return "" if self.by is None else f"{self.by:+.0%}"


def between(before: Report, after: Report) -> list[Change]:
    """Return every difference that is larger than repeating the measurement would explain."""
    old = {(tier, engine): cell for tier, engine, cell in cells_of(before)}
    new = {(tier, engine): cell for tier, engine, cell in cells_of(after)}
    found = list(_of_machine(before, after))
    for (tier, engine), cell in new.items():
        if (tier, engine) in old:
            found += _of_cell(tier, engine, old[tier, engine], cell)
        else:
            found.append(Change(tier, engine, "this cell", "not measured", "measured"))
    missing = [Change(*key, "this cell", "measured", "not measured") for key in old if key not in new]
    return found + missing


def _of_machine(before: Report, after: Report) -> Iterator[Change]:
    for key in ("data", *{**before.get("machine", {}), **after.get("machine", {})}):
        old, new = ((report if key == "data" else report.get("machine", {})).get(key) for report in (before, after))
        if old != new:
            yield Change("", "", "data" if key == "data" else f"machine: {key}", str(old), str(new))


def _of_cell(tier: str, engine: str, before: Figures, after: Figures) -> Iterator[Change]:
    same_kills = before.get("kills_before", "") == after.get("kills_before", "")
    for figure in ALL:
        if figure.key.startswith("kills_") and not same_kills:
            continue  # other services were killed
        old, new = before.get(figure.key), after.get(figure.key)
        if old is None and new is None:
            continue
        if old is None or new is None:
            yield Change(tier, engine, figure.title, figure.shown(old), figure.shown(new))
        elif figure.differs(old, new):
            by = (new - old) / old if old else None
            yield Change(tier, engine, figure.title, figure.shown(old), figure.shown(new), by)
    for what, old_set, new_set in (
        ("services", _services(before), _services(after)),
        ("questions answered", _answered(before), _answered(after)),
    ):
        if gone := old_set - new_set:
            yield Change(tier, engine, what, ", ".join(sorted(gone)), "no longer")
        if came := new_set - old_set:
            yield Change(tier, engine, what, "not yet", ", ".join(sorted(came)))
    if places := list(differing(before.get("metrics"), after.get("metrics"))):
        yield Change(tier, engine, "metrics of the run", "", f"{len(places)} differ by more than 1e-9: {places[0]} …")
    yield from _of_kills(tier, engine, before, after)


def _of_kills(tier: str, engine: str, before: Figures, after: Figures) -> Iterator[Change]:
    old = {kill["service"]: kill for kill in before.get("kills", [])}
    for kill in after.get("kills", []):
        was = old.get(kill["service"])
        if was and (was["healthy_s"] is None) != (kill["healthy_s"] is None):
            words = ("never came back", "came back")
            then, now = (words[each["healthy_s"] is not None] for each in (was, kill))
            yield Change(tier, engine, f"{kill['service']}, killed", then, now)


def _services(cell: Figures) -> set[str]:
    return {service["name"] for service in cell.get("service_list", [])}


def _answered(cell: Figures) -> set[str]:
    return {str(each["question"]) for each in cell.get("questions", []) if each["state"] == "answered"}


def as_json(changes: list[Change]) -> list[dict[str, Any]]:
    """Return the changes for ``--json``."""
    from dataclasses import asdict

    return [asdict(change) for change in changes]
