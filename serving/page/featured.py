"""The catalogue of the feature store, as values for the page's templates; see ``pantheon.features.catalogue``."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pantheon.features import words
from serving.formatting import ago, moment, number, title

STATES = {"known": "good", "expired": "wait", "unknown": "bad"}
PARTS = 10  # the newest ones that are shown


def matches(view: dict[str, Any], typed: str) -> bool:
    """Return whether a view has all words: in its names, its owner, its description, or its features."""
    named = [view[name] for name in ("name", "set", "kind", "entity", "description")]
    text = " ".join(map(str, [*named, *view["owners"], *view["columns"]])).casefold()
    return all(word in text for word in typed.casefold().split())


def entities(text: str) -> tuple[str, list[str]]:
    """Return the column and the ids of what was typed, such as ``robot-id=7, 8``; the column may be empty."""
    column, equals, ids = text.partition("=")
    column, ids = (column.strip(), ids) if equals else ("", column)
    return column, list(dict.fromkeys(id for id in re.split(r"[,\s]+", ids) if id))


def lookup(entity: str = "", at: str = "", view: str = "") -> dict[str, str]:
    """Return the values of the form that looks up an entity."""
    return {"entity": entity, "at": at, "view": view}


def when(given: datetime | None) -> str:
    """Return the time of a lookup as words."""
    return moment((given or datetime.now(UTC)).isoformat())


def summary(view: dict[str, Any]) -> dict[str, Any]:
    """Return what the list shows of a view."""
    failed = len(view["failed"])
    return {
        "name": view["name"],
        "address": f"/features/{quote(view['name'], safe='')}",
        "kind": view["kind"],
        "set": title(view["set"]),
        "entity": view["entity"],
        "time": view["time"],
        "owner": ", ".join(view["owners"]) or "unknown",
        "description": view["description"],
        "features": f"{len(view['columns']):,}",
        "rows": number(view["rows"]),
        "entities": number(view["entities"]) if view["entity"] else "",
        "newest": ago(view["newest"]) if view["newest"] else "",
        "newest_at": moment(view["newest"]) if view["newest"] else "",
        "stale": view["fresh"] is False,
        "failed": f"{failed} failed" if failed else "",
        "models": used(view["models"]),
        "problem": "The model store does not answer." if view["models"] is None else "",
    }


def used(models: list[dict[str, Any]] | None) -> list[dict[str, str]]:
    """Return the versions that use a view."""
    return [
        {"name": title(each["model"]), "version": each["version"], "aliases": ", ".join(each["aliases"])}
        for each in models or ()
    ]


def described(view: dict[str, Any]) -> dict[str, Any]:
    """Return what the page of a view shows."""
    types = {each["name"]: each["type"] for each in view["fields"]}
    ttl, freshness = view["ttl_seconds"], view["freshness_seconds"]
    return {
        **summary(view),
        "run": view["run"],
        "ttl": words.age(ttl) if ttl else "never",
        "freshness": words.age(freshness) if freshness else "",
        "key": view["key"],
        "failed_checks": [
            {"field": each["field"], "words": words.check(each, types.get(each["field"], ""))}
            for each in view["failed"]
        ],
        "fields": [field(each) for each in view["fields"]],
        "of": [{"name": name, "address": f"/features/{quote(name, safe='')}"} for name in view["lineage"]["of"]],
        "feeds": [{"name": name, "address": f"/features/{quote(name, safe='')}"} for name in view["lineage"]["feeds"]],
        "services": [
            {"name": each["name"], "run": each["run"], "features": ", ".join(each["features"])}
            for each in view["services"]
        ],
        "parts": [
            {
                "name": each["name"],
                "rows": number(each["rows"]),
                "at": moment(each["at"]),
                "size": size(each["bytes"]),
                "run": each["run"] or "pushed",
                "failed": each["failed"],
            }
            for each in view["parts"][:PARTS]
        ],
        "parts_count": number(view["parts_count"]),
    }


def field(given: dict[str, Any]) -> dict[str, Any]:
    """Return a feature, with its distribution as bars."""
    return {
        "name": given["name"],
        "column": given["column"],
        "type": given["type"],
        "description": given["description"],
        "expression": given["expression"],
        "owner": given["owner"],
        "of": ", ".join(given["of"]),
        "expected": words.expectations(given),
        "missing": words.percent(given["missing"]) if given["missing"] is not None else "",
        "failed": [words.check(each, given["type"]) for each in given["checks"] if not each["ok"]],
        "checked": bool(given["checks"]),
        **distribution(given["distribution"]),
    }


def distribution(given: dict[str, Any] | None) -> dict[str, Any]:
    """Return ``bars`` of a histogram, for a picture of 100 by 40, or ``top`` categories."""
    none: dict[str, Any] = {"bars": [], "top": [], "low": "", "high": "", "others": ""}
    if not given:
        return none
    if given["kind"] == "histogram":
        most = max((each["rows"] for each in given["bins"]), default=0) or 1
        width = 100 / max(1, len(given["bins"]))
        bars = [
            {
                "x": round(place * width, 2),
                "width": round(width - 0.6, 2),
                "height": round(40 * each["rows"] / most, 2),
                "words": f"{shown(each['from'])} to {shown(each['to'])}: {each['rows']:,} rows",
            }
            for place, each in enumerate(given["bins"])
        ]
        ends = {"low": shown(given["bins"][0]["from"]), "high": shown(given["bins"][-1]["to"])} if bars else {}
        return {**none, "bars": bars, **ends}
    total = sum(each["rows"] for each in given["top"]) + given["others"]
    top = [
        {
            "name": words.text(each["value"]),
            "share": words.percent(each["rows"] / total),
            "width": round(100 * each["rows"] / total, 1),
        }
        for each in given["top"]
    ]
    return {**none, "top": top, "others": words.percent(given["others"] / total) if given["others"] else ""}


def shown(given: Any) -> str:
    """Return the end of a bin: a number, or the day of a date."""
    return given[:10] if isinstance(given, str) else number(given, 3)


def known(rows: list[dict[str, Any]], columns: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows of a lookup; what is unknown last.

    Args:
        columns: of the entity, by view.
    """
    order = list(STATES)
    return [
        {
            "entity": f"{columns[row['view']]} {row['entity']}",
            "view": row["view"],
            "address": f"/features/{quote(row['view'], safe='')}",
            "state": row["state"],
            "tone": STATES[row["state"]],
            "time": moment(row["time"]) if row["time"] else "",
            "features": [(name, words.text(given), given is None) for name, given in row["features"].items()],
        }
        for row in sorted(rows, key=lambda row: order.index(row["state"]))
    ]


def size(bytes: int) -> str:
    """Return a number of bytes as words."""
    return f"{bytes / 1024:,.0f} KB" if bytes < 1024 * 1024 else f"{bytes / 1024 / 1024:,.1f} MB"
