"""What a row is told about its time: the same as an independent computation says, and nothing from later."""

import math
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon.features.contract import Chosen, Field, View
from tests.support.feature_data import MOMENT, START, Data, parquet

DTYPES = {"x": pl.Float64, "n": pl.Int64, "t": pl.String, "b": pl.Boolean, "d": MOMENT}
KINDS = {"x": "number", "n": "integer", "t": "text", "b": "boolean", "d": "date"}
VIEW = View(
    name="robots",
    set="robots",
    kind="raw",
    key="robot_id",
    entity="robot-id",
    time="seen",
    fields=[Field(name=name, column=name, type=kind) for name, kind in KINDS.items()],
)
TTL = 5
SHORT = View(
    name="short",
    set="short",
    kind="raw",
    key="robot_id",
    entity="robot-id",
    time="seen",
    ttl_seconds=TTL,
    fields=[Field(name="x", column="x", type="number")],
)
SERVICE = Chosen(name="model", set="robots", features=[*(f"robots:{name}" for name in KINDS), "short:x"])
SOME = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

Row = tuple[str, int, dict[str, Any]]
Load = tuple[int, list[Row]]  # when, what

values = st.fixed_dictionaries(
    {
        "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "t": st.none() | st.text(max_size=4).filter(lambda text: "\0" not in text and text.isprintable()),
        "b": st.none() | st.booleans(),
        "d": st.none()
        | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    }
)
entities = st.sampled_from(["7", "8", "zürich"])
rows = st.lists(st.tuples(entities, st.integers(0, 8), values), max_size=8, unique_by=lambda row: row[:2])
loads = st.lists(rows, min_size=1, max_size=4).map(
    lambda found: [(2 + 3 * place, each) for place, each in enumerate(found)]
)
asked = st.lists(st.tuples(st.sampled_from(["7", "8", "zürich", "unknown"]), st.integers(-1, 16)), max_size=12)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def frame_of(found: list[Row], names: list[str]) -> pl.DataFrame:
    columns: dict[str, Any] = {"robot_id": [row[0] for row in found], "event_timestamp": [at(row[1]) for row in found]}
    columns |= {name: [row[2][name] for row in found] for name in names}
    schema = {"robot_id": pl.String, "event_timestamp": MOMENT} | {name: DTYPES[name] for name in names}
    return pl.DataFrame(columns, schema)


@pytest.fixture
def store(data: Data) -> Data:
    data.client.apply([VIEW, SHORT])
    data.client.choose(SERVICE)
    return data


def load(store: Data, found: list[Load]) -> None:
    for view in (VIEW, SHORT):
        store.do("reset", view=view.name)
        for when, rows in found:
            content = parquet(frame_of(rows, [field.name for field in view.fields]))
            store.write(view.name, content, at(when).isoformat())


def read(store: Data, questions: list[tuple[str, int]], pairs: int) -> pl.DataFrame:
    """What the store says, by Feast's own join up to so many pairs of rows, else by the other one."""
    store.do("join", pairs=pairs, chunk=60)
    ids, times = [one for one, _ in questions], [at(second) for _, second in questions]
    content = {"row_id": range(len(questions)), "robot_id": ids, "event_timestamp": times}
    schema = {"row_id": pl.Int64, "robot_id": pl.String, "event_timestamp": MOMENT}
    return historical(store, pl.DataFrame(content, schema))


def historical(store: Data, asked: pl.DataFrame) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(store.client.historical("model", parquet(asked)))).sort("row_id")


def known(found: list[Load], fields: list[str]) -> pl.DataFrame:
    """All rows that the store has to have, by the rules: a correction is known from its load on."""
    kept: dict[tuple[str, int], list[tuple[datetime, dict[str, Any]]]] = {}
    for when, rows in found:
        for entity, second, values in rows:
            history = kept.setdefault((entity, second), [])
            mine = {name: values[name] for name in fields}
            if not history:
                history.append((at(second), mine))
            elif not same(history[-1][1], mine):
                history.append((max(at(when), at(second), history[-1][0] + timedelta(microseconds=1)), mine))
    flat = [
        {"entity": key[0], "event": at(key[1]), "created": created, **values}
        for key, history in kept.items()
        for created, values in history
    ]
    schema = {"entity": pl.String, "event": MOMENT, "created": MOMENT} | {name: DTYPES[name] for name in fields}
    return pl.DataFrame(flat, schema)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in one)


