"""Operations of commands on the feature store: list, show, look up, compute again, forget.

They run in the workflow's environment (``python -m pantheon.worker ask features.NAME``), which reaches the service and
the models, and return JSON values for the commands to show.
"""

from pathlib import Path
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.features import usage
from pantheon.features.client import Features
from pantheon.features.contract import canonical
from pantheon.store import open_store

RETRY_SECONDS = 5.0  # for a service that does not answer; short, because a user waits at the terminal


def listed(state: Path) -> dict[str, Any]:
    """Return ``{"views": …}``: the catalogue, with the models that use each view."""
    views = _store().catalogue()
    usage.attach(open_store(state, retry_seconds=RETRY_SECONDS), views)
    return {"views": views}


def shown(state: Path, view: str) -> dict[str, Any]:
    """Return what the catalogue knows about a view, with the models that use it."""
    found = _store().described(view)
    usage.attach(open_store(state, retry_seconds=RETRY_SECONDS), [found])
    return found


def at(state: Path, entities: list[str], time: str, view: str = "") -> dict[str, Any]:
    """Return ``{"rows": …}``: what was known about entities at a time.

    Args:
        entities: such as ``robot-id=7`` or ``7``.
        time: ISO 8601.
    """
    store = _store()
    ids, views = _asked(store, entities, view)
    found = [row for row in store.at(ids, time, view) if row.view in views]
    return {"time": time, "rows": msgspec.to_builtins(found)}


def online(state: Path, entities: list[str], view: str = "") -> dict[str, Any]:
    """Return ``{"rows": …}``: what the online store has about entities, as ``at``."""
    store = _store()
    ids, views = _asked(store, entities, view)
    found = [row for row in store.online(ids, view) if row.view in views]
    return {"rows": msgspec.to_builtins(found)}


def forget(state: Path, column: str, value: str) -> dict[str, Any]:
    """Remove the rows with ``value`` in ``column`` from the feature store; return counts, and ``words``."""
    done = _store().forget(column, value)
    return {**done, "words": words(done)}


def backfill(state: Path, view: str, since: str = "") -> dict[str, Any]:
    """Compute an engineered view for stored rows that it lacks; see ``pantheon.features.backfill``."""
    from pantheon.features import backfill

    return backfill.fill(_store(), view, since)


def materialize(state: Path, views: list[str], everything: bool) -> dict[str, Any]:
    """Bring views online, all if none is named; return ``{"views": counts by view}``."""
    done = _store().materialize(views or None, everything=everything)
    return {"views": {name: msgspec.to_builtins(each) for name, each in done.items()}}


def words(done: dict[str, int]) -> str:
    """Return what ``forget`` did, as a sentence."""
    rows, parts, online = (done.get(name, 0) for name in ("rows", "parts", "online"))
    if not rows and not online:
        return "The feature store has no such rows."
    text = f"{rows:,} row{'s' * (rows != 1)} of features were removed from {parts:,} part{'s' * (parts != 1)}"
    return f"{text}, and {online:,} {'entities' if online != 1 else 'entity'} from the online store."


def _store() -> Features:
    return Features.here(RETRY_SECONDS)


def _asked(store: Features, entities: list[str], view: str) -> tuple[list[str], set[str]]:
    """Return the ids, and the views that have their column.

    Raises:
        PantheonError: they name several columns, or none is a view's entity, or one is not an id.
    """
    columns = {column for column, equals, _ in (each.partition("=") for each in entities) if equals}
    if len(columns) > 1:
        raise PantheonError(f"these are entities of several kinds: {', '.join(sorted(columns))}.", "Ask for one kind.")
    try:
        ids = [canonical(each.partition("=")[2] if "=" in each else each) for each in entities]
    except ValueError as error:
        raise PantheonError(f"{error}.", "Name an entity, such as robot-id=7.") from None
    known = [each for each in store.catalogue() if each["entity"] and view in ("", each["name"])]
    views = {each["name"] for each in known if not columns or columns & {each["entity"], each["key"]}}
    if not views:
        has = ", ".join(sorted({each["entity"] for each in known})) or "none"
        what = f"{view or 'the feature store'} has no entity {''.join(columns)}".rstrip()
        raise PantheonError(f"{what}; it has: {has}.", "`bin/pantheon features list` shows the views.")
    return ids, views
