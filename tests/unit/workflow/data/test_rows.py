"""Rows that are not data are left out and said: repeated headers, blank lines, totals and notes at the end."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data import formats
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.load_data import load_data
from tests.support.excel import write_excel

HEADER = "region,units,price,y"
LINES = [f"{'NSW'[n % 3]},{n % 7},{n}.5,{'ab'[n // 3 % 2]}" for n in range(60)]
Write = Callable[..., Path]


@pytest.fixture
def loaded(new_run: Callable[..., Run]) -> Callable[[Path], tuple[int, list[str], str]]:
    """Return the rows that ``load_data`` keeps, its notes, and what inference says of the file."""

    def loaded(path: Path) -> tuple[int, list[str], str]:
        spec = infer_spec(path, "y")
        run = new_run(spec)
        done = load_data(run)
        rows = pl.read_parquet(run.path("data/raw.parquet"))
        assert rows.height == done["rows"]
        assert spec.column("units").type == "integer"
        assert not spec.column("units").nullable
        assert rows["units"].null_count() == 0
        return done["rows"], done["notes"], spec.description

    return loaded


Loaded = Callable[[Path], tuple[int, list[str], str]]


def text(*lines: str) -> str:
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ([*LINES[:20], HEADER, *LINES[20:], HEADER], "the header is repeated in 2 rows (21, 62): left out"),
        ([*LINES[:20], "region, units ,price,y", *LINES[20:]], "the header is repeated in 1 row (21): left out"),
        ([*LINES, "Total,,1770.0,"], "1 row at the end left out, of totals or notes: 'Total'"),
        ([*LINES, "Summe:,177,1770.0,"], "1 row at the end left out, of totals or notes: 'Summe:'"),
        ([*LINES, "Grand Total,177,,", "Source: the bank,,,"], "'Grand Total', 'Source: the bank'"),
        ([*LINES[:30], ",,,", *LINES[30:]], "1 blank line left out"),
        ([*LINES, "", ""], "2 blank lines left out"),
        ([*LINES, "\x1a"], "1 blank line left out"),
    ],
)
def test_rows_that_are_not_data_are_left_out_and_said(
    write: Write, loaded: Loaded, lines: list[str], note: str
) -> None:
    rows, notes, description = loaded(write(text(*lines)))
    assert rows == 60
    assert note in " ".join(notes)
    assert note.casefold() in description.casefold()


@pytest.mark.parametrize("last", ["Total,7,1.5,a", "N,,1.5,b", "region,7,1.5,a", "Totalisator,1,2.5,a"])
def test_rows_that_look_like_them_and_are_data_are_kept(write: Write, new_run: Callable[..., Run], last: str) -> None:
    run = new_run(infer_spec(write(text(*LINES, last, *LINES[:0])), "y"))
    assert load_data(run)["rows"] == 61


def test_a_total_of_an_excel_sheet_is_left_out(tmp_path: Path, loaded: Loaded) -> None:
    cells = [[*line.split(",")] for line in LINES]
    rows = [HEADER.split(","), *[[one, int(two), float(three), y] for one, two, three, y in cells]]
    path = write_excel(tmp_path / "table.xlsx", [*rows, ["Total", None, 1770.0, None]])
    assert loaded(path)[0] == 60


def test_a_short_line_that_is_no_note_is_named(write: Write, new_run: Callable[..., Run]) -> None:
    run = new_run(infer_spec(write(text(*LINES[:30], "N,1", *LINES[30:])), "y"))
    with pytest.raises(PantheonError, match="line 32 has 2 fields"):
        load_data(run)


def test_a_decimal_with_too_many_digits_is_named_and_the_other_columns_are_used(
    tmp_path: Path, new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "DIGITS", 10)  # Polars writes at most 38, and the limit is 38
    path = tmp_path / "table.parquet"
    wide = pl.Series([n * 7 % 13 for n in range(60)]).cast(pl.Decimal(12, 2))
    pl.DataFrame({"wide": wide, "x": [n * 5 % 7 for n in range(60)], "y": ["a", "b"] * 30}).write_parquet(path)
    spec = infer_spec(path, "y")
    assert (spec.column("wide").role, spec.column("x").role) == ("ignore", "feature")
    assert "more than 10 digits" in spec.column("wide").why
    run = new_run(spec)
    assert load_data(run)["rows"] == 60
    with pytest.raises(PantheonError, match=r"the target 'wide' of .* is Decimal"):
        infer_spec(path, "wide")
