"""Check feedback of other systems, in a file, against the log: see ``feedback_task``.

The log decides whether an answer exists, and of which kind a value is: in a text file, every value is a text.
"""

import argparse
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from pantheon import file_task
from pantheon.errors import PantheonError
from pantheon.events import report
from pantheon.predictions.ids import time_of
from pantheon.predictions.importing import COLUMNS, read_feedback
from pantheon.predictions.place import Place, open_place, spool_of
from pantheon.predictions.read import MARGIN, predictions
from pantheon.predictions.records import Feedback
from pantheon.workflow.data import formats
from pantheon.workflow.data.layout import source_of
from pantheon.workflow.data.packed import unpacked
from pantheon.workflow.stages.load_data import load

PART = 100_000  # rows
SHOWN = 20  # refused rows that are told one by one
ROW, REASON = "refused_row", "refused_because"
UNKNOWN = (
    "the log has no answer with this id and row: it was never given, was forgotten, or is older than what is kept."
)
Answers = dict[tuple[str, int], Any]
"""The predictions that were given, by id and row."""


def check(state: Path, folder: Path, data: int, args: "argparse.Namespace") -> None:
    """Check the file on standard input, and send the two files to the descriptor ``data``."""
    path = folder / Path(args.file).name
    file_task.receive(path, args.size, args.called)
    try:
        table = read_table(path, folder)
    except PantheonError as error:  # users do not know the copy
        raise PantheonError(error.cause.replace(str(path), args.called), error.cure, error.status) from None
    rows = int(pl.scan_parquet(table).select(pl.len()).collect().item())
    names = pl.scan_parquet(table).collect_schema().names()
    place, accepted, refused = open_place(state, retry_seconds=2.0), 0, 0
    first: list[tuple[int, str]] = []
    good, bad = folder / "accepted", folder / "refused"
    with good.open("wb") as to, bad.open("wb") as kept:
        for start in range(0, rows, PART):
            part = pl.scan_parquet(table).slice(start, PART).collect()
            found, reasons = checked(place, spool_of(state), part, args.at)
            to.writelines(json.dumps(as_sent(each)).encode() + b"\n" for each in found)
            if reasons:
                numbers = pl.DataFrame(
                    {ROW: [start + at + 1 for at in reasons], REASON: list(reasons.values())},
                    schema={ROW: pl.Int64, REASON: pl.String},
                )
                flat = part[list(reasons)].drop(ROW, REASON, strict=False)
                pl.concat([numbers, flat], how="horizontal").write_csv(kept, include_header=refused == 0)
                first += numbers.head(SHOWN - len(first)).rows()
            accepted, refused = accepted + len(found), refused + len(reasons)
            report({"event": "rows", "done": accepted + refused, "of": rows})
    sizes = [file_task.send(each, data) for each in (good, bad)]
    unused = [name for name in names if name not in (*COLUMNS, ROW, REASON)]
    notes = [f"columns that are not used: {', '.join(map(repr, unused[:10]))}"] if unused else []
    done = {"rows": rows, "accepted": accepted, "refused": refused, "first": first, "notes": notes}
    report({"event": "checked", **done, "bytes": sizes[0], "refused_bytes": sizes[1]})


def read_table(file: Path, folder: Path) -> Path:
    """Read a table as ``DATA=`` is read; return a Parquet file of its rows.

    Raises:
        PantheonError: it cannot be read, has no rows, or has not the columns of feedback.
    """
    with unpacked(file, folder) as path:
        source = source_of(path, "id", "", {"kind": "file"})
        frame = formats.scan(path, source, folder)
        names = frame.collect_schema().names()
        if "id" not in names or not {"correct", "value", "comment"} & set(names):
            cure = "Feedback has the columns id and row, and any of correct, value, comment and at."
            lacks = "'id'" if "id" not in names else "'correct', 'value' or 'comment'"
            raise PantheonError(f"{path} has no column {lacks}.", cure)
        table = folder / "table.parquet"
        if load(frame, path, source, table) == 0:
            raise PantheonError(f"{path} has a header but no rows.", "Provide a file with rows.")
    return table


def checked(place: Place, spool: Path, part: pl.DataFrame, at: str) -> tuple[list[Feedback], dict[int, str]]:
    """Return the feedback in some rows of a file, and why the others are refused, by their position.

    Args:
        at: when it was said, ISO 8601, where the file does not tell.
    """
    given = part.select(name for name in COLUMNS if name in part.columns).with_columns(
        pl.col(pl.Datetime, pl.Date).cast(pl.String), pl.col(pl.Float32, pl.Float64).fill_nan(None)
    )
    found, refused = read_feedback(({"at": at} | _present(row) for row in given.iter_rows(named=True)), "file")
    reasons = {number - 1: why for number, why in refused}
    places = [number for number in range(part.height) if number not in reasons]
    answers = answers_to(place, spool, found)
    accepted = []
    for number, record in zip(places, found, strict=True):
        try:
            accepted.append(fitted(record, answers))
        except ValueError as error:
            reasons[number] = str(error)
    return accepted, dict(sorted(reasons.items()))


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "")}


def answers_to(place: Place, spool: Path, found: list[Feedback]) -> Answers:
    """Return the answers that feedback is about, as far as they exist."""
    if not found:
        return {}
    times = [time_of(record.id) for record in found]
    wanted = pl.DataFrame({"id": list({record.id for record in found})}, schema={"id": pl.String})
    log = predictions(
        place,
        spool if spool.is_dir() else None,
        since=min(times) - MARGIN,
        until=max(times) + MARGIN + timedelta(seconds=1),
        shadow=False,
        columns=("id", "row", "status", "prediction"),
    )
    log = log.join(wanted, on="id", how="semi")
    return {
        (id, row): None if text is None else json.loads(text)
        for id, row, status, text in log.iter_rows()
        if status == 200
    }


def fitted(record: Feedback, answers: Answers) -> Feedback:
    """Return the feedback with a value of the prediction's type.

    Raises:
        ValueError: there is no such answer, or the value cannot be one.
    """
    key = (record.id, record.row)
    if key not in answers:
        raise ValueError(UNKNOWN)
    if record.value is None:
        return record
    return Feedback(**{**_fields(record), "value": like(record.value, answers[key])})


def _fields(record: Feedback) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def like(value: Any, prediction: Any) -> Any:
    """Return a value as the type of a prediction: a text ``1`` is the class 1 if classes are numbers.

    Raises:
        ValueError: it cannot be one.
    """
    if isinstance(prediction, bool):
        if isinstance(value, bool):
            return value
        if (truth := _TRUTH.get(str(value).strip().lower())) is not None:
            return truth
        raise ValueError(f"its value {value!r:.80} is neither true nor false, as the prediction is.")
    if isinstance(prediction, (int, float)):
        with suppress(ValueError, OverflowError):
            number = float(value)
            if number == number and abs(number) != float("inf"):
                return int(number) if number.is_integer() else number
        raise ValueError(f"its value {value!r:.80} is not a number, as the prediction is.")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value) if isinstance(value, bool) else str(value)


def as_sent(record: Feedback) -> dict[str, Any]:
    """Return feedback as ``POST /feedback`` takes it."""
    at = datetime.fromtimestamp(record.at / 1e6, UTC).isoformat()
    sent = {"id": record.id, "row": record.row, "at": at, "correct": record.correct, "value": record.value}
    return {name: value for name, value in {**sent, "comment": record.comment}.items() if value not in (None, "")}
