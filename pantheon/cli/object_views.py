"""Print Kubeflow's objects as kubectl does."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pantheon.kubeflow.contract import Object
from pantheon.terminal import print_json, printable

GAP = "   "
MINUTE, HOUR, DAY = 60, 3600, 86400


class Table:
    """Prints rows of objects; those that did not change since the last time are left out.

    Args:
        output: empty, ``wide`` or ``name``.
        everywhere: whether the rows are of several namespaces.
    """

    def __init__(self, output: str, everywhere: bool) -> None:
        self.output, self.everywhere = output, everywhere
        self.seen: dict[tuple[str, str], str] = {}
        self.widths: list[int] = []

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        new = [row for row in rows if self.seen.get((row["namespace"], row["name"])) != row["version"]]
        self.seen = {(row["namespace"], row["name"]): row["version"] for row in rows}
        if self.output == "name":
            write(*(row["name"] for row in new))
            return
        lines = [self.cells(row) for row in new]
        if lines and not self.widths:
            titles = list(lines[0])
            columns = [[title, *(line[title] for line in lines)] for title in titles]
            self.widths = [max(map(len, column)) for column in columns]
            self.line(titles)
        for line in lines:
            self.line(list(line.values()))

    def cells(self, row: Mapping[str, Any]) -> dict[str, str]:
        where = {"NAMESPACE": row["namespace"]} if self.everywhere else {}
        columns = {title: str(text) for title, text in row["columns"].items()}
        ending = {"BY": row["by"] or "<none>"} if self.output == "wide" else {}
        return {**where, "NAME": row["name"], **columns, "AGE": age(row["created"]), **ending}

    def line(self, cells: Sequence[str]) -> None:
        texts = [f"{cell:<{width}}" for cell, width in zip(cells, self.widths, strict=False)]
        write(GAP.join(texts).rstrip())


def age(iso: str) -> str:
    """Return the time since ``iso`` as kubectl writes it: ``42s``, ``3m10s``, ``5h``, ``12d``."""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(iso)).total_seconds()))
    minutes, hours, days = seconds // MINUTE, seconds // HOUR, seconds // DAY
    if seconds < 2 * MINUTE:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % MINUTE}s".replace("m0s", "m")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m".replace("h0m", "h")
    if hours < 48:
        return f"{hours}h"
    return f"{days}d{hours % 24}h".replace("d0h", "d") if days < 8 else f"{days}d"


def print_object(found: Object, output: str) -> None:
    """Print an object, or a list of them, as ``yaml`` or ``json``."""
    if output == "json":
        print_json(found)
        return
    write(_yaml(found).rstrip())


def describe(found: Object, logs: Sequence[Mapping[str, Any]], as_json: bool = False) -> None:
    """Print everything about an object.

    Args:
        logs: ``{"name", "bytes", "modified"}`` of each.
    """
    if as_json:
        print_json({**found, "logs": list(logs)})
        return
    metadata, status = found["metadata"], dict(found["status"])
    conditions = status.pop("conditions", [])
    facts: dict[str, str] = {"Name": metadata["name"], "Namespace": metadata["namespace"]}
    for name in ("labels", "annotations"):
        pairs = [f"{key}={value}" for key, value in (metadata.get(name) or {}).items()]
        facts[name.capitalize()] = f"\n{' ' * 14}".join(pairs) or "<none>"
    facts |= {"API Version": found["apiVersion"], "Kind": found["kind"]}
    facts["Created"] = f"{metadata['creationTimestamp']} ({age(metadata['creationTimestamp'])} ago)"
    if "deletionTimestamp" in metadata:
        facts["Deleted"] = f"{metadata['deletionTimestamp']}, as soon as it has stopped"
    for title, text in facts.items():
        write(f"{title + ':':<14}{text}")
    parts: list[tuple[str, Any]] = [("Spec", found["spec"]), ("Status", status)]
    for title, part in parts:
        write(f"{title}:", *(f"  {line}" for line in _yaml(part).splitlines() if part))
    write("Conditions:")
    lines = [("Type", "Status", "Since", "Reason", "Message")]
    lines += [
        (each["type"], each["status"], age(each["lastTransitionTime"]), each["reason"], each["message"])
        for each in conditions
    ]
    _columns(lines if conditions else [("<none>",)])
    write("Logs:" if logs else "Logs:  <none>")
    _columns([(str(each["name"]), f"{each['bytes']:,} bytes") for each in logs])


def print_log(content: bytes) -> None:
    sys.stdout.write(printable(content.decode(errors="replace")))
    sys.stdout.flush()


def write(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()


def _columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))] if lines else []
    for line in lines:
        write("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text
