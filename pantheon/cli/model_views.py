"""What ``pantheon models list``, ``show`` and ``verify`` say."""

import json
from datetime import datetime
from typing import Any

from rich.markup import escape

from pantheon.cli import show
from pantheon.errors import PantheonError
from pantheon.store import Alias, Damaged, ModelStore, Version

MARKS = {"champion": "[green]●[/] champion", "challenger": "[yellow]○[/] challenger"}


def aliases_of(store: ModelStore, model: str) -> dict[str, Alias]:
    """Every alias of the model that names something."""
    found = {name: store.alias(model, name) for name in store.aliases(model)}
    return {name: alias for name, alias in found.items() if alias}


def versions_of(store: ModelStore, model: str) -> tuple[list[Version], dict[str, Damaged]]:
    """The model's versions, oldest first, and those whose manifest is damaged.

    Raises:
        PantheonError: there is no such model.
    """
    versions, damaged = store.list(model), store.damaged(model)
    if not (versions or damaged):
        known = ", ".join(store.names())
        raise PantheonError(
            f"there is no version of model {model!r} in {store.where}.",
            f"Models there: {known}; --model says which." if known else "`bin/pantheon run` trains and deploys one.",
        )
    return versions, damaged


def size(version: Version) -> int:
    """Bytes of all its files."""
    return sum(int(file["size"]) for file in version.files.values())


def row(version: Version, aliases: dict[str, Alias]) -> dict[str, Any]:
    told = version.metadata
    return {
        "version": version.version,
        "created": version.created,
        "chosen": told.get("chosen"),
        "metric": told.get("metric"),
        "run": told.get("run"),
        "data": told.get("data"),
        "origin": told.get("origin", "run"),
        "aliases": [name for name, alias in aliases.items() if alias.version == version.version],
        "bytes": size(version),
        "commit": (told.get("version_control") or {}).get("commit"),
    }


def listed(store: ModelStore, model: str) -> dict[str, Any]:
    """``{"model", "where", "versions", "damaged": [{"version", "why", "cure", "aliases"}]}``, the newest first."""
    (versions, damaged), aliases = versions_of(store, model), aliases_of(store, model)
    return {
        "model": model,
        "where": store.where,
        "versions": [row(v, aliases) for v in reversed(versions)],
        "damaged": damaged_rows(damaged, aliases),
    }


def damaged_rows(damaged: dict[str, Damaged], aliases: dict[str, Alias]) -> list[dict[str, Any]]:
    """``{"version", "why", "cure", "aliases"}`` for each version with a damaged manifest, the newest first."""
    return [
        {
            "version": number,
            "why": error.cause,
            "cure": error.cure,
            "aliases": [name for name, alias in aliases.items() if alias.version == number],
        }
        for number, error in reversed(damaged.items())
    ]


def show_list(found: dict[str, Any]) -> None:
    git = any(each["commit"] for each in found["versions"])
    shown = show.table("version", "made", "score", "run", "data", "size", *(["git"] if git else []), "alias")
    for each in found["versions"]:
        metric, data = each["metric"] or {}, each["data"] or {}
        shown.add_row(
            each["version"],
            when(each["created"]),
            f"{metric['name']} {metric['value']:.4g}" if metric else "",
            each["run"] or "built elsewhere",
            f"{data.get('name') or ''} {str(data.get('sha256') or '')[:8]}".strip(),
            bytes_(each["bytes"]),
            *([(each["commit"] or "")[:8]] if git else []),
            "  ".join(MARKS.get(alias, alias) for alias in each["aliases"]),
        )
    show.out.print(shown)
    show_damaged(found["damaged"])
    show.say(f"[dim]{found['model']}, in {escape(found['where'])}[/]")


def show_damaged(found: list[dict[str, Any]]) -> None:
    """Versions of which only the trouble is known."""
    for each in found:
        names = "".join(f", the {alias}" for alias in each["aliases"])
        show.out.print(f"{show.MARKS['failed']} version {each['version']}{names}: {escape(each['why'])}")
        show.out.print(f"    {escape(each['cure'])}")


def described(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    """Manifest, lineage, signature, aliases and the address of each file; ``trouble`` where a file is damaged."""
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


def show_version(found: dict[str, Any]) -> None:
    lineage, metric = found["lineage"], found["metric"] or {}
    data, code = lineage.get("data") or {}, lineage.get("code") or {}
    made = f"made {when(found['created'])}, {bytes_(found['bytes'])}"
    facts = {
        "model": f"{found['model']} version {found['version']}, {made}",
        "score": f"{metric['name']} {metric['value']:.6g} ({found['chosen']})" if metric else "",
        "run": found["run"] or "",
        "origin": " ".join(f"{k} {v}" for k, v in (lineage.get("outside") or {}).items() if isinstance(v, str)),
        "data": f"{data['name']}, {data.get('rows', '?')} rows, SHA-256 {data.get('sha256')}"
        if data.get("name")
        else "",
        "code": f"Pantheon {code['version']}, commit {code.get('commit') or 'unknown'}, "
        f"lock {code.get('lock_sha256') or 'unknown'}"
        if code
        else "",
        "parameters": json.dumps(lineage["parameters"]) if lineage.get("parameters") else "",
    }
    if control := found["version_control"]:
        facts["git"] = f"commit {control['commit']}, tag {control['tag']}"
        facts["DVC"] = f"{control['data']['path']} {control['data']['md5']}, in {control['remote']}"
        facts["checkout"] = f"bin/pantheon models checkout {found['version']}"
    for name, alias in found["aliases"].items():
        by = f" by {alias['by']}" if alias["by"] else ""
        facts[name] = f"since {when(alias['since'])}{by}{': ' + alias['note'] if alias['note'] else ''}"
    shown = show.table("", "")
    shown.show_header = False
    for name, text in facts.items():
        if text:
            shown.add_row(f"[dim]{name}[/]", escape(text))
    show.out.print(shown)
    files = show.table("size", "sha256", "file")
    for file in found["files"].values():
        files.add_row(bytes_(file["size"]), file["sha256"][:16], escape(file["address"]))
    show.out.print(files)
    if found["trouble"]:
        show.say(f"[red]✗[/] {escape(found['trouble'])}")


def verified(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    """Every file read: ``{"model", "where", "versions": [{"version", "files", "problems"}]}``."""
    numbers = [version]
    if version == "all":
        versions, damaged = versions_of(store, model)
        numbers = sorted([*(v.version for v in versions), *damaged], key=int)
    return {"model": model, "where": store.where, "versions": [_verified(store, model, each) for each in numbers]}


def _verified(store: ModelStore, model: str, version: str) -> dict[str, Any]:
    try:
        files = len(store.describe(model, version).files)
    except Damaged:
        files = 0  # nobody knows which they were
    return {"version": version, "files": files, "problems": store.verify(model, version)}


def show_verified(found: dict[str, Any]) -> None:
    for each in found["versions"]:
        mark = show.MARKS["failed" if each["problems"] else "done"]
        files = f"{each['files']} file{'' if each['files'] == 1 else 's'}"
        words = f"{len(each['problems'])} damaged" if each["problems"] else f"{files}, every checksum agrees"
        show.out.print(f"{mark} {found['model']} version {each['version']}  [dim]{words}[/]")
        for problem in each["problems"]:
            show.out.print(f"    {escape(problem)}")


def when(iso: str) -> str:
    """A time of the store in this machine's own time zone."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S}"


def bytes_(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
