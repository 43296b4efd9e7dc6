"""Operations of commands on a deployment's models: list, describe, verify, move aliases, remove old versions.

They run where the store can be reached, in the workflow's environment (``python -m pantheon.worker ask models.NAME``),
and return JSON values for the commands to show.
"""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.files import remove_scratch
from pantheon.store.base import ModelStore
from pantheon.store.records import Alias, Damaged, Version

CHAMPION, CHALLENGER = "champion", "challenger"
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
UNPACKED = ".publish-"  # folders in data/ with the files of a model that is being published (files.scratch)
STALE_SECONDS = 3600.0  # a publisher that has not finished after this time was killed


def aliases(store: ModelStore, model: str) -> dict[str, Any]:
    """``{alias: {"version", "since", "by", "note", "previous"}}``."""
    return {name: alias.as_dict() for name, alias in aliases_of(store, model).items()}


def promote(store: ModelStore, model: str, version: str, alias: str, by: str, note: str) -> dict[str, Any]:
    """Point ``alias`` at ``version``, which must be undamaged.

    Returns:
        ``Alias.as_dict`` of the alias, and in ``before`` its previous value: None for nothing.

    Raises:
        PantheonError: the version does not exist or is damaged, or the alias changed in the meantime.
    """
    if problems := store.verify(model, version):
        raise PantheonError(
            f"version {version} of {model} is damaged: {problems[0]}", "`models list` shows the other versions.", 1
        )
    now = store.alias(model, alias)
    record = store.promote(model, version, alias, expected=now.version if now else None, by=by, note=note)
    if alias == CHAMPION:
        store.drop(model, CHALLENGER, expected=version)  # it is approved
    return {**record.as_dict(), "before": now.as_dict() if now else None}


def rollback(store: ModelStore, model: str, to: str, by: str, note: str) -> dict[str, Any]:
    """Make the previous champion, or ``to``, the champion; returns and raises as ``promote``."""
    now = store.resolve(model)
    target = to or now.previous
    if target is None or target == now.version:
        store.rollback(model, to=to or None)  # raises the error that explains it
    return promote(store, model, str(target), CHAMPION, by, note or f"rollback from version {now.version}")


def waiting(store: ModelStore) -> list[dict[str, Any]]:
    """Return the challenger of every model: ``[{"model", "version", "since", "by", "note"}]``, in the models' order."""
    found = [(model, store.alias(model, CHALLENGER)) for model in store.names()]
    return [
        {"model": model, "version": alias.version, "since": alias.since, "by": alias.by, "note": alias.note}
        for model, alias in found
        if alias
    ]


def only_waiting(store: ModelStore, model: str) -> str:
    """Return the model whose challenger a decision is about: the only one that has a challenger, else ``model``.

    Raises:
        PantheonError: several models have one, and ``model`` is not among them.
    """
    names = [each["model"] for each in waiting(store)]
    if not names or model in names:
        return model
    if len(names) > 1:
        raise PantheonError(
            f"several models have a challenger: {', '.join(names)}.", f"Choose one: `approve --model {names[0]}`"
        )
    return str(names[0])


def aliases_of(store: ModelStore, model: str) -> dict[str, Alias]:
    """Return every alias of the model that names a version."""
    records = {name: store.alias(model, name) for name in store.aliases(model)}
    return {name: alias for name, alias in records.items() if alias}


def versions_of(store: ModelStore, model: str) -> tuple[list[Version], dict[str, Damaged]]:
    """Return the model's versions, oldest first, and those whose manifest is damaged.

    Raises:
        PantheonError: there is no such model.
    """
    versions, damaged = store.list(model), store.damaged(model)
    if not (versions or damaged):
        names = ", ".join(store.names())
        raise PantheonError(
            f"there is no version of model {model!r} in {store.where}.",
            f"Choose another with --model: {names}." if names else "`run` trains and deploys one.",
        )
    return versions, damaged


def size(version: Version) -> int:
    """Return the total size of its files in bytes."""
    return sum(int(file["size"]) for file in version.files.values())


def row(version: Version, aliases: dict[str, Alias]) -> dict[str, Any]:
    metadata = version.metadata
    return {
        "version": version.version,
        "created": version.created,
        "chosen": metadata.get("chosen"),
        "metric": metadata.get("metric"),
        "run": metadata.get("run"),
        "data": metadata.get("data"),
        "origin": metadata.get("origin", "run"),
        "aliases": [name for name, alias in aliases.items() if alias.version == version.version],
        "bytes": size(version),
        "commit": (metadata.get("version_control") or {}).get("commit"),
    }


def listed(store: ModelStore, model: str) -> dict[str, Any]:
    """Return ``{"model", "where", "versions", "damaged": [{"version", "why", "cure", "aliases"}]}``, newest first."""
    (versions, damaged), aliases = versions_of(store, model), aliases_of(store, model)
    return {
        "model": model,
        "where": store.where,
        "versions": [row(v, aliases) for v in reversed(versions)],
        "damaged": damaged_rows(damaged, aliases),
    }


