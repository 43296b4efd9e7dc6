"""Print the results of ``pantheon models list``, ``show``, ``verify``, ``gc`` and ``publish`` for people."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.cli.options import completed

MARKS = {"champion": "[green]●[/] champion", "challenger": "[yellow]○[/] challenger"}
plain = terminal.plain


def show_list(found: dict[str, Any]) -> None:
    """Print one line per version."""
    git = any(each["commit"] for each in found["versions"])
    shown = terminal.table("version", "made", "score", "run", "data", "size", *(["git"] if git else []), "alias")
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
            terminal.markup("  ".join(MARKS.get(alias, plain(alias)) for alias in each["aliases"])),
        )
    terminal.out.print(shown)
    show_damaged(found["damaged"])
    terminal.say(f"[dim]{plain(found['model'])}, in {plain(found['where'])}[/]")


def show_damaged(found: list[dict[str, Any]]) -> None:
    """Print the versions with a damaged manifest, and how to fix them."""
    for each in found:
        names = "".join(f", the {alias}" for alias in each["aliases"])
        terminal.out.print(
            f"{terminal.MARKS['failed']} version {plain(each['version'])}{plain(names)}: {plain(each['why'])}"
        )
        terminal.out.print(f"    {plain(completed(each['cure']))}")


def show_version(found: dict[str, Any]) -> None:
    """Print one version's details and files."""
    lineage, metric = found["lineage"], found["metric"] or {}
    data, code = lineage.get("data") or {}, lineage.get("code") or {}
    made = f"made {when(found['created'])}, {bytes_(found['bytes'])}"
    facts = {
        "model": f"{found['model']} version {found['version']}, {made}",
        "score": f"{metric['name']} {metric['value']:.6g} ({found['chosen']})" if metric else "",
        "run": found["run"] or "",
        "ordered": f"by {order['by']}, order {order['id']}" if (order := lineage.get("order")) else "",
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
        facts["checkout"] = completed(f"`models checkout {found['version']}`").strip("`")
    for name, alias in found["aliases"].items():
        by = f" by {alias['by']}" if alias["by"] else ""
        facts[name] = f"since {when(alias['since'])}{by}{': ' + alias['note'] if alias['note'] else ''}"
    shown = terminal.table("", "")
    shown.show_header = False
    for name, text in facts.items():
        if text:
            shown.add_row(terminal.markup(f"[dim]{plain(name)}[/]"), text)
    terminal.out.print(shown)
    files = terminal.table("size", "sha256", "file")
    for file in found["files"].values():
        files.add_row(bytes_(file["size"]), file["sha256"][:16], file["address"])
    terminal.out.print(files)
    if found["trouble"]:
        terminal.say(f"[red]✗[/] {plain(found['trouble'])}")


def show_verified(found: dict[str, Any]) -> None:
    """Print one line per version, and every damaged file."""
    for each in found["versions"]:
        mark = terminal.MARKS["failed" if each["problems"] else "done"]
        files = f"{each['files']} file{'' if each['files'] == 1 else 's'}"
        result = f"{len(each['problems'])} damaged" if each["problems"] else f"{files}, all checksums match"
        terminal.out.print(f"{mark} {plain(found['model'])} version {plain(each['version'])}  [dim]{plain(result)}[/]")
        for problem in each["problems"]:
            terminal.out.print(f"    {plain(problem)}")


def show_plan(found: dict[str, Any]) -> None:
    """Print what ``gc`` would remove."""
    for each in found["remove"]:
        terminal.out.print(
            f"  version {plain(each['version']):<6} made {when(each['created'])}  {bytes_(each['bytes'])}"
        )
    freed, count = sum(each["bytes"] for each in found["remove"]), len(found["remove"])
    message = (
        f"{count} version{'' if count == 1 else 's'} to remove, {bytes_(freed)}" if count else "no version to remove"
    )
    show_damaged(found["damaged"])
    terminal.say(
        f"{plain(message)}; {len(found['keep'])} are kept. {plain(found['model'])}, in {plain(found['where'])}"
    )


def show_removed(found: dict[str, Any]) -> None:
    """Print what ``gc`` has removed."""
    for version in found["removed"]:
        terminal.say(f"{terminal.MARKS['done']} version {plain(version)} is removed")
    for version, why in found["refused"].items():
        terminal.say(f"[yellow]![/] version {plain(version)} is kept: {plain(why)}")
    for what in found["swept"]:
        terminal.say(f"cleaned up: {plain(what)}")


def warn_of_pickle(path: Path, isolated: bool) -> None:
    """Warn about the risk of loading a pickle; ``isolated``: the engine runs containers."""
    where = (
        "in a container without network, keys or data of this deployment.\n  Even so, load"
        if isolated
        else "as you: it can read your files,\n  this deployment's data and its keys. Load"
    )
    terminal.warn(
        f"{path} is a pickle. Loading it runs any code in it, {where} only files from people you trust.\n"
        "  After loading, it is converted to ONNX, which cannot run code; only the ONNX file is published and served."
    )


def when(iso: str) -> str:
    """Format a time of the store in this machine's time zone."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S}"


def bytes_(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
