"""Inference of a spec from a file: its format, its columns and the target."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.infer_dates import pick
from pantheon.workflow.data.infer_numbers import Style
from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.data.spec_file import dump_spec, parse_spec, read_spec
from pantheon.workflow.run import Run
from tests.support.data import clean
from tests.support.excel import write_excel

Write = Callable[..., Path]
Through = Callable[..., Run]
N = 200


def table(cells: list[str], name: str = "x", separator: str = ",") -> str:
    """A CSV of a column and a target of two classes that goes with nothing."""
    quoted = [f'"{cell}"' if separator in cell or "\n" in cell else cell for cell in cells]
    lines = [f"{name}{separator}other{separator}y"]
    lines += [f"{cell}{separator}{n % 7}{separator}{'ab'[n // 3 % 2]}" for n, cell in enumerate(quoted)]
    return "\n".join(lines) + "\n"


def column(write: Write, cells: list[str], name: str = "x", separator: str = ",") -> Column:
    repeated = (cells * N)[: max(N, len(cells))]
    return infer_spec(write(table(repeated, name, separator)), "y").column(name)


# How the file is written


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_file_is_detected(write: Write, separator: str) -> None:
    spec = infer_spec(write(table(["1.5", "2.25"] * N, separator=separator)), "y")
    assert spec.source.separator == separator
    assert spec.column("x").type == "number"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_the_encoding_of_a_file_is_detected(write: Write, through: Through, encoding: str) -> None:
    text = table(["Zürich", "Genève", "Bern"] * N, name="Städte")
    run = through(write(text, encoding=encoding))
    assert set(clean(run)["Städte"]) == {"Zürich", "Genève", "Bern"}


def test_euro_signs_of_windows_and_a_late_umlaut(write: Write, through: Through) -> None:
    cells = ["plain"] * 5000 + ["fünf €"] * 20
    run = through(write(table(cells), encoding="cp1252"))
    assert "fünf €" in set(clean(run)["x"])


def test_quoted_fields_may_contain_separators_quotes_and_newlines(write: Write, through: Through) -> None:
    text = "x,y\n" + '"one, ""two""\nthree",a\nplain,b\nplain,a\n' * 40
    run = through(write(text))
    assert set(clean(run)["x"]) == {'one, "two"\nthree', "plain"}


def test_lines_may_end_in_crlf(write: Write, through: Through) -> None:
    run = through(write(table(["5", "6", "8"] * N).replace("\n", "\r\n")))
    assert set(clean(run)["x"]) == {5, 6, 8}


@pytest.mark.parametrize(
    ("separator", "cells", "values"),
    [
        (",", ["1,234", "12", "1,234,567"], [1234, 12, 1234567]),
        (",", ["1,234.5", "12.25", "-0.5"], [1234.5, 12.25, -0.5]),
        (",", ["1,5", "12,25", "-3"], [1.5, 12.25, -3]),
        (";", ["1.234,5", "12,25", "7"], [1234.5, 12.25, 7]),
        (";", ["1,5", "12,75", "3,125"], [1.5, 12.75, 3.125]),
        (",", ["1 234", "12", "1 234 567.5"], [1234, 12, 1234567.5]),
        (",", ["1\u00a0234,5", "12", "7"], [1234.5, 12, 7]),
        (",", ["1'234.5", "12", "7"], [1234.5, 12, 7]),
        (",", ["1e3", "+2.5", "-.5"], [1000, 2.5, -0.5]),
        (";", ["1.5", "2.25", "3.125"], [1.5, 2.25, 3.125]),
    ],
)
def test_number_formats_are_detected(
    write: Write, through: Through, separator: str, cells: list[str], values: list[float]
) -> None:
    run = through(write(table(cells * N, separator=separator)))
    spec = read_spec(run.path("spec.toml"))
    assert spec.column("x").type in ("number", "integer")
    assert sorted(set(clean(run)["x"])) == sorted(values)


# What a column is


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "5"], "integer"),
        (["0", "1"], "integer"),
        (["1.0", "2.5"], "number"),
        (["yes", "no"], "boolean"),
        (["True", "FALSE"], "boolean"),
        (["Y", "N"], "boolean"),
        (["ja", "nein"], "boolean"),
        (["low", "medium", "high"], "category"),
        (["00123", "00456", "10000"], "category"),
        (["2024-03-01", "2024-12-31"], "date"),
        (["2024-03-01 10:00:00", "2024-12-31 23:59:59"], "date"),
        (["2024-03-01T10:00:00Z", "2024-12-31T23:59:59Z"], "date"),
        (["31.12.2024", "01.03.2024"], "date"),
        (["5 Jan 2024", "17 Feb 2023"], "date"),
    ],
)
def test_the_type_of_a_column_is_inferred_with_a_reason(write: Write, cells: list[str], kind: str) -> None:
    result = column(write, cells)
    assert (result.type, result.role) == (kind, "feature")
    assert result.why


@pytest.mark.parametrize("word", ["", "NA", "N/A", "null", "?", "-", "nan", "None", " ", "unknown"])
def test_common_words_for_missing_values_count_as_missing(write: Write, word: str) -> None:
    result = column(write, ["1.5", "2.25", "3", "4.75", word])
    assert (result.type, result.nullable) == ("number", True)
    assert 0.2 < result.max_missing < 0.5


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["31/12/2024", "01/03/2024"], "%d/%m/%Y"),
        (["12/31/2024", "03/01/2024"], "%m/%d/%Y"),
        (["31-12-24", "01-03-24"], "%d-%m-%y"),
        (["12/31/2024 11:59 PM", "01/03/2024 1:05 AM"], "%m/%d/%Y %I:%M %p"),
    ],
)
def test_day_or_month_first(write: Write, cells: list[str], form: str) -> None:
    assert column(write, cells).format == form


def test_a_single_value_in_two_date_formats_has_no_order_of_rows() -> None:
    texts = pl.Series(["31/12/2023 10:00", "31/12/2023 10:00", "1/2/2024"])
    assert pick(["%d/%m/%Y", "%m/%d/%Y"], texts, Style(day_first=True))[0] == "%d/%m/%Y"


def test_the_order_of_rows_decides_between_day_and_month_first(write: Write) -> None:
    days = [date(2024, month, day) for month in range(1, 13) for day in (2, 5, 9)]
    assert column(write, [f"{day:%d/%m/%Y}" for day in days]).format == "%d/%m/%Y"
    assert column(write, [f"{day:%m/%d/%Y}" for day in days]).format == "%m/%d/%Y"


def test_an_ambiguous_date_format_is_reported(write: Write) -> None:
    assert "assumed" in column(write, ["05/05/2024", "06/06/2024"]).why


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("x", [str(n) for n in range(N)], "a row number"),
        ("Unnamed: 0", [str(n) for n in range(N)], "a row number"),
        ("customer_id", [str(7919 * n % 100_003) for n in range(N)], "identifier"),
        ("PassengerId", [str(n + 1) for n in range(N)], "a row number"),
        ("key", [f"3f2504e0-4f89-11d3-9a0c-{n:012d}" for n in range(N)], "UUID"),
        ("name", [f"Name {n * 37 % 1009}" for n in range(N)], "every value is distinct"),
        ("same", ["7"], "has a single value"),
        ("empty", [""], "every cell is missing"),
        ("notes", [f"He said {n} times that it was {n * n} and then left for good" for n in range(N)], "free text"),
    ],
)
def test_columns_that_cannot_help_are_ignored_with_a_reason(
    write: Write, name: str, cells: list[str], why: str
) -> None:
    result = column(write, cells, name)
    assert result.role == "ignore"
    assert why in result.why


def test_a_repeated_identifier_keeps_its_rows_together(write: Write) -> None:
    spec = infer_spec(write(table([f"c{n // 4}" for n in range(4 * N)], "customer_id")), "y")
    assert spec.column("customer_id").role == "entity"
    assert (spec.split.by, spec.split.column) == ("hash", "customer_id")


@pytest.mark.parametrize("name", ["humid", "paid", "Madrid", "fluid"])
def test_names_that_end_like_an_identifier_are_not_identifiers(write: Write, name: str) -> None:
    assert column(write, [f"{7919 * n % 1000 / 8}" for n in range(N)], name).role == "feature"


def test_few_categories_are_all_listed_and_others_are_new(write: Write) -> None:
    result = column(write, ["low", "LOW", " low", "high", "medium", "medium"])
    assert result.categories == ("high", "low", "medium")
    assert result.unknown == "warn"


def test_of_many_categories_the_frequent_ones_are_listed(write: Write) -> None:
    cells = [f"town {min(n, n * n % 977) % 300}" for n in range(3000)]
    result = column(write, cells)
    assert (result.type, result.unknown) == ("category", "other")
    assert 50 < len(result.categories) <= 200
    assert list(result.categories) == sorted(result.categories)


def test_a_copy_of_the_target_is_not_a_feature(write: Write) -> None:
    lines = ["copy,code,x,y"] + [f"{'ab'[n % 2]},{n % 2},{n * 7 % 13},{'ab'[n % 2]}" for n in range(N)]
    spec = infer_spec(write("\n".join(lines) + "\n"), "y")
    for name in ("copy", "code"):
        assert spec.column(name).role == "ignore"
        assert "target" in spec.column(name).why
    assert spec.column("x").role == "feature"


def test_cleaning_stops_at_a_block_of_another_type(write: Write, through: Through) -> None:
    cells = [f"{n}.5" for n in range(1000)] + ["Bern"] * 300 + [f"{n}.5" for n in range(1000)]
    with pytest.raises(
        PantheonError, match=r"column 'x', row 1,001: 'Bern' is not a number; 300 of 2,300 cells"
    ) as error:
        through(write(table(cells)))
    assert "type" in error.value.cure


def test_a_few_scattered_cells_of_another_type_become_missing(write: Write, through: Through) -> None:
    run = through(write(table(["oops" if n % 50 == 3 else f"{n}.5" for n in range(1000)])))
    assert clean(run)["x"].null_count() == 20


def test_a_type_that_only_shows_far_into_a_large_file(write: Write, through: Through) -> None:
    """A fraction and a rare category outside the sample: all values of a small category are collected."""
    cells = [f"{n % 7},low" for n in range(120_000)]
    cells[77_777] = "2.5,rare"
    lines = ["x,level,y"] + [f"{cell},{'ab'[n // 3 % 2]}" for n, cell in enumerate(cells)]
    run = through(write("\n".join(lines) + "\n"))
    assert clean(run).row(77_777) == (2.5, "rare", 1)


# What is predicted


def target(write: Write, cells: list[str]) -> Spec:
    lines = ["x,y"] + [f"{n * 7 % 13},{cell}" for n, cell in enumerate((cells * N)[:N])]
    return infer_spec(write("\n".join(lines) + "\n"), "y")


@pytest.mark.parametrize(
    ("cells", "classes", "positive"),
    [
        (["yes", "no"], ("no", "yes"), "yes"),
        (["No", "Yes", "yes "], ("No", "Yes"), "Yes"),
        (["True", "False"], (False, True), True),
        (["1", "0"], (0, 1), 1),
        (["1.0", "0.0"], (0, 1), 1),
        (["good", "bad"], ("bad", "good"), "bad"),
        (["c", "a", "b"], ("a", "b", "c"), None),
        (["3", "1", "2"], (1, 2, 3), None),
        (["-1", "1"], (-1, 1), 1),
    ],
)
def test_the_classes_of_a_target_and_the_positive_one_are_inferred(
    write: Write, cells: list[str], classes: tuple[object, ...], positive: object
) -> None:
    spec = target(write, cells)
    assert spec.task == "classification"
    assert spec.target.classes == classes
    assert [type(value) for value in spec.target.classes] == [type(value) for value in classes]
    assert spec.target.positive == positive


@pytest.mark.parametrize("cells", [[f"{n}" for n in range(50)], [f"{n / 8}" for n in range(30)], ["0.5", "1.5"]])
def test_numbers_are_predicted_as_numbers(write: Write, cells: list[str]) -> None:
    spec = target(write, cells)
    assert spec.task == "regression"


# Other kinds of files


def test_parquet_keeps_its_types(tmp_path: Path, through: Through) -> None:
    path = tmp_path / "table.parquet"
    pl.DataFrame(
        {
            "when": [date(2024, 1, 1) + timedelta(days=n * 37 % 365) for n in range(N)],
            "flag": [n % 3 == 0 for n in range(N)],
            "size": [None if n % 9 == 0 else n % 17 / 4 for n in range(N)],
            "kind": pl.Series(["a", "b", "c", "d"] * (N // 4), dtype=pl.Categorical),
            "bag": [[1, 2]] * N,
            "y": [n % 5 % 2 for n in range(N)],
        }
    ).write_parquet(path)
    run = through(path)
    spec = read_spec(run.path("spec.toml"))
    assert [column.type for column in spec.features] == ["date", "boolean", "number", "category"]
    assert spec.column("bag").role == "ignore"
    assert clean(run).dtypes[:4] == [pl.Date, pl.Boolean, pl.Float64, pl.String]
    assert clean(run)["size"].null_count() == len(range(0, N, 9))


def test_an_excel_sheet_keeps_its_types(tmp_path: Path, through: Through) -> None:
    rows: list[list[str | float | bool | date | None]] = [["when", "flag", "size", "kind", "y"]]
    for n in range(N):
        day = date(2024, 1, 1) + timedelta(days=n * 37 % 365)
        rows.append([day, n % 3 == 0, None if n % 9 == 0 else n % 17 / 4, "xyz"[n % 3], n % 5 % 2])
    run = through(write_excel(tmp_path / "table.xlsx", rows))
    spec = read_spec(run.path("spec.toml"))
    assert [column.type for column in spec.features] == ["date", "boolean", "number", "category"]
    result = clean(run)
    assert result["when"][1] == date(2024, 2, 7)
    assert result["size"].drop_nulls()[1] == 0.5
    assert spec.target.classes == (0, 1)


# What a person decides


def test_an_edited_spec_wins(write: Write, new_run: Callable[..., Run], through: Through) -> None:
    path = write(table(["1", "2", "3"] * N))
    text = dump_spec(infer_spec(path, "y"))
    edited = text.replace('name = "x"\ntype = "integer"', 'name = "x"\ntype = "category"\ncategories = ["1", "2", "3"]')
    assert edited != text
    run = through(parse_spec(edited))
    assert clean(run)["x"].dtype == pl.String


def test_a_missing_target_suggests_similar_names(write: Write) -> None:
    with pytest.raises(PantheonError, match="Did you mean 'Churned'") as error:
        infer_spec(write("age,Churned\n1,a\n2,b\n"), "churn")
    assert error.value.status == 2


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["same"], "only one class"),
        (["", "NA"], "missing in every row"),
        ([f"text {n}" for n in range(N)], "distinct values"),
        (["2024-01-01", "2024-02-02"], "is a date"),
    ],
)
def test_targets_that_cannot_be_predicted(write: Write, cells: list[str], message: str) -> None:
    with pytest.raises(PantheonError, match=message):
        target(write, cells)


def test_nothing_to_learn_from(write: Write) -> None:
    with pytest.raises(PantheonError, match="no column to learn from"):
        infer_spec(write("id,y\n" + "".join(f"{n},{n % 2}\n" for n in range(N))), "y")
