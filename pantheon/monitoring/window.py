"""Count what the log has of one window: everything that a report needs, in memory that does not grow with the rows.

The window is read in pieces of at most about ``PIECE`` rows. A first pass over the times alone says where they end.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.monitoring.drift import Bins
from pantheon.monitoring.inputs import Inputs
from pantheon.monitoring.statistics import Count
from pantheon.predictions.ids import milliseconds
from pantheon.predictions.read import Reader, Wanted

PIECE = 100_000  # rows
STEP = "10m"
LATE = timedelta(days=30)  # feedback counts in the window in which it was given, about answers of so long before
GROUPS = 12  # values of a column by which rows are compared; columns with more, such as customers, are not groups
_COLUMNS = ("row", "at", "version", "ms", "status", "error", "input", "prediction")
_JUDGED = ("row", "at", "version", "status", "input", "prediction", "correct", "true_value", "said_at")
_ERROR = re.compile(r'Row \d+, "(?P<column>.*?)": (?P<what>.*?)(?:, got (?P<got>.*?))?\.?', re.DOTALL)
_ROW = re.compile(r"^Row \d+")

Cell = tuple[str, str, str]
"""A group on a day: column, value, ISO date."""


@dataclass
class Values:
    """What a column has.

    Attributes:
        bins: bin → rows; see ``drift.Bins``.
        values: of categories: known value → rows.
        new: of categories: text that the model does not know → rows.
    """

    rows: int = 0
    missing: int = 0
    bins: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)


@dataclass
class Seen:
    """What a window has.

    Attributes:
        requests, rows: that came, and that were answered.
        statuses: HTTP status → requests.
        reasons: (text, column, what was sent) → refused requests.
        versions: version → answered rows.
        columns: of all answered rows.
        mix, groups: of rows that the window's main version answered: bin of the prediction → rows, and group on a day →
            rows, and rows with the outcome.
    """

    requests: int = 0
    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    milliseconds: list[NDArray[np.float32]] = field(default_factory=list)
    columns: dict[str, Values] = field(default_factory=dict)
    mix: Counter[str] = field(default_factory=Counter)
    groups: dict[Cell, Count] = field(default_factory=dict)


@dataclass
class Judged:
    """What was said in a window about answers of its main version, whenever those were given.

    Attributes:
        right: rows that were judged, and called right.
        confusion: (predicted class, true class) → rows, as far as the true one is known.
        errors: of numbers whose true value is known: rows, sums of the distance, its square, and its fourth power.
        groups: group on a day → judged rows, and right ones.
    """

    right: Count = (0, 0)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
    groups: dict[Cell, Count] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """How rows of a model's main version are read and counted.

    Attributes:
        classes: their texts; empty: it predicts a number.
        outcome: the class whose rate is compared between groups; for numbers, those above ``middle``.
        bins: of the inputs and, by the name ``""``, of the predictions.
    """

    version: str
    inputs: Inputs
    classes: tuple[str, ...]
    outcome: str
    middle: float
    bins: dict[str, Bins]


def versions(reader: Reader, wanted: Wanted) -> tuple[Counter[str], list[tuple[datetime, datetime]]]:
    """Return the answered rows by version, and the pieces of the window."""

    def count(rows: pl.LazyFrame) -> pl.DataFrame:
        slot = pl.col("at").dt.truncate(STEP).alias("slot")
        answered = (pl.col("status") == 200).sum().alias("answered")
        return rows.group_by(slot, "version").agg(pl.len().alias("rows"), answered).collect(engine="streaming")

    found = reader.read(wanted, count, joined=False)
    by_version: Counter[str] = Counter()
    for version, answered in found.group_by("version").agg(pl.col("answered").sum()).sort("version").iter_rows():
        if answered:
            by_version[version] = answered
    pieces: list[tuple[datetime, datetime]] = []
    rows = 0
    for slot, some in found.group_by("slot").agg(pl.col("rows").sum()).sort("slot").iter_rows():
        end = slot + timedelta(minutes=10)
        if pieces and rows + some <= PIECE:
            pieces[-1], rows = (pieces[-1][0], end), rows + some
        else:
            pieces.append((slot, end))
            rows = some
    return by_version, pieces


def seen(reader: Reader, wanted: Wanted, model: Model, pieces: list[tuple[datetime, datetime]]) -> Seen:
    """Count what came in the window of ``wanted``."""
    found = Seen()
    for begin, end in pieces:
        piece = replace(wanted, since=max(begin, wanted.since or begin), until=min(end, wanted.until or end))
        rows = reader.read(piece, lambda rows: rows.select(_COLUMNS).collect(engine="streaming"), joined=False)
        _requests(found, rows)
        _rows(found, rows.filter(pl.col("status") == 200, pl.col("input").str.starts_with("{")), model)
    return found


def judged(reader: Reader, wanted: Wanted, model: Model) -> Judged:
    """Count what was said in the window of ``wanted``."""
    found = Judged()
    assert wanted.since
    assert wanted.until
    since, until = wanted.since.astimezone(UTC), wanted.until.astimezone(UTC)
    said, in_time = (pl.col(name).is_between(since, until, closed="left") for name in ("at", "said_at"))
    ids = reader.feedback(
        (since - LATE).date(), until.date(), lambda rows: rows.filter(said).select("id").unique().collect()["id"]
    )
    for day in sorted({day for id in ids if (day := _day_of(id))}):
        about = replace(wanted, since=max(day, since - LATE), until=min(day + timedelta(days=1), until), said=True)
        rows = reader.read(about, lambda rows: rows.filter(in_time).select(_JUDGED).collect(engine="streaming"))
        main = (pl.col("status") == 200) & (pl.col("version") == model.version) & pl.col("input").str.starts_with("{")
        _judge(found, rows.filter(main), model)
    return found


def labels(texts: pl.Series) -> pl.Series:
    """Return JSON texts of classes as the keys of classes: a text without its quotes."""
    known = {text: _label(text) for text in texts.unique().drop_nulls()}
    return texts.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.String)


def _label(text: str) -> str:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, str) else text


def _day_of(id: str) -> datetime | None:
    try:
        at = datetime.fromtimestamp(milliseconds(id) / 1000, UTC)
    except (ValueError, OverflowError):  # feedback about something that is not a prediction
        return None
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _requests(found: Seen, rows: pl.DataFrame) -> None:
    first = rows.filter(pl.col("row") == 0)
    found.requests += first.height
    for status, requests in first.group_by("status").len().iter_rows():
        found.statuses[str(status)] += requests
    found.milliseconds.append(first.filter(pl.col("status") == 200)["ms"].cast(pl.Float32).to_numpy())
    for error, requests in first.filter(pl.col("status") != 200).group_by("error").len().iter_rows():
        found.reasons[_reason(error)] += requests
    answered = rows.filter(pl.col("status") == 200)
    found.rows += answered.height
    for version, some in answered.group_by("version").len().iter_rows():
        found.versions[version] += some


def _reason(error: str) -> tuple[str, str, str]:
    """Return an error's text without the row and the value, the column, and the value."""
    if match := _ERROR.fullmatch(error):
        return match["what"], match["column"], match["got"] or ""
    return _ROW.sub("A row", error)[:300], "", ""


