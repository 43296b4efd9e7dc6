"""Answer questions about the prediction log: a process that reads it for the service ``predictions``.

``python -m pantheon.log_reader STATE_DIR`` reads questions, ``{"question", "given", "seconds"}`` on one line each, and
writes a line for each: ``{"answer"}``, or ``{"cause", "cure", "status"}`` of an error. It is a process of its own so
that a question that takes too long, or too much memory, can be ended without the service that stores the log; at the
end of its input, it ends. Answers are bounded: ``MOST`` rows, with texts of at most ``LONG`` characters.
"""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("POLARS_MAX_THREADS", "2")  # before polars is imported: what stores the log needs a core, too

import msgspec
import polars as pl

from pantheon import judged
from pantheon.errors import PantheonError, describe
from pantheon.monitoring.report import keys as report_keys
from pantheon.predictions.operations import moment
from pantheon.predictions.place import Place, open_place, spool_of
from pantheon.predictions.read import predictions
from pantheon.routing.rewards import is_right

MOST: Final = 500
DAYS: Final = (1, 7, 30)  # that are looked at for the newest predictions, before all
SAID_SINCE: Final = "30d"
LONG, LONG_IN_LIST = 50_000, 2_000  # characters of a text of one prediction, and of one in a list
GRACE_SECONDS = 5  # after the time for a question, until this process ends itself
RETRY_SECONDS = 1.0  # for an S3 that does not answer; short, because a person waits
FIRST_YEAR, LAST_YEAR = 1971, 9998  # calendars and time zones end a day before their last ones
M_ARENA_MAX = -8  # malloc.h
_JSON: Final = ("input", "prediction", "probabilities", "true_value")
_TRAFFIC: Final = ("version", "arm", "reason", "shadow", "status", "row")
_JUDGED: Final = ("version", "prediction", "correct", "true_value")


def listed(
    state: Path, model: str = "", version: str = "", key: str = "", since: str = "", until: str = "", most: int = 50
) -> dict[str, Any]:
    """Return the newest predictions, newest first: ``{"where", "rows": [{column: value}]}``.

    The log may have many days, and S3 must send the files of each that is looked at: without ``since``, the newest day
    is looked at first, then more, until there are ``most``.

    Args:
        since, until: see ``operations.moment``.

    Raises:
        PantheonError: a time is not one, or the log cannot be read.
    """
    place = _place(state)
    begin, end, most = _moment(since), _moment(until), min(most, MOST)
    wanted: dict[str, Any] = {"model": model, "version": version, "key": key, "until": end, "most": most}
    latest = end or datetime.now(UTC)
    for days in DAYS if begin is None else ():
        found = predictions(place, spool_of(state), since=latest - timedelta(days=days), **wanted)
        if found.height >= most:
            break
    else:
        found = predictions(place, spool_of(state), since=begin, **wanted)
    return {"where": place.where, "rows": _values(found.reverse(), LONG_IN_LIST)}


def shown(state: Path, id: str) -> dict[str, Any]:
    """Return one request: ``{"where", "count", "rows": [{column: value}]}``, of which ``rows`` has the first ones."""
    place = _place(state)
    found = predictions(place, spool_of(state), id=id).sort("shadow", "row")
    return {"where": place.where, "count": found.height, "rows": _values(found.head(MOST), LONG)}


def feedback(state: Path, model: str = "", since: str = "", until: str = "", most: int = 50) -> dict[str, Any]:
    """Return the newest predictions about which somebody said something, newest first, and who was called right.

    Args:
        since: of the predictions; empty: ``SAID_SINCE``.

    Returns:
        ``{"where", "since", "rows": [{column: value}], "versions": [{"version", "right", "wrong", "other"}]}``, where
        ``other`` counts comments only.
    """
    place, spool, since = _place(state), spool_of(state), since or SAID_SINCE
    wanted: dict[str, Any] = {"model": model, "since": _moment(since), "until": _moment(until)}
    wanted |= {"said": True, "shadow": False}
    rows = predictions(place, spool, most=min(most, MOST), **wanted)
    counted: dict[str, list[int]] = {}
    for version, prediction, correct, value in predictions(place, spool, columns=_JUDGED, **wanted).iter_rows():
        silent = correct is None and value is None
        counted.setdefault(version, [0, 0, 0])[2 if silent else int(not is_right(correct, value, prediction))] += 1
    versions = [
        {"version": version, "right": right, "wrong": wrong, "other": other}
        for version, (right, wrong, other) in sorted(counted.items(), key=lambda each: (len(each[0]), each[0]))
    ]
    return {"where": place.where, "since": since, "rows": _values(rows.reverse(), LONG_IN_LIST), "versions": versions}


