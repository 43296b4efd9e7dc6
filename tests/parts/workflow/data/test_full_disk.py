"""Bad input gives a one-line error with a remedy and exit status 2, and leaves no partial files."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data.generate import write_robots_csv
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from tests.support import DATASETS

STAGES = """
import sys
from pathlib import Path
from pantheon.errors import PantheonError
from pantheon.workflow.stages import clean_data, load_data, split_data
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
    spec = read_spec(DATASETS / "robots.toml")
    return new_run(replace(spec, source=replace(spec.source, kind="file", path=str(path))))


@pytest.mark.parametrize("limit", [20_000, 400_000])
def test_a_file_size_limit_stops_a_stage_and_leaves_no_partial_files(
    new_run: Callable[..., Run], tmp_path: Path, limit: int
) -> None:
    """A limit on the size of files stands in for a full disk: the first stops load_data, the second clean_data."""
    run = robots_run(new_run, tmp_path / "robots.csv", 60_000)
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""
    # -B: bytecode that is cut off by the limit would break every later import of its module
    done = subprocess.run([sys.executable, "-B", "-c", code + STAGES, str(run.folder)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in run.folder.rglob("*") if ".part" in path.name or path.name.startswith(".")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_reported(new_run: Callable[..., Run], tmp_path: Path) -> None:
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


@pytest.mark.parametrize("stage", ["load_data", "clean_data", "split_data"])
def test_ctrl_c_leaves_no_partial_files(new_run: Callable[..., Run], tmp_path: Path, stage: str) -> None:
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
    process.communicate(timeout=60)
    assert process.returncode != 0
    left = [path.name for path in run.folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]
    assert left == []
