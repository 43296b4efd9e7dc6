"""The rows of a dataset's views: whose they are and of what time, as text ids and UTC times that are unique together.

A training row is found again in the feature store by its key and its time: each (key, time) has one row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.features.contract import CREATED, EVENT, RESERVED, ROW, View, canonical, slug
from pantheon.workflow.data.hashing import hash64, mix
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.outputs import Feature, Input
from pantheon.workflow.run import Run

NO_ENTITY = "row"  # the key of rows without an entity
MOMENT = pl.Datetime("us", "UTC")
EARLIEST, LATEST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)  # Feast counts nanoseconds
APART = 0.75  # share of rows that have another time than the other rows of their entity; of a birthday, at most a half
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Shape:
    """How the rows of a dataset are found.

    Attributes:
        key: the join key in Feast: of the entity, or ``row``.
        entity: its column; empty: none, and the rows are only read by training.
        time: the column of the time; empty: none.
        line: what this means, in one sentence for the user.
    """

    key: str
    entity: str
    time: str
    line: str


def read_data(run: Run) -> pl.DataFrame:
    """Return the run's clean rows: the training part, then the test part.

    Raises:
        PantheonError: one of them is missing; names the stage to run.
    """
    return pl.concat([pl.read_parquet(run.need(f"data/{part}.parquet", "split_data")) for part in ("train", "test")])


def shape(spec: Spec, frame: pl.DataFrame) -> Shape:
    """Work out how a dataset's rows are found.

    Args:
        spec: names the columns of the entity and of the time by their roles, or as those of the split.
        frame: clean rows.
    """
    entity, time = _entity(spec, frame), _time(spec, frame)
    only = "" if time or not entity else _only_date(spec, frame, entity)
    time = time or only
    set_ = spec.name
    if not entity and time:
        line = (
            f"the feature store: {set_} has no entity column, so its features can only be read for training, by row; "
            f"{time!r} is each row's time. Requests bring their features themselves{_likely(spec)}"
        )
        return Shape(NO_ENTITY, "", time, line)
    if not entity:
        line = (
            f"the feature store: {set_} has neither an entity column nor a time column, so its features can only be "
            f"read for training, by row. Requests bring their features themselves{_likely(spec)}"
        )
        return Shape(NO_ENTITY, "", "", line)
    ids = _ids(frame[entity])
    if not time:
        known = ids.drop_nulls()
        several = known.len() - known.n_unique()
        if several:
            example = known.filter(known.is_duplicated())[0]
            line = (
                f"the feature store: {entity!r} has several rows for one value, such as {example!r}, and no time "
                "column says which is the latest, so features can only be read for training, by row. Requests bring "
                'their features themselves. Give the column of the time role = "time" in the spec to look them up'
            )
            return Shape(NO_ENTITY, "", "", line)
        line = (
            f"the feature store: features are looked up by {entity!r}; there is no time column, so the time of "
            "loading is used, and point in time means latest"
        )
    else:
        line = (
            f"the feature store: features are looked up by {entity!r}, and for training as they were known at each "
            f"row's {time!r}{', the only date' if only else ''}"
        )
    return Shape(key_of(entity), entity, time, line + _remarks(frame, ids, entity, time))


def key_of(entity: str) -> str:
    """Return the join key of an entity's column."""
    key = slug(entity)
    return f"{key}_id" if key.lower() in RESERVED else key


def _likely(spec: Spec) -> str:
    """Return what to do if an ignored column may be the entity."""
    for column in spec.columns:
        if column.role == "ignore" and column.why.startswith("an identifier") and column.name != spec.split.train_only:
            return f'. If {column.name!r} says what a row is about, give it role = "entity" in the spec'
    return ""


def _remarks(frame: pl.DataFrame, ids: pl.Series, entity: str, time: str) -> str:
    """Return half sentences about rows without an id or a time, and about ids that are the same."""
    said = []
    if missing := ids.null_count():
        said.append(f"{missing:,} of {frame.height:,} rows have no {entity!r} and are only read for training")
    if time and (missing := _moments(frame[time]).null_count()):
        said.append(f"{missing:,} of {frame.height:,} rows have no valid {time!r} and count as older than all others")
    if (merged := frame[entity].drop_nulls().n_unique() - ids.drop_nulls().n_unique()) > 0:
        said.append(f"some values of {entity!r} are other spellings of one number, as 7 and 007 are ({merged:,})")
    return "".join(f"; {text}" for text in said)


def _entity(spec: Spec, frame: pl.DataFrame) -> str:
    names = [column.name for column in spec.columns if column.role == "entity"]
    names += [spec.split.column] if spec.split.by == "hash" and spec.split.column else []
    for name in names:
        if name in frame.columns and frame[name].dtype != pl.Boolean and frame[name].null_count() < frame.height:
            return name
    return ""


def _time(spec: Spec, frame: pl.DataFrame) -> str:
    names = [column.name for column in spec.columns if column.role == "time"]
    names += [spec.split.column] if spec.split.by == "time" else []
    for name in names:
        if name in frame.columns and frame[name].dtype.is_temporal() and _moments(frame[name]).is_not_null().any():
            return name
    return ""


def _only_date(spec: Spec, frame: pl.DataFrame, entity: str) -> str:
    """Return the only date among the features, if it differs between the rows of an entity, as a time does."""
    dates = [column.name for column in spec.features if column.type == "date" and not column.stored]
    if len(dates) != 1 or dates[0] not in frame.columns or not frame[dates[0]].dtype.is_temporal():
        return ""
    rows = frame.select(entity, dates[0]).drop_nulls()
    rows = rows.filter(pl.len().over(entity) > 1)
    return dates[0] if rows.height and rows.unique().height > APART * rows.height else ""


