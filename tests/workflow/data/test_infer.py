"""What is worked out from a file of the user's: how it is written, what each column is, and what is predicted."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.infer import infer_spec
from pantheon.workflow.run import Run
from pantheon.workflow.spec import Column, Spec

from .conftest import clean
from .excel import write_excel

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
def test_separators(write: Write, separator: str) -> None:
    spec = infer_spec(write(table(["1.5", "2.25"] * N, separator=separator)), "y")
    assert spec.source.separator == separator
    assert spec.column("x").type == "number"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_encodings(write: Write, through: Through, encoding: str) -> None:
    text = table(["Zürich", "Genève", "Bern"] * N, name="Städte")
    run = through(write(text, encoding=encoding))
    assert set(clean(run)["Städte"]) == {"Zürich", "Genève", "Bern"}


def test_euro_signs_of_windows_and_a_late_umlaut(write: Write, through: Through) -> None:
    cells = ["plain"] * 5000 + ["fünf €"] * 20
    run = through(write(table(cells), encoding="cp1252"))
    assert "fünf €" in set(clean(run)["x"])


def test_quoted_fields_may_hold_separators_quotes_and_new_lines(write: Write, through: Through) -> None:
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
def test_numbers_however_they_are_written(
    write: Write, through: Through, separator: str, cells: list[str], values: list[float]
) -> None:
    run = through(write(table(cells * N, separator=separator)))
    spec = Spec.read(run.path("spec.toml"))
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
def test_types(write: Write, cells: list[str], kind: str) -> None:
    found = column(write, cells)
    assert (found.type, found.role) == (kind, "feature")
    assert found.why


@pytest.mark.parametrize("word", ["", "NA", "N/A", "null", "?", "-", "nan", "None", " ", "unknown"])
def test_words_for_missing(write: Write, word: str) -> None:
    found = column(write, ["1.5", "2.25", "3", "4.75", word])
    assert (found.type, found.nullable) == ("number", True)
    assert 0.2 < found.max_missing < 0.5


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


def test_day_or_month_first_is_told_by_the_order_of_rows(write: Write) -> None:
    days = [date(2024, month, day) for month in range(1, 13) for day in (2, 5, 9)]
    assert column(write, [f"{day:%d/%m/%Y}" for day in days]).format == "%d/%m/%Y"
    assert column(write, [f"{day:%m/%d/%Y}" for day in days]).format == "%m/%d/%Y"


def test_a_doubt_about_dates_is_admitted(write: Write) -> None:
    assert "assumed" in column(write, ["05/05/2024", "06/06/2024"]).why


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("x", [str(n) for n in range(N)], "numbers the rows"),
        ("Unnamed: 0", [str(n) for n in range(N)], "numbers the rows"),
        ("customer_id", [str(7919 * n % 100_003) for n in range(N)], "identifier"),
        ("PassengerId", [str(n + 1) for n in range(N)], "numbers the rows"),
        ("key", [f"3f2504e0-4f89-11d3-9a0c-{n:012d}" for n in range(N)], "UUID"),
        ("name", [f"Name {n * 37 % 1009}" for n in range(N)], "every value is different"),
        ("same", ["7"], "always the same"),
        ("empty", [""], "every cell is missing"),
        ("notes", [f"He said {n} times that it was {n * n} and then left for good" for n in range(N)], "free text"),
    ],
)
def test_never_a_feature(write: Write, name: str, cells: list[str], why: str) -> None:
    found = column(write, cells, name)
    assert found.role == "ignore"
    assert why in found.why


def test_an_identifier_that_comes_back_keeps_its_rows_together(write: Write) -> None:
    spec = infer_spec(write(table([f"c{n // 4}" for n in range(4 * N)], "customer_id")), "y")
    assert spec.column("customer_id").role == "entity"
    assert (spec.split.by, spec.split.column) == ("hash", "customer_id")


@pytest.mark.parametrize("name", ["humid", "paid", "Madrid", "fluid"])
def test_words_that_end_like_an_identifier_are_none(write: Write, name: str) -> None:
    assert column(write, [f"{7919 * n % 1000 / 8}" for n in range(N)], name).role == "feature"


def test_few_categories_are_all_listed_and_others_refused(write: Write) -> None:
    found = column(write, ["low", "LOW", " low", "high", "medium", "medium"])
    assert found.categories == ("high", "low", "medium")
    assert found.unknown == "refuse"


def test_many_categories_are_listed_as_far_as_they_are_frequent(write: Write) -> None:
    cells = [f"town {min(n, n * n % 977) % 300}" for n in range(3000)]
    found = column(write, cells)
    assert (found.type, found.unknown) == ("category", "other")
    assert 50 < len(found.categories) <= 200
    assert list(found.categories) == sorted(found.categories)


def test_a_copy_of_the_target_is_not_a_feature(write: Write) -> None:
    lines = ["copy,code,x,y"] + [f"{'ab'[n % 2]},{n % 2},{n * 7 % 13},{'ab'[n % 2]}" for n in range(N)]
    spec = infer_spec(write("\n".join(lines) + "\n"), "y")
    for name in ("copy", "code"):
        assert spec.column(name).role == "ignore"
        assert "target" in spec.column(name).why
    assert spec.column("x").role == "feature"


def test_a_block_of_another_type_is_stopped_at_when_cleaning(write: Write, through: Through) -> None:
    cells = [f"{n}.5" for n in range(1000)] + ["Bern"] * 300 + [f"{n}.5" for n in range(1000)]
    with pytest.raises(
        PantheonError, match=r"column 'x', row 1,001: 'Bern' is not a number; 300 of 2,300 cells"
    ) as error:
        through(write(table(cells)))
    assert "type" in error.value.cure


def test_a_few_cells_of_another_type_here_and_there_become_missing(write: Write, through: Through) -> None:
    run = through(write(table(["oops" if n % 50 == 3 else f"{n}.5" for n in range(1000)])))
    assert clean(run)["x"].null_count() == 20


def test_a_type_that_only_shows_far_into_a_large_file(write: Write, through: Through) -> None:
    """A fraction and a rare category that no sample holds: every value of a small category is followed all the same."""
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
def test_classes(write: Write, cells: list[str], classes: tuple[object, ...], positive: object) -> None:
    spec = target(write, cells)
    assert spec.task == "classification"
    assert spec.target.classes == classes
    assert [type(value) for value in spec.target.classes] == [type(value) for value in classes]
    assert spec.target.positive == positive


@pytest.mark.parametrize("cells", [[f"{n}" for n in range(50)], [f"{n / 8}" for n in range(30)], ["0.5", "1.5"]])
def test_numbers_are_predicted_as_numbers(write: Write, cells: list[str]) -> None:
    spec = target(write, cells)
    assert spec.task == "regression"
    assert spec.target.classes == ()


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
    spec = Spec.read(run.path("spec.toml"))
    assert [column.type for column in spec.features] == ["date", "boolean", "number", "category"]
    assert spec.column("bag").role == "ignore"
    assert clean(run).dtypes[:4] == [pl.Date, pl.Boolean, pl.Float64, pl.String]
    assert clean(run)["size"].null_count() == len(range(0, N, 9))


def test_excel(tmp_path: Path, through: Through) -> None:
    rows: list[list[str | float | bool | date | None]] = [["when", "flag", "size", "kind", "y"]]
    for n in range(N):
        day = date(2024, 1, 1) + timedelta(days=n * 37 % 365)
        rows.append([day, n % 3 == 0, None if n % 9 == 0 else n % 17 / 4, "xyz"[n % 3], n % 5 % 2])
    run = through(write_excel(tmp_path / "table.xlsx", rows))
    spec = Spec.read(run.path("spec.toml"))
    assert [column.type for column in spec.features] == ["date", "boolean", "number", "category"]
    found = clean(run)
    assert found["when"][1] == date(2024, 2, 7)
    assert found["size"].drop_nulls()[1] == 0.5
    assert spec.target.classes == (0, 1)


# What a person decides


def test_an_edited_spec_wins(write: Write, new_run: Callable[..., Run], through: Through) -> None:
    path = write(table(["1", "2", "3"] * N))
    text = infer_spec(path, "y").dump()
    edited = text.replace('name = "x"\ntype = "integer"', 'name = "x"\ntype = "category"\ncategories = ["1", "2", "3"]')
    assert edited != text
    run = through(Spec.parse(edited))
    assert clean(run)["x"].dtype == pl.String


def test_an_absent_target_gets_the_nearest_names(write: Write) -> None:
    with pytest.raises(PantheonError, match="Did you mean 'Churned'") as error:
        infer_spec(write("age,Churned\n1,a\n2,b\n"), "churn")
    assert error.value.status == 2


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["same"], "one class only"),
        (["", "NA"], "missing in every row"),
        ([f"text {n}" for n in range(N)], "different texts"),
        (["2024-01-01", "2024-02-02"], "is a date"),
    ],
)
def test_targets_that_cannot_be_predicted(write: Write, cells: list[str], said: str) -> None:
    with pytest.raises(PantheonError, match=said):
        target(write, cells)


def test_nothing_to_learn_from(write: Write) -> None:
    with pytest.raises(PantheonError, match="no column to learn from"):
        infer_spec(write("id,y\n" + "".join(f"{n},{n % 2}\n" for n in range(N))), "y")
