"""Cleaning checks every cell against the spec, counts changes, and stops at violations."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow import graph
from pantheon.workflow.data.cells import Cells
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from tests.support import DATASETS
from tests.support.data import cell, clean


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", "9", 9.0),
        ("number", " 9 ", 9.0),
        ("number", "\u00a09\t", 9.0),
        ("number", "-1.5e3", -1500.0),
        ("number", "n/a", None),
        ("number", "N/A ", None),
        ("number", "", None),
        ("number", "nine", None),
        ("number", "inf", None),
        ("number", "NaN", None),
        ("number", "1,5", None),
        ("number", "0x10", None),
        ("integer", "12", 12),
        ("integer", "12.0", 12),
        ("integer", "12.5", None),
        ("integer", "9007199254740993", 9007199254740993),
        ("boolean", "Yes", True),
        ("boolean", " no", False),
        ("boolean", "0", False),
        ("boolean", "perhaps", None),
        ("category", "low", "low"),
        ("category", " Low", "low"),
        ("category", "LOW", "low"),
        ("category", "lowest", None),
        ("category", "-", None),
        ("date", "2024-03-01", date(2024, 3, 1)),
        ("date", " 2024-03-01", date(2024, 3, 1)),
        ("date", "2024/03/01", date(2024, 3, 1)),
        ("date", "2024-03-01T10:00:00Z", date(2024, 3, 1)),
        ("date", "2024-02-30", None),
        ("date", "01.03.2024", None),
        ("date", "2024-03", None),
    ],
)
def test_a_cell_is_read_as_its_columns_type(kind: str, text: str, value: object) -> None:
    assert cell(text, Column("x", kind, categories=("high", "low"), unknown="refuse")) == value


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "value"),
    [
        (".", ",", "1,234.5", 1234.5),
        (".", ",", "1,23", None),
        (".", ",", "12,34,567", 1234567.0),
        (".", ",", "12,34", None),
        (".", ",", "0,517", None),
        (",", ".", "0.517", None),
        (",", ".", "12.34.567", None),
        (",", ".", "1.234,5", 1234.5),
        (",", ".", "1.5", None),
        (",", "", "1,5", 1.5),
        (",", "", "1.5", None),
        (".", " ", "1\u202f234", 1234.0),
        (".", "'", "1’234", 1234.0),  # noqa: RUF001
    ],
)
def test_decimal_and_thousands_marks_of_the_spec_are_read(
    decimal: str, thousands: str, text: str, value: float | None
) -> None:
    assert cell(text, Column("x"), Source(decimal=decimal, thousands=thousands)) == value


@pytest.mark.parametrize(
    ("classes", "text", "index"),
    [
        ((0, 1), "1", 1),
        ((0, 1), "1.0", 1),
        ((0, 1), " 01", 1),
        ((0, 1), "2", None),
        (("no", "yes"), "Yes ", 1),
        ((False, True), "TRUE", 1),
        ((False, True), "no", 0),
        ((1.5, 2.5), "2.50", 1),
        (("b", "a"), "a", 1),
        (("A", "a"), "a", 1),
        (("A", "a"), " A", 0),
    ],
)
def test_a_class_becomes_its_index(classes: tuple[str | float, ...], text: str, index: int | None) -> None:
    column = Column("x", "category", "target")
    assert cell(text, column, target=Target("x", classes)) == index


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("-3", None), ("60", 60.0), ("999", None), ("60.0001", None)])
def test_values_outside_the_range_become_missing(text: str, value: float | None) -> None:
    assert cell(text, Column("x", min=0, max=60)) == value


def test_dates_outside_the_range_become_missing() -> None:
    column = Column("x", "date", min="2020-01-01", max="2024-12-31")
    assert cell("2019-12-31", column) is None
    assert cell("2020-01-01", column) == date(2020, 1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("31.12.2024", date(2024, 12, 31)),
        ("Mar-2024", date(2024, 3, 1)),
        ("2024-03-05", date(2024, 3, 5)),
        ("3/5/2024", None),
    ],
)
def test_dates_are_read_in_the_forms_of_the_spec(text: str, value: date | None) -> None:
    assert cell(text, Column("x", "date", format="%d.%m.%Y", formats=("%b-%Y",))) == value


def test_another_category_is_kept_where_the_spec_says_so() -> None:
    column = Column("x", "category", categories=("Bern",), unknown="other")
    assert [cell(text, column) for text in ("Bern", "BERN", " Basel ", "", "NA")] == [
        "Bern",
        "Bern",
        "Basel",
        None,
        None,
    ]


@given(
    st.lists(st.sampled_from(["1", " 2", "x", "", "n/a", "1,000", "-3", "nan", "7.25", "2 "]), max_size=40), st.data()
)
def test_the_result_does_not_depend_on_batches(texts: list[str], data: st.DataObject) -> None:
    cells = Cells(Column("x", min=0), Source(thousands=","))
    whole, counted = cells.clean(pl.Series("x", texts, dtype=pl.String))
    cut = data.draw(st.integers(0, len(texts)))
    first, counts = cells.clean(pl.Series("x", texts[:cut], dtype=pl.String))
    second, more = cells.clean(pl.Series("x", texts[cut:], dtype=pl.String), cut)
    counts.add(more)
    assert pl.concat([first, second]).to_list() == whole.to_list()
    assert counts == counted
    values = [{"1": 1, " 2": 2, "2 ": 2, "1,000": 1000, "7.25": 7.25}.get(text) for text in texts]
    assert whole.to_list() == values
    assert counted.missing == values.count(None)


Cleaned = Callable[..., Run]


@pytest.fixture
def cleaned(write: Callable[..., Path], new_run: Callable[..., Run]) -> Cleaned:
    """Clean rows of x and y in a run: ``cleaned(["1", "2"], Column("x"))``."""

    def cleaned(texts: list[str], column: Column, ys: list[str] | None = None) -> Run:
        ys = ys or ["ab"[n % 2] for n in range(len(texts))]
        path = write("x,y\n" + "".join(f'"{x}",{y}\n' for x, y in zip(texts, ys, strict=True)))
        target = Column("y", "category", "target", categories=("a", "b"))
        spec = Spec("t", "classification", Source(path=str(path)), Target("y", ("a", "b")), (column, target))
        run = new_run(spec)
        load_data(run)
        clean_data(run)
        return run

    return cleaned


def test_the_report_counts_what_was_done(cleaned: Cleaned) -> None:
    texts = ["1"] * 94 + [" 2", "", "n/a", "many", "999", "3 "]
    run = cleaned(texts, Column("x", nullable=True, min=0, max=60, max_unreadable=0.02))
    report = json.loads(run.path("reports/clean_data.json").read_text())
    counts = {change["what"].split(",")[0]: change["count"] for change in report["changes"]}
    assert counts == {"blank": 2, "surrounding spaces removed": 2, "unreadable": 1, "outside min … max": 1}
    assert (report["rows_in"], report["rows_out"]) == (100, 100)
    assert report["missing"]["x"] == 0.04
    assert report["classes"] == {"a": 50, "b": 50}


def test_a_new_category_is_counted_and_said_and_stops_no_run(
    write: Callable[..., Path], new_run: Callable[..., Run]
) -> None:
    target = Column("y", "category", "target", categories=("a", "b"))
    path = write("x,z,y\n" + "".join(f"{'Bern' if n % 3 else ' Wien'},{n},{'ab'[n % 2]}\n" for n in range(99)))
    columns = (
        Column("x", "category", categories=("Bern",)),
        Column("z", "category", categories=("1",), unknown="other"),
    )
    run = new_run(Spec("t", "classification", Source(path=str(path)), Target("y", ("a", "b")), (*columns, target)))
    load_data(run)
    assert graph.run_stage("clean_data", run, None) == {"rows_in": 99, "rows_out": 99, "changed": 0}
    (said,) = run.records()["clean_data"].notes
    assert said.startswith("'x': 33 of 99 cells have a new category ('Wien'), which is treated as missing.")
    assert "INFER=again" in said
    report = json.loads(run.path("reports/clean_data.json").read_text())
    assert report["unlisted"]["x"] == {"Wien": 33}
    assert len(report["unlisted"]["z"]) == 20, "the most frequent ones"


def test_rows_without_required_values_are_dropped(cleaned: Cleaned) -> None:
    texts = ["1"] * 98 + ["", "5"]
    run = cleaned(texts, Column("x"), ["a", "b"] * 49 + ["a", ""])
    assert clean(run).height == 98


def test_a_column_of_another_type_in_the_middle_stops_the_run(cleaned: Cleaned, tmp_path: Path) -> None:
    texts = ["1.5"] * 4000 + ["Bern"] * 1000 + ["2.5"] * 4000
    with pytest.raises(PantheonError) as error:
        cleaned(texts, Column("x"))
    assert "column 'x', row 4,001: 'Bern' is not a number" in str(error.value)
    assert "1,000 of 9,000" in str(error.value)
    assert "spec" in error.value.cure
    assert error.value.status == 2
    assert not list(tmp_path.rglob("clean.parquet")) and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("texts", "column", "message"),
    [
        (["-3"] * 10 + ["5"] * 90, Column("x", min=0), "row 1: '-3' is not a number of at least 0"),
        (["99"] * 10 + ["5"] * 90, Column("x", max=60), "row 1: '99' is not a number of at most 60"),
        (["99"] * 10 + ["5"] * 90, Column("x", min=0, max=60), "'99' is not a number from 0 to 60"),
        (
            ["c"] * 10 + ["a"] * 90,
            Column("x", "category", categories=("a", "b"), unknown="refuse"),
            "'c' is not one of the listed categories",
        ),
        ([""] * 60 + ["5"] * 40, Column("x", nullable=True), "'x' is missing in 60 of 100 rows"),
    ],
)
def test_a_violation_of_the_spec_stops_the_run(
    cleaned: Cleaned, texts: list[str], column: Column, message: str
) -> None:
    with pytest.raises(PantheonError) as error:
        cleaned(texts, column)
    assert message in str(error.value)


def test_the_spec_sets_the_accepted_share_of_unreadable_cells(cleaned: Cleaned) -> None:
    texts = ["1"] * 90 + ["much"] * 10
    with pytest.raises(PantheonError):
        cleaned(texts, Column("x", nullable=True))
    run = cleaned(texts, Column("x", nullable=True, max_unreadable=0.1))
    assert clean(run)["x"].null_count() == 10


@pytest.mark.parametrize(
    ("ys", "message"),
    [
        (["a"] * 100, "has only one class: a"),
        ([""] * 100, "is missing in every row"),
        (["a", "b"] * 45 + ["c"] * 10, "'c' is not one of the classes"),
    ],
)
def test_targets_that_violate_the_spec(cleaned: Cleaned, ys: list[str], message: str) -> None:
    with pytest.raises(PantheonError, match=message):
        cleaned(["1"] * 100, Column("x"), ys)


def test_all_violations_are_in_the_report(cleaned: Cleaned, tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="1 more in reports"):
        cleaned(["much"] * 100, Column("x"), ["c"] * 100)
    report = json.loads(next(tmp_path.rglob("reports/clean_data.json")).read_text())
    assert [violation["column"] for violation in report["violations"]] == ["y", "x"]


def test_types_are_those_of_the_spec_and_rows_keep_their_order(through: Callable[..., Run]) -> None:
    run = through(read_spec(DATASETS / "robots.toml"))
    result = clean(run)
    assert dict(zip(result.columns, result.dtypes, strict=True)) == {
        "robot-id": pl.Int64,
        "observed-at": pl.Date,
        "robot-age": pl.Float64,
        "rust-level": pl.Float64,
        "battery": pl.String,
        "condition": pl.Int32,
    }
    raw = pl.read_parquet(run.path("data/raw.parquet"))["robot-id"].cast(pl.Int64).to_list()
    place = iter(raw)
    assert all(robot in place for robot in result["robot-id"]), "a subsequence of the raw rows"


@pytest.mark.parametrize("name", ["robots", "wine", "breast_cancer", "diabetes"])
def test_bundled_data_conforms_to_its_spec(through: Callable[..., Run], name: str) -> None:
    spec = read_spec(DATASETS / f"{name}.toml")
    result = clean(through(spec))
    assert result.columns == [column.name for column in spec.used]
    assert result.height > 150
    examples = {column.name: column.example for column in spec.features}
    assert None not in examples.values(), "each feature has an example for the form"
