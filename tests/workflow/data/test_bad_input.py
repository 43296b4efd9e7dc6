"""Bad input gets one line that names the cause and the way out, exit status 2, and leaves nothing half-written."""

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.clean_data import clean_data
from pantheon.workflow.generate import write_robots_csv
from pantheon.workflow.infer import infer_spec
from pantheon.workflow.load_data import load_data
from pantheon.workflow.run import Run
from pantheon.workflow.spec import Column, Source, Spec, Target

from .conftest import DATASETS

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
    """What is said; the error is one line with a way out, and no output was begun."""
    with pytest.raises(PantheonError) as error:
        work()
    said = error.value
    assert said.status == 2
    assert said.cause and said.cure
    assert "\n" not in str(said)
    left = [path.name for path in folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]
    assert left == []
    assert not list(folder.rglob("raw.parquet"))
    return str(said)


@pytest.fixture
def load(new_run: Callable[..., Run], tmp_path: Path) -> Callable[[Path], str]:
    """What ``load_data`` says of a file, and ``infer_spec`` as well where it reads all of it."""

    def load(path: Path) -> str:
        from dataclasses import replace

        run = new_run(replace(SPEC, source=replace(SPEC.source, path=str(path))))
        return refusal(lambda: load_data(run), tmp_path)

    return load


def binary() -> bytes:
    return random.Random(1).randbytes(5000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (binary(), "is a binary file"),
        (b"\x7fELF" + b"\0" * 500, "is a binary file"),
        (gzip.compress(GOOD.encode(), mtime=0), "is packed with gzip"),
        (b"x,y\n", "has a header and no rows"),
        (b"x,x,y\n1,2,a\n", "columns 1 and 2 are both called 'x'"),
        (b"x, x ,y\n1,2,a\n", "columns 1 and 2 are both called 'x'"),
        (GOOD.replace("7,b\n", "7,b,c\n", 1).encode(), "line 3 has 3 fields, the header 2"),
        (GOOD.replace("7,b\n", "7\n", 1).encode(), "line 3 has 1 fields, the header 2"),
        (GOOD.replace("7,b\n", '7,"b\n', 1).encode(), "line"),
        (GOOD.replace(",y", ",z").encode(), "has no target 'y'"),
        (GOOD.replace("x,", "X ray,").encode(), "has no column 'x'"),
        (GOOD.replace("7,b\n", "7,b\xe9\n", 1).encode("latin-1"), "line 3 is not utf-8"),
    ],
)
def test_files_that_cannot_be_loaded(write: Write, load: Callable[[Path], str], content: bytes, said: str) -> None:
    assert said in load(write(content))


def test_a_missing_file_gets_the_nearest_name(write: Write, load: Callable[[Path], str], tmp_path: Path) -> None:
    write(GOOD, "customers.csv")
    assert "Did you mean 'customers.csv'?" in load(tmp_path / "custmers.csv")


def test_a_folder(load: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "is a folder" in load(tmp_path / "folder")


@pytest.mark.parametrize("name", ["table.parquet", "table.xlsx"])
def test_a_file_that_is_not_what_its_name_says(write: Write, load: Callable[[Path], str], name: str) -> None:
    assert "whatever its name says" in load(write(GOOD, name))


def test_a_damaged_parquet_file(tmp_path: Path, load: Callable[[Path], str]) -> None:
    path = tmp_path / "table.parquet"
    pl.DataFrame({"x": range(1000), "y": ["a"] * 1000}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged" in load(path)


def test_blank_lines_are_no_fault(write: Write, new_run: Callable[..., Run]) -> None:
    from dataclasses import replace

    path = write(GOOD.replace("7,b\n", "7,b\n\n", 1) + "\n\n")
    run = new_run(replace(SPEC, source=replace(SPEC.source, path=str(path))))
    load_data(run)
    assert clean_data(run)["rows_out"] == 60


def test_a_short_line_after_quoted_separators(write: Write, load: Callable[[Path], str]) -> None:
    text = "x,y\n" + '1,"a,b"\n' * 30 + "1\n" + '1,"a\n,b"\n' * 30
    assert "line 32 has 1 fields" in load(write(text))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (binary(), "is a binary file"),
        (b"x,y\n", "no rows"),
        (b"x,x,y\n1,2,a\n", "both called 'x'"),
        (GOOD.replace("7,b\n", "7,b,c\n", 1).encode(), "line 3 has 3 fields"),
    ],
)
def test_inference_says_so_first(write: Write, tmp_path: Path, content: bytes, said: str) -> None:
    path = write(content)
    assert said in refusal(lambda: infer_spec(path, "y"), tmp_path)


def test_a_source_path_is_looked_for_in_the_deployment_first(tmp_path: Path, new_run: Callable[..., Run]) -> None:
    from dataclasses import replace

    (tmp_path / "state" / "data").mkdir(parents=True)
    path = tmp_path / "state" / "data" / "shop.csv"
    path.write_text(GOOD)
    spec = infer_spec(path, "y")
    assert spec.source.path == "shop.csv"
    assert load_data(new_run(replace(spec, name="shop")))["rows"] == 60


# The disk, and the keyboard

STAGES = """
import sys
from pathlib import Path
from pantheon.errors import PantheonError
from pantheon.workflow import clean_data, load_data, split_data
from pantheon.workflow.run import Run
run = Run(Path(sys.argv[1]))
print("ready", flush=True)
try:
    for module, name in ((load_data, "load_data"), (clean_data, "clean_data"), (split_data, "split_data")):
        print(name, flush=True)
        getattr(module, name)(run)
except PantheonError as error:
    print(error)
    sys.exit(error.status)
"""


def robots_run(new_run: Callable[..., Run], path: Path, rows: int) -> Run:
    from dataclasses import replace

    write_robots_csv(path, rows)
    spec = Spec.read(DATASETS / "robots.toml")
    return new_run(replace(spec, source=replace(spec.source, kind="file", path=str(path))))


@pytest.mark.parametrize("limit", [20_000, 400_000])
def test_a_full_disk(new_run: Callable[..., Run], tmp_path: Path, limit: int) -> None:
    """A limit on the size of files stands in for a full disk: the first stops load_data, the second clean_data."""
    run = robots_run(new_run, tmp_path / "robots.csv", 60_000)
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""
    done = subprocess.run([sys.executable, "-c", code + STAGES, str(run.folder)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in run.folder.rglob("*") if ".part" in path.name or path.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_really_full_disk(new_run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "state" / "runs").mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path / "state" / "runs")], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        run = robots_run(new_run, tmp_path / "robots.csv", 60_000)
        with pytest.raises(PantheonError, match="the disk is full"):
            load_data(run)
            clean_data(run)
    finally:
        subprocess.run(["umount", str(tmp_path / "state" / "runs")], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["load_data", "clean_data", "split_data"])
def test_ctrl_c_leaves_nothing_half_written(new_run: Callable[..., Run], tmp_path: Path, stage: str) -> None:
    run = robots_run(new_run, tmp_path / "robots.csv", 1_500_000)
    process = subprocess.Popen(
        [sys.executable, "-c", STAGES, str(run.folder)], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    assert process.stdout
    while process.stdout.readline().strip() != stage:
        assert process.poll() is None
    deadline = time.monotonic() + 10
    while not list(run.folder.rglob("*.part")) and time.monotonic() < deadline and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    left = [path.name for path in run.folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]
    assert left == []
