"""A file that would fill the memory, or is read without end, gives one sentence in bounded memory and time."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pytest

from pantheon.workflow.run import Params, Run
from tests.support.excel import write_excel
from tests.support.worker import Answer, work

pytestmark = pytest.mark.slow

ROWS = b"".join(b"%d,%d,%s\n" % (i % 7, i % 3, b"yes" if i % 2 else b"no") for i in range(1000))
MEGABYTE = 1 << 20


def sheet(path: Path, rows: Iterable[bytes]) -> None:
    """Write a workbook whose sheet has these rows, and says that it has three cells."""
    base = write_excel(path.with_suffix(".base"), [["a", "y"], [1, 2]])
    with zipfile.ZipFile(base) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name in old.namelist():
            if "sheet1" not in name:
                new.writestr(name, old.read(name))
        with new.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as file:
            head = re.split(b"<sheetData>", old.read("xl/worksheets/sheet1.xml"))[0]
            file.write(head + b'<dimension ref="A1:A3"/><sheetData>')
            for row in rows:
                file.write(row)
            file.write(b"</sheetData></worksheet>")
    base.unlink()


def far_cell(path: Path) -> None:
    sheet(path, [b"<row><c><v>1</v></c></row>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'])


def far_cell_of_another_format(path: Path) -> None:
    """A cell that the check does not find: it has another prefix."""
    sheet(path, [b'<row r="1048576"><c  r="XFD1048576"><v>1</v></c></row>'.replace(b"<c  r", b"<c\n r")])


def many_cells(path: Path) -> None:
    sheet(path, [b"<row>" + b"<c><v>1</v></c>" * 10_000 + b"</row>"] * 1_000)


def spaces(path: Path) -> None:
    sheet(path, [b" " * MEGABYTE] * 600)


def lying_directory(path: Path) -> None:
    """The directory of the archive says that the sheet has one byte."""
    spaces(path)
    content = bytearray(path.read_bytes())
    for place in (found.start() for found in re.finditer(b"PK\x01\x02", content)):
        if content[place + 46 :].startswith(b"xl/worksheets"):
            content[place + 24 : place + 28] = (1).to_bytes(4, "little")
    path.write_bytes(content)


def text(*parts: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.writelines(parts)

    return make


def row_group(path: Path) -> None:
    many = 40_000_000
    frame = pl.select(a=pl.repeat(1, many, dtype=pl.Int64), y=pl.repeat(2, many, dtype=pl.Int64))
    frame.write_parquet(path, row_group_size=many)


def lying_parquet(path: Path) -> None:
    pl.DataFrame({"a": range(1000), "y": [1, 2] * 500}).write_parquet(path, compression="uncompressed")
    content = bytearray(path.read_bytes())
    content[-200:-8:7] = b"\xff" * len(content[-200:-8:7])
    path.write_bytes(content)


LINE = [b"x" * MEGABYTE] * 40
FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a cell at XFD1048576": ("xlsx", far_cell, "has cells up to XFD1048576, so reading it needs at least 512.0 GB"),
    "such a cell that the check misses": ("xlsx", far_cell_of_another_format, ""),
    "ten million cells": ("xlsx", many_cells, "cells; reading it needs at least 4"),
    "600 MB of spaces": ("xlsx", spaces, "decompressed, it has 600 MB, and the workflow may use 400 MB"),
    "a directory that lies": ("xlsx", lying_directory, ""),
    "one long line": ("csv", text(b"a,b,y\n", ROWS, *LINE, b"\n", ROWS), "line 1002 is longer than 16 MB. Check its"),
    "a header without end": ("csv", text(*LINE), "line 1 is longer than 16 MB. Check that it is a table"),
    "a quote never closed": ("csv", text(b"a,b,y\n", ROWS, b'"1,2,yes\n', ROWS), "line 1002: a quote is opened and"),
    "a quote never closed in a large file": (
        "csv",
        text(b"a,b,y\n", ROWS, b'"1,2,yes\n', ROWS * 3000),
        "line 1002: a field that begins in this line is longer than 16 MB. Correct the quotes",
    ),
    "a tail of zeros": ("csv", text(b"a,b,y\n", ROWS * 10, *[bytes(MEGABYTE)] * 40), "line 10002 is longer than 16 MB"),
    "one giant row group": ("parquet", row_group, "ran out of memory while reading mine.parquet: it may use 400 MB"),
    "damaged Parquet metadata": ("parquet", lying_parquet, "is a damaged Parquet file"),
}


def take(state: Path, file: Path, **environment: str) -> Answer:
    known = file.stat()
    (state / "data").mkdir(exist_ok=True)
    arguments = ["--size", str(known.st_size), "--modified", str(known.st_mtime_ns), "--called", file.name]
    with file.open("rb") as content:
        given = ["dataset", "--file", file.name, "--target", "y", *arguments]
        return work(state, *given, stdin=content, WORKFLOW_MEMORY="400m", **environment)


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_would_fill_the_memory_is_refused(tmp_path: Path, what: str) -> None:
    suffix, make, says = FILES[what]
    file = tmp_path / f"mine.{suffix}"
    make(file)
    answer = take(tmp_path, file)
    assert answer.error
    assert says in answer.message
    assert answer.error.cure
    assert "mine" in answer.message
    assert not any(line.startswith("Traceback") for line in answer.printed)


def test_more_columns_than_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    file.write_text(",".join(["y", *(f"c{i}" for i in range(20_000))]) + "\n" + "1," * 20_000 + "1\n")
    assert take(tmp_path, file).message.endswith(
        "has 20,001 columns, more than 10,000: a run might take hours. "
        "Remove columns, or allow more: `WORKFLOW_COLUMNS=20001 run --data wide.csv --target y`"
    )
    answer = take(tmp_path, file, WORKFLOW_COLUMNS="many")
    assert answer.message == "WORKFLOW_COLUMNS=many is not a number of columns. For example: WORKFLOW_COLUMNS=20000"


def test_more_memory_is_offered_only_if_the_machine_has_it(tmp_path: Path) -> None:
    spaces(tmp_path / "some.xlsx")
    assert "`WORKFLOW_MEMORY=2g run --data some.xlsx --target y`" in take(tmp_path, tmp_path / "some.xlsx").message
    far_cell(tmp_path / "far.xlsx")
    assert "WORKFLOW_MEMORY" not in take(tmp_path, tmp_path / "far.xlsx").message


def test_cells_with_zero_bytes_are_unreadable_cells(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(b"a,b,y\n" + ROWS * 100 + b"1\0,\0\0,yes\n" + ROWS)
    assert take(tmp_path, tmp_path / "mine.csv").error is None


def test_an_endless_file_is_read_up_to_its_size(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    given = ["--file", "mine.csv", "--size", "1000", "--modified", "0", "--target", "y", "--called", "mine.csv"]
    with Path("/dev/zero").open("rb") as zeros:
        answer = work(tmp_path, "dataset", *given, stdin=zeros)
    assert answer.message == "mine.csv changed while it was read. Try again when no program writes to it."


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose spec names ``mine.csv`` in the deployment's data folder."""
    (tmp_path / "state").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "mine.csv").write_bytes(b"a,b,y\n" + ROWS)
    assert take(tmp_path, tmp_path / "mine.csv").error is None
    return Run.create(tmp_path, (tmp_path / "data" / "mine.toml").read_text(), "mine", Params(), runner="script")


def load(run: Run) -> Answer:
    return work(run.state, "run", "--run", run.id, "--until", "load_data")


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder"])
def test_a_spec_that_names_something_else_than_a_file(run: Run, kind: str) -> None:
    file = run.state / "data" / "mine.csv"
    file.unlink()
    if kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    answer = load(run)
    assert answer.error
    assert ("is a folder" if kind == "a folder" else "is a pipe, a socket or a device") in answer.error.cause


GROWING = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    print("started", flush=True)
    while True:
        file.write(b"1,2,yes\\n")
"""


def test_a_file_that_grows_while_it_is_read(run: Run) -> None:
    file = run.state / "data" / "mine.csv"
    with subprocess.Popen([sys.executable, "-c", GROWING, str(file)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout
            writer.stdout.readline()
            answer = load(run)
        finally:
            writer.kill()
    assert "mine.csv changed while it was read. Run again when no program writes to it." in answer.message


def test_a_limit_that_is_no_size(run: Run) -> None:
    answer = work(run.state, "run", "--run", run.id, WORKFLOW_MEMORY="plenty")
    assert answer.message == "WORKFLOW_MEMORY=plenty is not a size. For example: WORKFLOW_MEMORY=8g"