def _moments(column: pl.Series) -> pl.Series:
    """Return a column of dates as times in UTC; null where there is none that Feast can store."""
    moments = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return moments.set(~moments.is_between(EARLIEST, LATEST, closed="left"), None)


def _ids(column: pl.Series) -> pl.Series:
    """Return a column of ids as text; null where there is none."""
    if column.dtype.is_integer():
        return column.cast(pl.String)
    if column.dtype.is_temporal():
        column = column.dt.to_string("iso:strict")
    values = column.unique()
    return column.replace_strict(values, [_id(value) for value in values], return_dtype=pl.String)


def _id(value: object) -> str | None:
    try:
        return canonical(value)
    except ValueError:
        return None


def keys(shape: Shape, frame: pl.DataFrame, loaded: datetime) -> pl.DataFrame:
    """Return the key and the time of every row, as ``shape.key`` and ``event_timestamp``; unique together.

    Rows of one key with the same time keep their order: each later one is at least a microsecond later. Rows without a
    time come before all others: in 1970.

    Args:
        loaded: stands in if the dataset has no time column.
    """
    key = (
        _ids(frame[shape.entity])
        if shape.entity
        else pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    )
    if key.null_count():
        key = key.zip_with(key.is_not_null(), _row_hashes(frame))
    if shape.time:
        time = _moments(frame[shape.time]).fill_null(_EPOCH)
    else:
        time = pl.repeat(loaded.astimezone(UTC), frame.height, dtype=MOMENT, eager=True)
    micros = time.dt.epoch("us").to_numpy()
    moments = pl.Series(EVENT, _apart(key.cast(pl.Categorical).to_physical().to_numpy(), micros)).cast(MOMENT)
    return pl.DataFrame({shape.key: key, EVENT: moments})


def _apart(group: NDArray[np.uint32], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times, moved where needed so that each is later than those before it in its group, in their order."""
    order = np.lexsort((np.arange(len(times)), times, group))
    begins = np.diff(group[order], prepend=group[order][:1]) != 0
    number = np.cumsum(begins)  # of the group
    first = np.flatnonzero(np.concatenate(([True], begins[1:])))  # of each group, in this order
    place = np.arange(len(times)) - first[number]
    # The running maximum of (time - place) in a group, plus the place.
    values, ranks = np.unique(times[order] - place, return_inverse=True)
    highest = np.maximum.accumulate(ranks + number * len(values)) - number * len(values)
    moved = np.empty_like(times)
    moved[order] = values[highest] + place
    return moved


def _row_hashes(frame: pl.DataFrame) -> pl.Series:
    """Return a text for every row from its values, and from its number among rows with the same values."""
    total = np.zeros(frame.height, np.uint64)
    for name in sorted(frame.columns):
        column = frame[name]
        if column.dtype.is_float():
            bits = (column.fill_null(float("nan")) + 0.0).to_numpy().astype(np.float64)
            values = mix(np.where(np.isnan(bits), np.nan, bits).view(np.uint64))
        else:
            texts = column.to_physical().cast(pl.String).fill_null("\0")
            once = texts.unique()
            places = texts.replace_strict(once, np.arange(len(once)), return_dtype=pl.Int64).to_numpy()
            values = hash64(once)[places]
        with np.errstate(over="ignore"):
            total = mix(total ^ mix(values + hash64(pl.Series([name]))[0]))
    hashes = pl.Series("hash", total)
    number = hashes.to_frame().select(pl.int_range(pl.len()).over("hash")).to_series()
    texts = pl.Series([f"r{value:016x}" for value in total.tolist()], dtype=pl.String)
    return texts.zip_with(number == 0, texts + "_" + number.cast(pl.String))


def raw(view: View, keys: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the raw view, in the order of ``frame``; ``keys`` are those of its rows."""
    dtypes: Mapping[str, pl.DataType] = {
        "number": pl.Float64(),
        "integer": pl.Int64(),
        "text": pl.String(),
        "boolean": pl.Boolean(),
    }
    columns = []
    for field in view.fields:
        column = frame[field.column]
        if field.type == "date":
            column = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        else:
            column = column.cast(dtypes[field.type])
        columns.append(column.alias(field.name))
    return _with_created(keys).hstack(columns)


def engineered(
    view: View, keys: pl.DataFrame, features: Sequence[Feature], inputs: Sequence[Input], X: NDArray[np.float32]
) -> pl.DataFrame:
    """Return the rows of the engineered view, in the order of ``X``.

    Args:
        keys: those of the rows.
        features: as feature_engineering wrote them.
        inputs: the columns of ``X``, by preprocess.
        X: float32 (rows, inputs): the training part, then the test part.
    """
    columns = {entry["name"]: X[:, place] for place, entry in enumerate(inputs)}
    by_name = {feature["name"]: feature["expression"] for feature in features}
    values = [
        pl.Series(field.name, evaluate(by_name[field.column], columns).astype(np.float64)).fill_nan(None)
        for field in view.fields
    ]
    return _with_created(keys).hstack(values)


def _with_created(keys: pl.DataFrame) -> pl.DataFrame:
    return keys.with_columns(pl.col(EVENT).alias(CREATED))  # the service gives corrections the time of the load


def asked(keys: pl.DataFrame) -> pl.DataFrame:
    """Return what ``historical`` is asked so that every row gets its features at its own time; ``row_id`` from 0."""
    return keys.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))


def parquet(rows: pl.DataFrame) -> bytes:
    """Return rows as a Parquet file, to send to the feature store."""
    file = BytesIO()
    rows.write_parquet(file, compression="zstd", statistics=True)
    return file.getvalue()
