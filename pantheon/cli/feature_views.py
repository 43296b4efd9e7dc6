"""Print the catalogue of the feature store, and the features of entities."""

from typing import Any

from pantheon import terminal
from pantheon.cli.options import completed
from pantheon.features import words

plain = terminal.plain
BLOCKS = "▁▂▃▄▅▆▇█"  # the height of a bin
STATES = {"known": "[green]known[/]", "expired": "[yellow]expired[/]", "unknown": "[red]unknown[/]"}
PARTS = 5  # the newest ones, that are shown


def show_list(views: list[dict[str, Any]]) -> None:
    """Print one line per view."""
    if not views:
        terminal.say(completed("There are no feature views yet. The next run makes them: `run`"))
        return
    shown = terminal.table("view", "kind", "entity", "features", "rows", "newest", "checks", "owner", "used by")
    for view in views:
        newest = ago(view)
        entity = f"{view['entity']} ({view['entities']:,})" if view["entity"] else "none: for training only"
        counts = str(len(view["columns"])), f"{view['rows']:,}"
        shown.add_row(
            view["name"], view["kind"], entity, *counts, newest, _checks(view), ", ".join(view["owners"]), _used(view)
        )
    terminal.out.print(shown)


def show_view(view: dict[str, Any]) -> None:
    """Print a view: facts, features, parts."""
    facts = terminal.table("", "")
    facts.show_header = False
    ttl = f"after {words.age(view['ttl_seconds'])}" if view["ttl_seconds"] else "never"
    services = ", ".join(each["name"] for each in view["services"])
    for name, value in {
        "view": f"{view['name']} ({view['kind']}, of the dataset {view['set']})",
        "": view["description"],
        "owner": view["owner"] or "unknown",
        "entity": f"{view['entity']}, {view['entities']:,} of them" if view["entity"] else "none: for training only",
        "time": view["time"] or "the time of loading",
        "rows": f"{view['rows']:,}, in {view['parts_count']:,} part{'s' * (view['parts_count'] != 1)}",
        "newest": f"{words.text(view['newest'])} UTC, {ago(view)}" if view["newest"] else "no rows",
        "expires": ttl,
        "computed from": ", ".join(view["lineage"]["of"]) or "the dataset",
        "feeds": ", ".join(view["lineage"]["feeds"]),
        "written by run": view["run"],
        "services": services,
        "used by": _used(view),
    }.items():
        if value:
            facts.add_row(terminal.markup(f"[dim]{plain(name)}[/]"), value)
    terminal.out.print(facts)
    shown = terminal.table("feature", "type", "distribution", "missing", "expected", "check", "description")
    for field in view["fields"]:
        missing = words.percent(field["missing"]) if field["missing"] is not None else ""
        described = field["expression"] or field["description"]
        described += f" (owner: {field['owner']})" if field["owner"] else ""
        shape, expected = distribution(field["distribution"]), words.expectations(field)
        shown.add_row(field["name"], field["type"], shape, missing, expected, _passed(field["checks"]), described)
    terminal.out.print(shown)
    types = {field["name"]: field["type"] for field in view["fields"]}
    for each in view["failed"]:
        about = f"{each['field']}: " if each["field"] else ""
        terminal.warn(f"{about}{words.check(each, types.get(each['field'], ''))}")
    parts = terminal.table("written (UTC)", "rows", "run", "part")
    for part in view["parts"][:PARTS]:
        parts.add_row(words.text(part["at"]) if part["at"] else "", f"{part['rows']:,}", part["run"], part["name"])
    if view["parts"]:
        terminal.out.print(parts)


def show_rows(rows: list[dict[str, Any]]) -> None:
    """Print one line per entity and view."""
    shown = terminal.table("entity", "view", "state", "since (UTC)", "features")
    for row in rows:
        values = ", ".join(f"{name} {words.text(value)}" for name, value in row["features"].items())
        since = words.text(row["time"]) if row["time"] else ""
        state = terminal.markup(STATES.get(row["state"], plain(row["state"])))
        shown.add_row(row["entity"], row["view"], state, since, values)
    terminal.out.print(shown)


def ago(view: dict[str, Any]) -> str:
    """Return how old the newest value is, and whether that is older than expected."""
    if view["age_seconds"] is None:
        return "no rows"
    if view["age_seconds"] < 0:
        return "in the future"
    return f"{words.age(view['age_seconds'])} ago{', too old' if view['fresh'] is False else ''}"


def distribution(given: dict[str, Any] | None) -> str:
    """Return a distribution as text: ``0 ▁▃█▅ 9``, or ``low 60 %, full 40 %``."""
    if not given:
        return ""
    if given["kind"] == "histogram":
        bins = given["bins"]
        most = max(each["rows"] for each in bins)
        bars = "".join(BLOCKS[min(7, 8 * each["rows"] // (most + 1))] if each["rows"] else " " for each in bins)
        low, high = (_end(end) for end in (bins[0]["from"], bins[-1]["to"]))
        return f"{low} {bars} {high}"
    total = sum(each["rows"] for each in given["top"]) + given["others"]
    top = [f"{words.text(each['value'])[:20]} {words.percent(each['rows'] / total)}" for each in given["top"][:3]]
    return ", ".join(top) + (" …" if given["others"] or len(given["top"]) > 3 else "")


def _end(value: Any) -> str:
    return value[:10] if isinstance(value, str) else f"{value:.4g}"


def _checks(view: dict[str, Any]) -> Any:
    failed = len(view["failed"])
    return terminal.markup(f"[red]{failed} failed[/]" if failed else "[green]passed[/]")


def _passed(checks: list[dict[str, Any]]) -> Any:
    if not checks:
        return ""
    return terminal.markup(terminal.MARKS["done" if all(each["ok"] for each in checks) else "failed"])


def _used(view: dict[str, Any]) -> str:
    """Return the versions that use a view."""
    if view["models"] is None:
        return "? (the model store does not answer)"
    named = [f"{each['model']} {each['version']}{_as(each['aliases'])}" for each in view["models"]]
    return ", ".join(named)


def _as(aliases: list[str]) -> str:
    return f" ({', '.join(aliases)})" if aliases else ""