def damaged_rows(damaged: dict[str, Damaged], aliases: dict[str, Alias]) -> list[dict[str, Any]]:
    """Return ``{"version", "why", "cure", "aliases"}`` of every version with a damaged manifest, newest first."""
    return [
        {
            "version": number,
            "why": error.cause,
            "cure": error.cure,
            "aliases": [name for name, alias in aliases.items() if alias.version == number],
        }
        for number, error in reversed(damaged.items())
    ]


def described(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    """Return manifest, lineage, signature, aliases and file addresses; ``trouble`` describes a damaged file."""
    version = number(store, model, version)
    found = store.describe(model, version)
    lineage: dict[str, Any] = {}
    signature: dict[str, Any] = {}
    trouble = ""
    try:
        folder = store.get(model, version)
        lineage, signature = (
            json.loads((folder / name).read_text(encoding="utf-8")) if name in found.files else {}
            for name in ("lineage.json", "signature.json")
        )
    except PantheonError as error:
        trouble = error.cause
    return {
        **row(found, aliases_of(store, model)),
        "model": model,
        "where": f"{store.where}/{model}/{version}",
        "aliases": {name: a.as_dict() for name, a in aliases_of(store, model).items() if a.version == version},
        "metadata": dict(found.metadata),
        "lineage": lineage,
        "signature": signature,
        "version_control": lineage.get("version_control"),
        "files": {
            name: {**file, "address": f"{store.where}/{model}/{version}/{name}"} for name, file in found.files.items()
        },
        "trouble": trouble,
    }


def metrics(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    """Return the whole ``metrics.json`` of a version."""
    found: dict[str, Any] = json.loads((store.get(model, version) / "metrics.json").read_text(encoding="utf-8"))
    return found


def verified(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    """Verify every file: ``{"model", "where", "versions": [{"version", "files", "problems"}]}``."""
    numbers = [version]
    if version == "all":
        versions, damaged = versions_of(store, model)
        numbers = sorted([*(v.version for v in versions), *damaged], key=int)
    return {"model": model, "where": store.where, "versions": [_verified(store, model, number) for number in numbers]}


def _verified(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    try:
        files = len(store.describe(model, version).files)
    except Damaged:
        files = 0  # unknown
    return {"version": version, "files": files, "problems": store.verify(model, version)}


def number(store: ModelStore, model: str, version: str) -> str:
    """Return the number of a version: ``version`` itself, or the one that an alias such as ``champion`` names."""
    return version if version[:1].isdigit() else str(store.resolve(model, version).version)


def age(text: str) -> timedelta:
    """Parse an age such as ``30d`` or ``12h``; empty is zero.

    Raises:
        PantheonError: it is not valid.
    """
    if not text:
        return timedelta()
    match = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if not match:
        raise PantheonError(
            f"--older-than {text} is not a valid age.", "Use a number and a unit, such as 30d, 12h or 2w."
        )
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def plan(store: ModelStore, model: str, keep: int, older_than: str) -> dict[str, Any]:
    """Plan a cleanup.

    Versions that an alias names are kept, and the previous champion, which a rollback needs. Versions with a damaged
    manifest are kept too: their age is unknown, and a user may want to rescue the files.

    Returns:
        ``{"model", "where", "remove": [{"version", "created", "bytes"}], "keep": {version: why}, "damaged": [...]}``.
    """
    limit = datetime.now(UTC) - age(older_than)
    (versions, damaged), aliases = versions_of(store, model), aliases_of(store, model)
    kept = {v.version: f"one of the {keep} newest" for v in versions[-keep:]}
    for name, alias in aliases.items():
        kept[alias.version] = name
        if alias.previous and name == "champion":
            kept.setdefault(alias.previous, "the previous champion, for a rollback")
    policy = store.policy(model)
    for named in policy.versions if policy else ():
        kept.setdefault(named, "the routing policy names it")
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


def remove(state: Path, store: ModelStore, planned: dict[str, Any]) -> dict[str, Any]:
    """Execute the plan: ``{"removed": [version], "refused": {version: why}, "swept": [what]}``."""
    removed, refused = [], {}
    for entry in planned["remove"]:
        try:
            store.remove(planned["model"], entry["version"])
            removed.append(entry["version"])
        except PantheonError as error:  # an alias names it in the meantime
            refused[entry["version"]] = error.cause
    swept = store.sweep(planned["model"], STALE_SECONDS)
    swept += [f"data/{folder.name}" for folder in remove_scratch(state / "data", UNPACKED)]
    for part in (state / "data").glob(".*.part"):  # of a command that was killed while it sent a file
        if part.stat().st_mtime < time.time() - STALE_SECONDS:
            part.unlink()
            swept.append(f"data/{part.name}")
    return {"removed": removed, "refused": refused, "swept": swept}