def oracle(
    found: list[Load], questions: list[tuple[str, int]], fields: list[str], ttl: float = math.inf
) -> pl.DataFrame:
    """The point-in-time join, written down again: all pairs, those that had happened and were known, the latest."""
    ids, times = [one for one, _ in questions], [at(second) for _, second in questions]
    schema = {"row_id": pl.Int64, "entity": pl.String, "asked": MOMENT}
    asked = pl.DataFrame({"row_id": range(len(questions)), "entity": ids, "asked": times}, schema)
    pairs = asked.join(known(found, fields), on="entity").filter(
        (pl.col("event") <= pl.col("asked")) & (pl.col("created") <= pl.col("asked"))
    )
    latest = pairs.sort("event", "created").group_by("row_id", maintain_order=True).last()
    if ttl != math.inf:
        latest = latest.filter(pl.col("event") + timedelta(seconds=ttl) >= pl.col("asked"))
    return asked.select("row_id").join(latest.select("row_id", *fields), on="row_id", how="left").sort("row_id")


@SOME
@given(loads, asked)
def test_equals_an_independent_computation(store: Data, found: list[Load], questions: list[tuple[str, int]]) -> None:
    load(store, found)
    expected = oracle(found, questions, list(KINDS)).rename({name: f"robots:{name}" for name in KINDS})
    short = oracle(found, questions, ["x"], TTL).rename({"x": "short:x"})
    expected = expected.join(short, on="row_id", maintain_order="left")
    for pairs in (10**9, -1):
        answer = read(store, questions, pairs)
        assert answer.schema == expected.schema
        assert answer.equals(expected), (pairs, answer, expected)


@SOME
@given(loads, asked, st.integers(0, 12), st.randoms(use_true_random=False))
def test_what_is_known_later_changes_nothing(
    store: Data, found: list[Load], questions: list[tuple[str, int]], now: int, random: Any
) -> None:
    questions = [(entity, min(second, now)) for entity, second in questions]
    load(store, found)
    before = [read(store, questions, pairs) for pairs in (10**9, -1)]
    first = {(entity, second): when for when, rows in reversed(found) for entity, second, _ in rows}
    changed: list[Load] = []
    for when, rows in found:
        again: list[Row] = []
        for entity, second, values in rows:
            later = second > now or (when > now and first[entity, second] < when)
            other = {"x": 1234.5, "n": 77, "t": "changed", "b": None, "d": START}
            again.append((entity, second, other if later and random.random() < 0.8 else values))
        changed.append((when, again))
    load(store, changed)
    after = [read(store, questions, pairs) for pairs in (10**9, -1)]
    for one, other in zip(before, after, strict=True):
        assert one.equals(other)


@SOME
@given(loads, asked, st.integers(0, 16))
def test_loads_at_the_same_moment_have_one_answer(
    store: Data, found: list[Load], questions: list[tuple[str, int]], moment: int
) -> None:
    """No two rows of an entity have the same event time and the same time of creation, whatever is written when."""
    found = [(moment, rows) for _, rows in found]
    load(store, found)
    for view in (VIEW, SHORT):
        parts = [pl.read_parquet(path) for path in (store.state / "features" / view.name).glob("[1-9]*.parquet")]
        rows = pl.concat(parts) if parts else pl.DataFrame(schema={"robot_id": pl.String})
        assert not rows.select(set(rows.columns) & {"robot_id", "event_timestamp", "created"}).is_duplicated().any()
    expected = oracle(found, questions, list(KINDS)).rename({name: f"robots:{name}" for name in KINDS})
    short = oracle(found, questions, ["x"], TTL).rename({"x": "short:x"})
    expected = expected.join(short, on="row_id", maintain_order="left")
    for pairs in (10**9, -1) * 3:
        assert read(store, questions, pairs).equals(expected)


def test_rows_a_microsecond_apart_are_told_apart(store: Data) -> None:
    store.do("reset", view="robots")
    empty = dict.fromkeys(KINDS)
    frame = frame_of([("7", 1, empty)] * 3, list(KINDS)).with_columns(
        pl.Series("event_timestamp", [at(1) + timedelta(microseconds=place) for place in range(3)]).cast(MOMENT),
        n=pl.Series([1, 2, 3]),
    )
    store.write("robots", parquet(frame), at(2).isoformat())
    asked = (
        frame.select("robot_id", "event_timestamp").with_row_index("row_id").with_columns(pl.col("row_id").cast(int))
    )
    for pairs in (10**9, -1):
        store.do("join", pairs=pairs, chunk=8)
        answer = historical(store, asked)
        assert answer["robots:n"].to_list() == [1, 2, 3]


def test_an_answer_without_rows_has_the_types(store: Data) -> None:
    for pairs in (10**9, -1):
        answer = read(store, [], pairs)
        assert answer.height == 0
        assert dict(answer.schema)["robots:d"] == MOMENT
