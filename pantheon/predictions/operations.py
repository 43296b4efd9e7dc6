"""Operations of commands on the log: list, show one with all that is known about it, forget.

They run where the log can be reached, in the workflow's environment (``python -m pantheon.worker ask
predictions.NAME``), and return JSON values for the commands to show.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pantheon import durations
from pantheon.errors import PantheonError
from pantheon.predictions import keep
from pantheon.predictions.place import open_place, spool_of
from pantheon.predictions.read import predictions
from pantheon.store import open_store
from pantheon.store.operations import row as release

RETRY_SECONDS = 2.0  # for an S3 that does not answer; short, because a user waits at the terminal
_TEXTS = ("input", "prediction", "probabilities", "true_value")  # JSON


def moment(text: str, now: datetime | None = None) -> datetime | None:
    """Return a time that a user typed: ``2h`` is two hours ago, else ISO 8601, in UTC if it names no zone; empty: None.

    Raises:
        PantheonError: it is neither.
    """
    if not text:
        return None
    try:
        return (now or datetime.now(UTC)) - timedelta(seconds=durations.seconds(text))
    except PantheonError:
        pass  # it may be a date
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PantheonError(f"{text!r} is not a time.", "Use such as 2h, 7d, 2026-03-01 or 2026-03-01T12:30.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def listed(
    state: Path, model: str = "", version: str = "", key: str = "", since: str = "", until: str = "", most: int = 20
) -> dict[str, Any]:
    """Return the newest predictions, oldest first: ``{"where", "rows": [{column: value}]}``.

    Args:
        since, until: see ``moment``.
        most: how many rows at most.

    Raises:
        PantheonError: a time is not one, or the log cannot be read.
    """
    place, begin, end = open_place(state, retry_seconds=RETRY_SECONDS), moment(since), moment(until)
    if begin and end and begin >= end:
        raise PantheonError(f"--since {since} is not before --until {until}.", "For example: --since 2h --until 1h")
    spool = spool_of(state)
    found = predictions(place, spool, model=model, version=version, key=key, since=begin, until=end, most=most)
    return {"where": place.where, "rows": _values(found)}


def shown(state: Path, id: str) -> dict[str, Any]:
    """Return all that is known about one request.

    Returns:
        ``{"id", "rows": [{column: value}], "versions": {number: what the store knows about it}}``, with shadows.

    Raises:
        PantheonError: there is no such request, or the log cannot be read.
    """
    place = open_place(state, retry_seconds=RETRY_SECONDS)
    rows = _values(predictions(place, spool_of(state), id=id))
    if not rows:
        raise PantheonError(
            f"the log in {place.where} has no request {id}.",
            "It may be older than what is kept, or forgotten; `bin/pantheon predictions` lists the newest.",
            1,
        )
    store, versions = open_store(state, retry_seconds=RETRY_SECONDS), dict[str, Any]()
    for row in rows:
        if row["version"] and row["version"] not in versions:
            try:
                versions[row["version"]] = release(store.describe(row["model"], row["version"]), {})
            except PantheonError as error:  # removed since, or damaged
                versions[row["version"]] = {"version": row["version"], "why": error.cause}
    return {"id": id, "rows": rows, "versions": versions}


def forget(state: Path, column: str, value: str, seconds: float = 60.0) -> dict[str, Any]:
    """Remove every row with ``value`` in ``column``, and what was said about it; return what was done.

    Returns:
        The fields of ``keep.Forgotten``, and ``words``: the same as sentences.

    Raises:
        PantheonError: see ``keep.forget``.
    """
    done = keep.forget(open_place(state, retry_seconds=RETRY_SECONDS), spool_of(state), column, value, seconds)
    return {**msgspec.to_builtins(done), "words": done.words()}


def _values(found: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows as JSON values, with the texts decoded; what is not JSON stays a text."""
    rows = found.with_columns(pl.col("at", "said_at").dt.to_string("iso:strict")).to_dicts()
    for row in rows:
        for name in _TEXTS:
            row[name] = _decoded(row[name])
    return rows


def _decoded(text: str | None) -> Any:
    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
