"""Bad input gives a one-line error with a remedy and exit status 2, and leaves no partial files."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.run import Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data

GOOD = "x,y\n" + "".join(f"{n * 7 % 13},{'ab'[n % 2]}\n" for n in range(60))


SPEC = Spec(
    "t",
    "classification",
    Source(path=""),
    Target("y", ("a", "b")),
    (Column("x", "integer"), Column("y", "category", "target", categories=("a", "b"))),
)


Write = Callable[..., Path]


def refusal(work: Callable[[], object], folder: Path) -> str:
    """Return the message; check that it is one line with a remedy, and that nothing was written."""
    with pytest.raises(PantheonError) as error:
        work()
    message = error.value
    assert message.status == 2
    assert message.cause and message.cure
    assert "\n" not in str(message)
    left = [path.name for path in folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]
    assert left == []
    assert not list(folder.rglob("raw.parquet"))
    return str(message)


@pytest.fixture
def load(new_run: Callable[..., Run], tmp_path: Path) -> Callable[[Path], str]:
    """Return the error of ``load_data``, and of ``infer_spec`` if it reads the complete file."""

    def load(path: Path) -> str:
        from dataclasses import replace

        run = new_run(replace(SPEC, source=replace(SPEC.source, path=str(path))))
        return refusal(lambda: load_data(run), tmp_path)

    return load


def binary() -> bytes:
    return random.Random(1).randbytes(5000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (binary(), "is a binary file"),
        (b"\x7fELF" + b"\0" * 500, "is a binary file"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-20], "is a damaged archive"),
        (b"7z\xbc\xaf" + b"x" * 100, "is compressed with 7z"),
        (b"<table><tr><th>x</th></tr></table>", "is a web page"),
        (b'[{"x": 1, "y": "a"},\n{"x": 2 "y": "b"}]', "line 2 is not valid JSON"),
        (b"x,y\n", "has a header but no rows"),
        (b"x,x,y\n1,2,a\n", "columns 1 and 2 are both named 'x'"),
        (b"x, x ,y\n1,2,a\n", "columns 1 and 2 are both named 'x'"),
        (GOOD.replace("7,b\n", "7,b,c\n", 1).encode(), "line 3 has 3 fields, but the header has 2"),
        (GOOD.replace("7,b\n", "7\n", 1).encode(), "line 3 has 1 field, but the header has 2"),
        (GOOD.replace("7,b\n", '7,"b\n', 1).encode(), "line"),
        (GOOD.replace(",y", ",z").encode(), "has no target 'y'"),
        (GOOD.replace("x,", "X ray,").encode(), "has no column 'x'"),
        (GOOD.replace("7,b\n", "7,b\xe9\n", 1).encode("latin-1"), "line 3 is not utf-8"),
    ],
)
def test_files_that_cannot_be_loaded(write: Write, load: Callable[[Path], str], content: bytes, message: str) -> None:
    assert message in load(write(content))


def test_a_missing_file_suggests_a_similar_name(write: Write, load: Callable[[Path], str], tmp_path: Path) -> None:
    write(GOOD, "customers.csv")
    assert "Did you mean 'customers.csv'?" in load(tmp_path / "custmers.csv")


def test_a_folder_is_refused_as_a_source(load: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "is a folder" in load(tmp_path / "folder")


@pytest.mark.parametrize("name", ["table.parquet", "table.xlsx"])
def test_a_file_with_the_wrong_ending_is_refused(write: Write, load: Callable[[Path], str], name: str) -> None:
    assert "is not a valid" in load(write(GOOD, name))


def test_a_damaged_parquet_file(tmp_path: Path, load: Callable[[Path], str]) -> None:
    path = tmp_path / "table.parquet"
    pl.DataFrame({"x": range(1000), "y": ["a"] * 1000}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged" in load(path)


def test_blank_lines_are_accepted(write: Write, new_run: Callable[..., Run]) -> None:
    from dataclasses import replace

    path = write(GOOD.replace("7,b\n", "7,b\n\n", 1) + "\n\n")
    run = new_run(replace(SPEC, source=replace(SPEC.source, path=str(path))))
    load_data(run)
    assert clean_data(run)["rows_out"] == 60


def test_a_short_line_after_quoted_separators(write: Write, load: Callable[[Path], str]) -> None:
    text = "x,y\n" + '1,"a,b"\n' * 30 + "1\n" + '1,"a\n,b"\n' * 30
    assert "line 32 has 1 field" in load(write(text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (binary(), "is a binary file"),
        (b"x,y\n", "no rows"),
        (b"x,x,y\n1,2,a\n", "both named 'x'"),
        (GOOD.replace("7,b\n", "7,b,c\n", 1).encode(), "line 3 has 3 fields"),
    ],
)
def test_inference_reports_bad_files_first(write: Write, tmp_path: Path, content: bytes, message: str) -> None:
    path = write(content)
    assert message in refusal(lambda: infer_spec(path, "y"), tmp_path)


def test_a_source_path_is_resolved_in_the_deployment_first(tmp_path: Path, new_run: Callable[..., Run]) -> None:
    from dataclasses import replace

    (tmp_path / "state" / "data").mkdir(parents=True)
    path = tmp_path / "state" / "data" / "shop.csv"
    path.write_text(GOOD)
    spec = infer_spec(path, "y")
    assert spec.source.path == "shop.csv"
    assert load_data(new_run(replace(spec, name="shop")))["rows"] == 60


def test_a_nul_character_is_named_with_its_line(write: Callable[..., Path]) -> None:
    path = write(b"a,y\n1,x\n2\0,x\n" + b"3,z\n" * 50)
    with pytest.raises(PantheonError, match="line 3 has a NUL character") as error:
        infer_spec(path, "y")
    assert error.value.cure == r"Remove them: tr -d '\000' < FILE > clean.csv"


def test_text_alone_is_refused_with_what_can_be_done(write: Callable[..., Path]) -> None:
    rows = [f"{n} words that say what nobody has said before number {n * 7919 % 997}" for n in range(100)]
    path = write("message,y\n" + "".join(f"{row},{'ab'[n % 2]}\n" for n, row in enumerate(rows)))
    with pytest.raises(PantheonError, match="has no column to learn from") as error:
        infer_spec(path, "y")
    assert "free text" in error.value.cure
    assert "such as its length" in error.value.cure


@pytest.mark.parametrize(
    "text",
    ["Report 2024\n\nage,bought\n1,yes\n2,no\n", "'age';'bought'\n1;'yes'\n2;'no'\n", "a,,c\n,bought,\n1,yes,2\n"],
)
def test_a_misspelt_target_gets_the_nearest_name_of_the_table(write: Callable[..., Path], text: str) -> None:
    with pytest.raises(PantheonError, match="has no target 'bougth'") as error:
        infer_spec(write(text), "bougth")
    assert error.value.cure.startswith("Did you mean 'bought'?")
