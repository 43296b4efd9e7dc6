"""Evidently's own report (``MONITOR_REPORT=evidently``), of the same window and reference, kept beside ours.

The service ``evidently`` makes it, in an environment of its own; it gets rows, and needs neither log nor keys.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.monitoring.report import Report, key_of
from pantheon.predictions.place import Place
from pantheon.predictions.read import Reader, Wanted
from pantheon.store import ModelStore
from pantheon.web.client import Client

MOST = 5_000  # rows of the window, and of the reference
SECONDS = 300.0  # for a report: mostly for the import of Evidently
REFERENCE = "reference.json"


def make(store: ModelStore, place: Place, spool: Path | None, report: Report, secrets: Path) -> str:
    """Have the report made and keep it; return its key, or why there is none, as a sentence."""
    try:
        reference = read_reference(store, report)
        if reference is None:
            return f"Evidently needs a reference, and {report.model}, version {report.version or 'none'}, has none."
        current = window(place, spool, report, list(reference["columns"]))
        if not current or not next(iter(current.values())):
            return "Evidently needs rows, and the window has none."
        kinds = {name: str(each["kind"]) for name, each in reference["columns"].items()}
        body = {"kinds": kinds, "current": current, "reference": rows_of(reference, MOST)}
        content = ask(body, secrets)
    except PantheonError as error:
        return f"Evidently's report was not made: {error.cause}"
    key = f"{key_of(report).removesuffix('.json')}.html"
    place.remove(key)
    place.put_new(key, content)
    return key


def read_reference(store: ModelStore, report: Report) -> dict[str, Any] | None:
    """Return ``reference.json`` of the version that answered; None if it has none."""
    if not report.version:
        return None
    path = store.get(report.model, report.version) / REFERENCE
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found if found.get("columns") else None


def window(place: Place, spool: Path | None, report: Report, names: list[str]) -> dict[str, list[Any]]:
    """Return the inputs of the window's answered rows, at most ``MOST`` of them, by column."""
    since, until = (datetime.fromisoformat(text) for text in (report.since, report.until))
    every = max(1, -(-report.rows // MOST))  # of a long window, each so many-th row
    with Reader(place, spool) as reader:
        texts = reader.read(
            Wanted(report.model, since=since, until=until, shadow=False),
            lambda log: log.filter(pl.col("status") < 400).select("input").gather_every(every).collect(),
        )["input"].drop_nulls()
    rows = [row for text in texts if isinstance(row := json.loads(text), dict)]
    return {name: [row.get(name) for row in rows] for name in names}


def rows_of(reference: dict[str, Any], count: int) -> dict[str, list[Any]]:
    """Return rows with the reference's distributions, one column independent of the others; the same ones each time."""
    random = np.random.default_rng(0)
    found: dict[str, list[Any]] = {}
    for name, column in reference["columns"].items():
        missing = float(column.get("missing") or 0.0)
        if quantiles := column.get("quantiles"):
            at = (np.arange(count) + 0.5) / count
            values: list[Any] = np.interp(at, np.linspace(0, 1, len(quantiles)), quantiles).tolist()
        else:
            shares = dict(column.get("categories") or {})
            total = sum(shares.values()) or 1.0
            bounds = np.cumsum([share / total for share in shares.values()])
            names = [*shares, None]
            values = [names[int(place)] for place in np.searchsorted(bounds, (np.arange(count) + 0.5) / count)]
        found[name] = [values[place] for place in random.permutation(count).tolist()]
        for place in random.permutation(count)[: round(missing * count)].tolist():
            found[name][place] = None
    return found


def ask(body: dict[str, Any], secrets: Path) -> bytes:
    """Return the HTML of the service ``evidently``.

    Raises:
        PantheonError: it does not answer, or cannot make the report.
    """
    host, port = os.environ.get("EVIDENTLY_HOST", "127.0.0.1"), os.environ.get("EVIDENTLY_PORT", "8073")
    token = (secrets / "monitor_token").read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}"}
    cure = "It starts with `up --monitor-report evidently`."
    client = Client(f"http://{host}:{port}", "the service evidently", cure, headers, SECONDS)
    answer = client.send("POST", "/html", body)
    if not answer.ok:
        raise PantheonError(f"the service evidently refused it: {answer.reason('error')}.", "", 1)
    return answer.data
