"""Where the table begins in a file: it is found by its target, and what was taken is said."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.data.spec_file import dump_spec, parse_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.load_data import load_data
from tests.support.data import clean
from tests.support.excel import Cell, write_excel, write_workbook

ROWS = [[str(20 + n * 7 % 50), f"{n % 4}.5", "yes" if n % 3 else "no"] for n in range(60)]
HEADER = ["age", "visits", "bought"]
Write = Callable[..., Path]


def text(separator: str = ",", quote: str = "", header: list[str] = HEADER) -> str:
    return "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in [header, *ROWS])


def aligned() -> str:
    return "".join(f" {a:>5}  {b:>8} {c:>8}  \n" for a, b, c in [HEADER, *ROWS])


@pytest.fixture
def read(new_run: Callable[..., Run]) -> Callable[..., Spec]:
    """Infer a spec, check that ``load_data`` reads the 60 rows with it, and return it."""

    def read(path: Path, target: str = "bought", header: str = "") -> Spec:
        spec = infer_spec(path, target, header=header)
        assert parse_spec(dump_spec(spec)) == spec
        run = new_run(spec)
        load_data(run)
        rows = pl.read_parquet(run.path("data/raw.parquet"))
        assert rows.height == 60
        assert [str(cell) for cell in rows.select(HEADER if target == "bought" else pl.all()).row(1)] == ROWS[1]
        return spec

    return read


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^", "~"])
def test_separators(write: Write, read: Callable[..., Spec], separator: str) -> None:
    assert read(write(text(separator))).source.separator == separator


def test_columns_aligned_by_blanks(write: Write, read: Callable[..., Spec]) -> None:
    assert "Columns separated by blanks." in read(write(aligned(), "table.data")).description


def test_row_names_and_quotes_as_r_writes_them(write: Write, read: Callable[..., Spec]) -> None:
    lines = ['"age" "visits" "bought"', *(f'"{n + 1}" {a} {b} "{c}"' for n, (a, b, c) in enumerate(ROWS))]
    assert read(write("\n".join(lines) + "\n", "r.txt")).columns[0].role == "ignore"


def test_single_quotes(write: Write, read: Callable[..., Spec]) -> None:
    assert read(write(text(quote="'"))).source.quote == "'"


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("sep=,\n", 2),
        ('"sep=,"\n', 2),
        ("# instrument: X1\n# columns: age, visits, bought\n", 3),
        ("Customer report 2024\nGenerated,2024-05-01\n\n", 4),
        ("The column bought is what we predict\n", 2),
        ("\n\n", 1),
    ],
)
def test_lines_above_the_header(write: Write, read: Callable[..., Spec], above: str, line: int) -> None:
    spec = read(write(above + text()))
    assert (f"Header found in line {line}." in spec.description) == (line > 1)


def test_a_malformed_line_below_a_title_is_named_by_its_number(write: Write) -> None:
    path = write("Report\n\n" + text().replace("27,1.5,yes\n", "27,1.5,yes,no\n", 1))
    with pytest.raises(PantheonError, match="line 5 has 4 fields, but the header has 3"):
        infer_spec(path, "bought")


@pytest.mark.parametrize("header", ["none", ""])
def test_a_file_without_a_header(write: Write, read: Callable[..., Spec], header: str) -> None:
    path = write("".join(",".join(row) + "\n" for row in ROWS), "uci.data")
    spec = read(path, "column_3", header)
    assert [column.name for column in spec.columns] == ["column_1", "column_2", "column_3"]
    assert "No header" in spec.description
    with pytest.raises(PantheonError, match=r"no header: its first line is 20, 0\.5, no") as error:
        infer_spec(path, "bought")
    assert "HEADER=none TARGET=column_3" in error.value.cure


def test_a_misspelt_target_gets_names_of_the_right_table(write: Write, tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="has no target 'bougth'") as error:
        infer_spec(write("Report 2024\nMade,2024-05-01\n\n" + text()), "bougth")
    assert "Did you mean 'bought'?" in error.value.cure
    sheets: dict[str, list[list[Cell]]] = {"Read me": [["This workbook"]], "Data": [[*HEADER], *map(list, ROWS)]}
    with pytest.raises(PantheonError) as error:
        infer_spec(write_workbook(tmp_path / "book.xlsx", sheets), "bougth")
    assert "Did you mean 'bought'?" in error.value.cure


def cells(*above: list[Cell]) -> list[list[Cell]]:
    return [*above, [*HEADER], *[[int(a), float(b), c] for a, b, c in ROWS]]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (cells(["Sales report", None, None], [None, None, None]), "Header found in line 3."),
        (cells([None, None, None], [None, None, None]), "Header found in line 3."),
        (cells(["Person", None, "Result"]), "Header found in line 2."),
    ],
)
def test_where_the_table_begins_in_a_sheet(
    tmp_path: Path, read: Callable[..., Spec], rows: list[list[Cell]], said: str
) -> None:
    assert said in read(write_excel(tmp_path / "book.xlsx", rows)).description


def test_a_header_of_two_rows(tmp_path: Path, write: Write) -> None:
    rows: list[list[Cell]] = [["age", "blood", None, "bought"], [None, "min", "max", None]]
    rows += [[n * 7 % 50, n % 5, n % 7 + 10, "yes" if n % 3 else "no"] for n in range(60)]
    spec = infer_spec(write_excel(tmp_path / "book.xlsx", rows), "bought")
    assert [column.name for column in spec.columns] == ["age", "min", "max", "bought"]
    assert "Header found in lines 1 to 2." in spec.description
    rows[:2] = [["", "first", "", "second", "", ""], ["bought", "min", "max", "min", "max", "age"]]
    rows[2:] = [["yes" if n % 3 else "no", n % 5, n % 7, n % 4, n % 9, n * 7 % 50] for n in range(60)]
    spec = infer_spec(write_excel(tmp_path / "groups.xlsx", rows), "bought")
    names = ["bought", "first min", "first max", "second min", "second max", "age"]
    assert [column.name for column in spec.columns] == names


def test_the_sheet_with_the_target_is_taken(tmp_path: Path, read: Callable[..., Spec]) -> None:
    sheets: dict[str, list[list[Cell]]] = {"Read me": [["This workbook"]], "Empty": [], "Data 2024": cells()}
    spec = read(write_workbook(tmp_path / "book.xlsx", sheets))
    assert spec.source.sheet == "Data 2024"
    assert "Header found in line 1 of sheet 'Data 2024'." in spec.description


def test_formulas_without_values_are_named(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["age", "double", "bought"], *[[n, f"=2*A{n}", "yes"] for n in range(60)]]
    with pytest.raises(PantheonError, match="the column 'double' has formulas without values") as error:
        infer_spec(write_excel(tmp_path / "book.xlsx", rows), "bought")
    assert "save it" in error.value.cure


@pytest.mark.parametrize(
    ("encoding", "names", "values"),
    [
        ("gb18030", ("年龄", "购买"), ("是的", "不是")),
        ("cp1251", ("возраст", "купил"), ("покупатель", "никогда")),
        ("cp1250", ("věk", "koupě"), ("žádný", "většina")),
        ("cp1253", ("ηλικία", "αγορά"), ("συχνά", "σπάνια")),
        ("shift_jis", ("年齢", "購入"), ("はい", "いいえ")),
        ("cp1252", ("Größe", "Käufer"), ("häufig", "nötig")),
    ],
)
@pytest.mark.parametrize("ascii_target", [False, True])
def test_encodings(
    write: Write, encoding: str, names: tuple[str, str], values: tuple[str, str], ascii_target: bool
) -> None:
    age, target = names[0], "bought" if ascii_target else names[1]
    content = f"{age},{target}\n" + "".join(f"{n * 7 % 50},{values[n % 2]}\n" for n in range(60))
    path = write(content.encode(encoding))
    spec = infer_spec(path, target)
    if ascii_target and encoding not in ("gb18030", "cp1251", "cp1252"):
        assert "set source.encoding in the spec" in spec.description, "a guess is said"
        return
    assert [column.name for column in spec.columns] == [age, target]
    assert set(spec.target.classes) == set(values)


@pytest.mark.parametrize("mark", [", ", ";  "])
def test_fields_may_be_quoted_after_blanks(through: Callable[..., Run], write: Write, mark: str) -> None:
    people = ["Smith, J; Dr", "Doe", 'Ray "B"']
    rows = [[f"{n % 7}.5", people[n % 3], "ab"[n // 3 % 2]] for n in range(60)]
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in [["x", "who", "y"], *rows]]
    frame = clean(through(write("\n".join(map(mark.join, quoted)) + "\n")))
    assert frame.columns == ["x", "who", "y"]
    assert frame["who"].cast(pl.String).to_list() == [row[1] for row in rows]
