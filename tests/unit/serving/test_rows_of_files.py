"""A row copied out of the user's file is answered, with the values that training saw."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from pantheon.workflow.run import Run
from tests.support.data import new_run, through, write
from tests.support.excel import Cell, write_excel
from tests.support.served import differences

__all__ = ["new_run", "through", "write"]

N = 120
GERMAN = ["1.234,5", "12,25", "-0,5", "7", "", "k. A."]
FILES = {
    "marks": (";", GERMAN),
    "grouped": (";", ["1,234.5", "0.517", "12", "1,234,567", "n/a"]),
    "apostrophes": (",", ["1'234.5", "12'345", "7", "-"]),
    "money": (";", ["1.234,50 €", "12,00 €", "7,25 €"]),
    "percent": (",", ["34.1%", "5 %", "99.9 %"]),
    "accounting": (";", ["1,234.00", "(300.00)", "(12.50)", "7.00"]),
    "minus": (",", ["\u22123", "\u22124.5", "12", "7.5"]),
    "limits": (",", ["0.7", "1.9", "2.25", "3.125", "<0.5", "4.5", "5.1", "6.7", "7.7", "8.2", "9.9"]),
    "scientific": (",", ["1e3", "2.5E-2", "1.75", "4"]),
    "integers": (",", ["1", "2", " 3", "4 ", "5.0", ""]),
    "booleans": (",", ["Ja", " nein", "JA", "ja "]),
    "cyrillic": (",", ["да", "Нет", "ДА", "нет "]),
    "switches": (",", ["On", "off", "ON ", "Off"]),
    "dates": (",", ["31.12.2023", "1.2.2024", "05.06.2024", ""]),
    "American dates": (",", ["12/31/23", "1/2/24", "5/16/2024"]),
    "times": (",", ["2024-03-01T10:00:00Z", "2024-03-02 11:30", "2024-03-01T10:00:00+02:00", "2024-03-05T23:59:59.5Z"]),
    "months": (",", ["5 Mar 2024", "17 dec 2023", "01 JAN 2024"]),
    "categories": (",", ["Bern", "BERN", " Zürich", "bern ", "NA", "None", "x"]),
    "unreadable cells": (",", [*map(str, range(1, 12)), "out of order"]),
    "epoch": (",", [str(1_700_000_000 + 7 * n) for n in range(60)]),
    "seconds": (",", [f"2024-03-01 10:00:{n:02}" for n in range(60)]),
    "codes": (",", ["00123", "04711", "00007"]),
    "quoted": (",", ['a "b"', "c, d", "line\nbreak"]),
}


@pytest.mark.parametrize("name", FILES)
def test_text_files(write: Callable[..., Path], through: Callable[..., Run], name: str) -> None:
    separator, cells = FILES[name]
    lines = [f"{name}{separator}other{separator}y"]
    for place, cell in enumerate((cells * N)[:N]):
        quoted = cell.replace('"', '""')
        lines.append(f'"{quoted}"{separator}{place % 7}{separator}{"ab"[place // 3 % 2]}')
    assert list(differences(through(write("\n".join(lines) + "\n")))) == []


def test_parquet_files(tmp_path: Path, through: Callable[..., Run]) -> None:
    numbers = [place * 7 % 11 for place in range(N)]
    table = pl.DataFrame(
        {
            "small": pl.Series(numbers, dtype=pl.Int8),
            "single": pl.Series([n / 3 for n in numbers], dtype=pl.Float32),
            "money": pl.Series([f"{n}.25" for n in numbers]).cast(pl.Decimal(10, 2)),
            "open": [n < 5 for n in numbers],
            "born": [date(2020, 1, 1 + n) for n in numbers],
            "seen": [datetime(2024, 3, 1 + n, n, 30) for n in numbers],
            "zoned": pl.Series([datetime(2024, 3, 1 + n, n, 30) for n in numbers]).dt.replace_time_zone("Europe/Paris"),
            "town": pl.Series([["Bern", "Genf", None][n % 3] for n in numbers], dtype=pl.Categorical),
            "holes": [None if n == 3 else float(n) for n in numbers],
            "huge": [1e39 if n == 3 and place < 4 else n / 2 for place, n in enumerate(numbers)],
            "y": ["ab"[n // 3 % 2] for n in range(N)],
        }
    )
    table.write_parquet(tmp_path / "table.parquet")
    assert list(differences(through(tmp_path / "table.parquet"))) == []


def test_workbooks(tmp_path: Path, through: Callable[..., Run]) -> None:
    rows: list[list[Cell]] = [["born", "paid", "price", "y"]]
    rows += [[date(2020, 1, 1 + n % 28), n % 3 == 0, n / 4, "ab"[n // 3 % 2]] for n in range(N)]
    path = tmp_path / "table.xlsx"
    write_excel(path, rows)
    assert list(differences(through(path))) == []