def _rows(found: Seen, rows: pl.DataFrame, model: Model) -> None:
    if rows.is_empty():
        return
    table = model.inputs.decode(rows)
    for entry in model.inputs.entries:
        _values(found.columns.setdefault(entry["name"], Values()), table, entry, model.bins.get(entry["name"]))
    own = rows["version"] == model.version
    table, rows = table.filter(own), rows.filter(own)
    if bins := model.bins.get(""):
        if model.classes:
            found.mix.update(bins.count(_counted(labels(rows["prediction"]))))
        else:
            found.mix.update(bins.count_numbers(_numbers(rows)))
    _add(found.groups, _grouped(table, rows["at"], _outcome(rows, model), model.inputs))


def _judge(found: Judged, rows: pl.DataFrame, model: Model) -> None:
    if rows.is_empty():
        return
    right = _right(rows, model)
    known = right.is_not_null()
    found.right = (found.right[0] + int(known.sum()), found.right[1] + int(right.sum()))
    if model.classes:
        predicted, truth = labels(rows["prediction"]), _truth(rows, model)
        both = pl.DataFrame({"predicted": predicted, "truth": truth}).drop_nulls()
        for one, other, some in both.group_by("predicted", "truth").len().iter_rows():
            found.confusion[one, other] += some
    else:
        distance = np.abs(
            _numbers(rows) - rows["true_value"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        )
        distance = distance[np.isfinite(distance)]
        sums = (len(distance), *(float((distance**power).sum()) for power in (1, 2, 4)))
        found.errors = tuple(a + b for a, b in zip(found.errors, sums, strict=True))  # type: ignore[assignment]
    table = model.inputs.decode(rows)
    _add(found.groups, _grouped(table.filter(known), rows["at"].filter(known), right.filter(known), model.inputs))


def _right(rows: pl.DataFrame, model: Model) -> pl.Series:
    """Return whether each prediction was right; null: unknown, as for a number without anybody's judgement."""
    said = rows["correct"]
    if not model.classes:
        return said
    truth = labels(rows["true_value"])
    return pl.select(pl.coalesce(pl.lit(said), pl.lit(labels(rows["prediction"]) == truth))).to_series()


def _truth(rows: pl.DataFrame, model: Model) -> pl.Series:
    """Return the true class: what was said; or the prediction, if it was called right; or, of two, the other one."""
    predicted = labels(rows["prediction"])
    value, correct = labels(rows["true_value"]), rows["correct"]
    other: pl.Expr = pl.lit(None, dtype=pl.String)
    if len(model.classes) == 2:
        one, two = model.classes
        other = pl.when(pl.lit(predicted) == one).then(pl.lit(two)).otherwise(pl.lit(one))
    guess = pl.when(pl.lit(correct)).then(pl.lit(predicted)).when(~pl.lit(correct)).then(other)
    return pl.select(pl.coalesce(pl.lit(value), guess)).to_series()


def _values(found: Values, table: pl.DataFrame, entry: dict[str, Any], bins: Bins | None) -> None:
    column = table[f"in:{entry['name']}"]
    found.rows += len(column)
    if f"new:{entry['name']}" in table.columns:
        new = _counted(table[f"new:{entry['name']}"])
        found.new.update(new)
        found.missing += column.null_count() - sum(new.values())
    else:
        new = {}
        found.missing += column.null_count()
    if column.dtype == pl.Float64:
        if bins:
            found.bins.update(bins.count_numbers(column.fill_null(np.nan).to_numpy()))
        return
    values = _counted(column)
    found.values.update(values)
    if bins:
        found.bins.update(bins.count(values | {f"new: {text}": some for text, some in new.items()}))


def _counted(values: pl.Series) -> dict[str, int]:
    return dict(values.drop_nulls().value_counts().iter_rows())


def _numbers(rows: pl.DataFrame) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rows["prediction"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return found


def _outcome(rows: pl.DataFrame, model: Model) -> pl.Series:
    if model.classes:
        return labels(rows["prediction"]) == model.outcome
    return rows["prediction"].cast(pl.Float64, strict=False) > model.middle


def _grouped(table: pl.DataFrame, at: pl.Series, some: pl.Series, inputs: Inputs) -> Iterator[tuple[Cell, Count]]:
    """Yield the groups on each day, with their rows and those that are true in ``some``."""
    known = {entry["name"] for entry in inputs.entries if entry["type"] in ("boolean", "category")}
    days = at.dt.date().cast(pl.String)
    for name in table.columns:
        kind, _, column = name.partition(":")
        if not (kind == "along" or (kind == "in" and column in known)):
            continue
        values = table[name]
        if values.n_unique() > GROUPS + 1:  # one more for missing
            continue
        both = pl.DataFrame({"value": values, "day": days, "some": some}).drop_nulls()
        for value, day, rows, those in both.group_by("value", "day").agg(pl.len(), pl.col("some").sum()).iter_rows():
            yield (column, value, day), (rows, those)


def _add(into: dict[Cell, Count], more: Iterator[tuple[Cell, Count]]) -> None:
    for cell, (rows, those) in more:
        before = into.get(cell, (0, 0))
        into[cell] = (before[0] + rows, before[1] + those)
