"""The split: entities are not divided, class proportions are kept, and the rows are the same in every run."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow.data.spec import Column, Source, Spec, Split, Target
from pantheon.workflow.data.spec_file import dump_spec, parse_spec, read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.split_data import SMALL, by_hash, by_time, split_data
from tests.support import DATASETS
from tests.support.data import parts

SPEC = Spec(
    "t",
    "classification",
    Source(path="t.csv"),
    Target("y", (0, 1, 2)),
    (Column("e", "integer", "entity"), Column("x"), Column("y", "integer", "target")),
    Split("hash", "e"),
)


ROWS = replace(SPEC, split=Split())


def frame(entities: list[int], classes: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"e": entities, "y": pl.Series(classes, dtype=pl.Int32)})


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2)), min_size=30, max_size=400),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_no_entity_is_in_both_parts(rows: list[tuple[int, int]], share: float) -> None:
    table = frame([e for e, _ in rows], [y for _, y in rows])
    test = by_hash(SPEC, table, share)
    assert not set(table["e"].filter(pl.Series(test))) & set(table["e"].filter(pl.Series(~test)))


@given(st.lists(st.integers(0, 2), min_size=30, max_size=400), st.sampled_from([0.1, 0.2, 0.5]))
def test_every_class_gets_its_share(classes: list[int], share: float) -> None:
    test = by_hash(ROWS, frame(list(range(len(classes))), classes), share)
    for value in set(classes):
        rows = classes.count(value)
        chosen = int(test[np.array(classes) == value].sum())
        assume(rows > 1)
        assert abs(chosen - rows * share) <= 1
        assert 0 < chosen < rows


@settings(max_examples=20)
@given(st.integers(300, 3000), st.integers(1, 300))
def test_appended_rows_hardly_move_others(rows: int, more: int) -> None:
    classes = [n % 3 for n in range(rows + more)]
    before = by_hash(ROWS, frame(list(range(rows)), classes[:rows]), 0.2)
    after = by_hash(ROWS, frame(list(range(rows + more)), classes), 0.2)[:rows]
    assert int((before != after).sum()) <= 0.05 * rows + 3


def test_above_a_size_appended_rows_move_no_others() -> None:
    entities = [n // 3 for n in range(SMALL + 30_000)]
    table = frame(entities, [n % 3 for n in range(len(entities))])
    before = by_hash(SPEC, table.head(SMALL + 1000), 0.2)
    after = by_hash(SPEC, table, 0.2)
    assert (before == after[: len(before)]).all()
    assert abs(after.mean() - 0.2) < 0.01


def test_the_two_methods_agree_except_at_the_boundary() -> None:
    entities = list(range(SMALL))
    table = frame(entities, [n % 2 for n in entities])
    ranked = by_hash(SPEC, table, 0.2)
    threshold = by_hash(SPEC, pl.concat([table, frame([SMALL], [0])]), 0.2)[:-1]
    assert (ranked != threshold).mean() < 0.01


def test_the_seed_does_not_move_rows(through: Callable[..., Run]) -> None:
    spec = read_spec(DATASETS / "wine.toml")
    one, other = parts(through(spec, seed=1)), parts(through(spec, seed=2))
    assert one[0].equals(other[0]) and one[1].equals(other[1])


def test_robots_stay_together_and_nothing_is_lost(through: Callable[..., Run]) -> None:
    run = through(read_spec(DATASETS / "robots.toml"))
    train, test = parts(run)
    assert not set(train["robot-id"]) & set(test["robot-id"])
    report = json.loads(run.path("reports/split_data.json").read_text())
    clean = json.loads(run.path("reports/clean_data.json").read_text())
    assert report["rows"] == {"train": train.height, "test": test.height}
    assert train.height + test.height == clean["rows_out"]
    assert abs(report["share"] - 0.2) < 0.01
    assert abs(train["condition"].mean() - test["condition"].mean()) < 0.02


def test_rows_that_are_only_trained_on_change_nothing_that_is_held_out(
    through: Callable[..., Run], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    rows = pl.DataFrame({"e": np.arange(300) // 2, "x": random.normal(size=300), "y": np.arange(300) % 3})
    _, before = parts(through(_stored(tmp_path, rows.with_columns(f=pl.lit(False)))))
    copy, known = before.head(1).select("x", "y"), before["e"][-1]
    added = pl.DataFrame({"e": [-1, -2, known, -3], "x": [1.0, 2.0, 3.0, copy["x"][0]], "y": [0, 1, 2, 0], "f": True})
    run = through(_stored(tmp_path, pl.concat([rows.with_columns(f=pl.lit(False)), added])))
    train, test = parts(run)
    assert test.equals(before)
    assert train["e"].to_list()[-2:] == [-1, -2], "not the held-out entity, and not the copy of a held-out row"
    assert train.height + test.height == 302
    assert json.loads(run.path("reports/split_data.json").read_text())["train_only"] == 2


def _stored(folder: Path, rows: pl.DataFrame) -> Spec:
    rows.write_parquet(folder / "rows.parquet")
    source = Source(path=str(folder / "rows.parquet"), format="parquet")
    mark = Column("f", "boolean", "ignore")
    return replace(SPEC, source=source, columns=(*SPEC.columns, mark), split=Split("hash", "e", "f"))


def test_what_is_only_trained_on_is_a_boolean_column_that_is_ignored() -> None:
    text = dump_spec(replace(SPEC, split=Split("hash", "e", "x")))
    with pytest.raises(PantheonError, match=r"split\.train_only names 'x', which is not a boolean column"):
        parse_spec(text)


TIMED = replace(
    SPEC, columns=(Column("t", "date", "time"), Column("x"), Column("y", "integer", "target")), split=Split("time", "t")
)


def test_a_split_by_time_puts_the_last_rows_into_the_test_part() -> None:
    days = [date(2024, 1, 1) + timedelta(days=37 * n % 100) for n in range(100)]
    test, start = by_time(TIMED, pl.DataFrame({"t": days}), 0.2)
    assert start == "2024-03-21"
    assert sorted(np.array(days)[test]) == sorted(days)[80:]


def test_a_split_by_time_tests_on_the_latest_rows(through: Callable[..., Run]) -> None:
    spec = read_spec(DATASETS / "robots.toml")
    train, test = parts(through(replace(spec, split=Split("time", "observed-at"))))
    assert train["observed-at"].max() < test["observed-at"].min()
    assert abs(test.height / (test.height + train.height) - 0.2) < 0.01


def test_rows_of_the_same_time_stay_together() -> None:
    days = [date(2024, 1, 1)] * 70 + [date(2024, 1, 2)] * 30
    test, start = by_time(TIMED, pl.DataFrame({"t": days}), 0.2)
    assert (start, test.sum()) == ("2024-01-02", 30)
    mostly_last = [date(2024, 1, 1)] * 30 + [date(2024, 1, 2)] * 70
    assert by_time(TIMED, pl.DataFrame({"t": mostly_last}), 0.2)[0].sum() == 70


def test_rows_of_a_single_time_cannot_be_split() -> None:
    with pytest.raises(PantheonError, match="every row has the same 't'"):
        by_time(TIMED, pl.DataFrame({"t": [date(2024, 1, 1)] * 50}), 0.2)


Split_ = Callable[[pl.DataFrame], Run]


@pytest.fixture
def split(new_run: Callable[..., Run]) -> Split_:
    """A run that has split this clean table."""

    def split(table: pl.DataFrame) -> Run:
        run = new_run(SPEC)
        run.path("data").mkdir()
        table.write_parquet(run.path("data/clean.parquet"))
        split_data(run)
        return run

    return split


@pytest.mark.parametrize(
    ("entities", "classes", "message"),
    [
        (list(range(8)), [0, 1, 2, 0, 1, 2, 0, 1], "there are 8 rows; a split and 5 folds need 12"),
        (list(range(50)), [0] * 48 + [2, 2], "class '2' of 'y' has 2 rows; a split and 5 folds need 6"),
        ([7] * 60, [0, 1, 2] * 20, "the split leaves 60 rows to train and 0 to test of 1 'e'"),
        (
            [n if n < 40 else 99 for n in range(60)],
            [0] * 40 + [2] * 20,
            "class '2' of 'y' has 0 rows in the test part",
        ),
    ],
)
def test_too_few_rows_are_refused_with_the_reason(
    split: Split_, entities: list[int], classes: list[int], message: str
) -> None:
    with pytest.raises(PantheonError) as error:
        split(frame(entities, classes).with_columns(x=pl.int_range(pl.len()).cast(pl.Float64)))
    assert message in str(error.value)
    assert error.value.cure and error.value.status == 2


def test_the_cure_names_the_folds_that_are_possible(split: Split_) -> None:
    with pytest.raises(PantheonError) as error:
        split(frame(list(range(50)), [0] * 45 + [2] * 5).with_columns(x=pl.int_range(pl.len()).cast(pl.Float64)))
    assert error.value.cure == "Provide more rows of it, or use fewer folds (`run --folds 4`)."


@pytest.mark.parametrize("rare", [1, 2, 5])
def test_a_rare_class_among_others_does_not_stop_the_split(split: Split_, rare: int) -> None:
    classes = [0, 1] * 60 + [2] * rare
    table = frame(list(range(len(classes))), classes).with_columns(x=pl.int_range(pl.len()).cast(pl.Float64))
    report = json.loads(split(table).path("reports/split_data.json").read_text())
    parts = [report["classes"][part]["2"] for part in ("train", "test")]
    assert parts == {1: [1, 0], 2: [1, 1], 5: [4, 1]}[rare]


def test_nothing_is_written_when_the_split_fails(split: Split_, tmp_path: Path) -> None:
    with pytest.raises(PantheonError):
        split(frame([7] * 60, [0, 1, 2] * 20).with_columns(x=pl.lit(1.0)))
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"run.json", "spec.toml", "clean.parquet"}
