"""``pantheon models gc``: which versions may go, and their removal."""

import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.markup import escape

from pantheon.cli import show
from pantheon.cli.model_views import aliases_of, bytes_, damaged_rows, show_damaged, size, versions_of, when
from pantheon.errors import PantheonError
from pantheon.store import ModelStore

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LEFT = 3600.0  # seconds after which a publisher that has not finished was killed


def age(text: str) -> timedelta:
    """``30d``, ``12h`` … as a span; empty is none.

    Raises:
        PantheonError: it is no span.
    """
    if not text:
        return timedelta()
    found = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if not found:
        raise PantheonError(f"--older-than {text} is no span of time.", "Such as 30d, 12h, 2w.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def plan(store: ModelStore, model: str, keep: int, older_than: str) -> dict[str, Any]:
    """``{"model", "where", "remove": [{"version", "created", "bytes"}], "keep": {version: why}, "damaged": [...]}``.

    What an alias names stays, and what the champion was before: a rollback must find it. A version with a damaged
    manifest stays too: nothing says how old it is, and its files may be what somebody wants to save.
    """
    limit = datetime.now(UTC) - age(older_than)
    (versions, damaged), aliases = versions_of(store, model), aliases_of(store, model)
    kept = {v.version: f"one of the {keep} newest" for v in versions[-keep:]}
    for name, alias in aliases.items():
        kept[alias.version] = name
        if alias.previous and name == "champion":
            kept.setdefault(alias.previous, "the champion before, for a rollback")
    for version in versions:
        if datetime.fromisoformat(version.created) > limit:
            kept.setdefault(version.version, f"not older than {older_than}")
    for number in damaged:
        kept[number] = "its manifest is damaged"
    gone = [v for v in versions if v.version not in kept]
    return {
        "model": model,
        "where": store.where,
        "remove": [{"version": v.version, "created": v.created, "bytes": size(v)} for v in gone],
        "keep": {n: kept[n] for n in sorted({*(v.version for v in versions), *damaged} & set(kept), key=int)},
        "damaged": damaged_rows(damaged, aliases),
    }


def show_plan(found: dict[str, Any]) -> None:
    for each in found["remove"]:
        show.out.print(f"  version {each['version']:<6} made {when(each['created'])}  {bytes_(each['bytes'])}")
    freed, count = sum(each["bytes"] for each in found["remove"]), len(found["remove"])
    words = (
        f"{count} version{'' if count == 1 else 's'} to remove, {bytes_(freed)}" if count else "no version to remove"
    )
    show_damaged(found["damaged"])
    show.say(f"{words}; {len(found['keep'])} stay. {found['model']}, in {escape(found['where'])}")


def remove(state: Path, store: ModelStore, found: dict[str, Any]) -> dict[str, Any]:
    """Do it: ``{"removed": [version], "refused": {version: why}, "swept": [what]}``."""
    removed, refused = [], {}
    for each in found["remove"]:
        try:
            store.remove(found["model"], each["version"])
            removed.append(each["version"])
        except PantheonError as error:  # an alias has come to name it since it was looked at
            refused[each["version"]] = error.cause
    swept = store.sweep(found["model"], LEFT)
    for folder in (state / "data").glob(".publish-*"):
        if folder.stat().st_mtime < time.time() - LEFT:
            shutil.rmtree(folder)
            swept.append(f"data/{folder.name}")
    return {"removed": removed, "refused": refused, "swept": swept}


def show_removed(found: dict[str, Any]) -> None:
    for version in found["removed"]:
        show.say(f"{show.MARKS['done']} version {version} is gone")
    for version, why in found["refused"].items():
        show.say(f"[yellow]![/] version {version} stays: {escape(why)}")
    for what in found["swept"]:
        show.say(f"swept: {escape(what)}")