def routing(state: Path, model: str, since: str = "", judged_since: str = "") -> dict[str, Any]:
    """Count requests by who answered them and why, and users' judgements by version.

    Args:
        since: of the requests.
        judged_since: of the judged answers.

    Returns:
        ``{"arms": [{"version", "arm", "reason", "requests", "failed"}], "counts": {version: [right, wrong]}}``; the
        counts are those of ``judged.counts``.
    """
    log = predictions(_place(state), spool_of(state), model=model, since=_moment(since), columns=_TRAFFIC)
    requests = pl.len().alias("requests"), (pl.col("status") >= 400).sum().alias("failed")
    grouped = log.filter(pl.col("row") == 0).group_by("version", "arm", "reason").agg(*requests)
    begin = _moment(judged_since)
    counts = judged.counts(state, model, begin.isoformat() if begin else "")
    return {"arms": grouped.sort("requests", "version", descending=[True, False]).to_dicts(), "counts": counts}


def monitoring(state: Path, model: str) -> dict[str, Any]:
    """Return the monitor's newest report.

    Returns:
        ``{"report": its JSON value or None, "reports": how many there are, "evidently": whether Evidently's is beside
        it}``.
    """
    place = _place(state)
    keys = report_keys(place, model)
    content = place.read(keys[-1]) if keys else None
    try:
        report = msgspec.json.decode(content) if content else None
    except msgspec.DecodeError as error:
        cause = f"{place.where}/{keys[-1]} is damaged: {error}."
        raise PantheonError(cause, "The next report replaces it.", 1) from None
    html = f"{keys[-1].removesuffix('.json')}.html" if keys else ""
    beside = any(each.key == html for each in place.list(f"_monitoring/{model}/")) if keys else False
    return {"report": report, "reports": len(keys), "evidently": beside}


def evidently(state: Path, model: str) -> dict[str, Any]:
    """Return Evidently's report beside the monitor's newest: ``{"html": its text, or None}``."""
    place = _place(state)
    keys = report_keys(place, model)
    content = place.read(f"{keys[-1].removesuffix('.json')}.html") if keys else None
    return {"html": content.decode(errors="replace") if content else None}


QUESTIONS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "predictions": listed,
    "prediction": shown,
    "feedback": feedback,
    "routing": routing,
    "monitoring": monitoring,
    "evidently report": evidently,
}


def answer(state: Path, line: bytes) -> dict[str, Any]:
    """Return the answer to one line."""
    try:
        asked = msgspec.json.decode(line)
        return {"answer": QUESTIONS[asked["question"]](state, **asked["given"])}
    except PantheonError as error:
        return {"cause": error.cause, "cure": error.cure, "status": error.status}
    except OSError as error:
        found = describe(error)
        return {"cause": found.cause, "cure": found.cure, "status": 1}
    except Exception:  # noqa: BLE001 - such as a damaged file: the next question may be answered
        traceback.print_exc(file=sys.stderr)
        return {"cause": "the log could not be read; see the log of the service predictions.", "cure": "", "status": 1}


def main() -> int:
    with suppress(AttributeError, OSError):  # other C libraries do not have it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # by default glibc creates a heap per thread
    os.nice(5)  # storing the log comes first
    state = Path(sys.argv[1])
    while line := sys.stdin.buffer.readline():
        signal.alarm(int(msgspec.json.decode(line).get("seconds", 60)) + GRACE_SECONDS)
        sys.stdout.buffer.write(msgspec.json.encode(answer(state, line)) + b"\n")
        sys.stdout.buffer.flush()
        signal.alarm(0)
    return 0


def _place(state: Path) -> Place:
    return open_place(state, retry_seconds=RETRY_SECONDS)


def _moment(text: str) -> datetime | None:
    with suppress(OverflowError):
        found = moment(text)
        if found is None or FIRST_YEAR <= found.year <= LAST_YEAR:
            return found
    raise PantheonError(f"{text!r} is out of range.", "Use such as 2h, 7d or 2026-03-01.")


def _values(found: pl.DataFrame, long: int) -> list[dict[str, Any]]:
    """Return rows as JSON values; a text that is too long is cut, and its column named in ``cut``."""
    rows = found.with_columns(pl.col("at", "said_at").dt.to_string("iso:strict")).to_dicts()
    for row in rows:
        row["cut"] = [name for name, value in row.items() if isinstance(value, str) and len(value) > long]
        for name in row["cut"]:
            row[name] = f"{row[name][:long]}…"
        for name in _JSON:
            if name not in row["cut"] and row[name] is not None:
                with suppress(msgspec.DecodeError):  # what is not JSON stays a text
                    row[name] = msgspec.json.decode(row[name])
    return rows


if __name__ == "__main__":
    sys.exit(main())
