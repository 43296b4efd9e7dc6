"""``python -m serving.batch``: a file goes in, two files come out, and an interrupted task leaves nothing."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.predictions.feedback_file import checked
from pantheon.predictions.place import open_place, spool_of
from pantheon.predictions.ship import ship
from serving.model.predictor import Predictor
from serving.replay import shown
from tests.support import ROOT
from tests.support.bundles import bundle
from tests.support.button import Deployment
from tests.support.button_in_s3 import into_s3
from tests.support.disks import small_disk
from tests.support.predictions import answered, segment
from tests.support.waiting import until


def start(deployment: Deployment, file: Path, *more: str, output: Path | None = None) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "serving.batch", "--model", "robots", "--file", file.name, "--called", str(file)]
    command += ["--size", str(file.stat().st_size), "--form", "csv", *more]
    environment = os.environ | {"STATE_DIR": str(deployment.folder), "PYTHONPATH": str(ROOT)}
    with file.open("rb") as given, contextlib.ExitStack() as opened:
        out = opened.enter_context(output.open("wb")) if output else subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=given, stdout=out, stderr=subprocess.PIPE)


def highest_memory(pid: int) -> int:
    """The most memory that a process has had, in kB; 0 if it has ended."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), flags=re.M)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def events(errors: bytes) -> dict[str, dict[str, Any]]:
    return {event["event"]: event for event in map(json.loads, errors.decode().splitlines())}


def test_the_files_come_one_after_the_other(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    file = tmp_path / "robots.csv"
    file.write_text("robot-age\n5\nold\n")
    output, errors = start(deployment, file).communicate(timeout=60)
    found = events(errors)
    done = found["predicted"]
    assert output[: done["bytes"]].startswith(b"robot-age,prediction\n5,")
    assert output[done["bytes"] :].startswith(b"refused_row,refused_because,robot-age\n2,")
    assert len(output) == done["bytes"] + done["refused_bytes"]
    assert (done["rows"], done["predicted"], done["refused"]) == (2, 1, 1)
    assert found["model"]["version"] == "1"
    assert "end" in found
    assert list((deployment.folder / "data").iterdir()) == []


def test_models_and_the_log_may_be_in_s3(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    into_s3(deployment, s3)
    file = tmp_path / "robots.csv"
    file.write_text("robot-age\n5\n")
    output, errors = start(deployment, file).communicate(timeout=60)
    assert events(errors)["predicted"]["predicted"] == 1, errors
    given = Predictor(tmp_path / "one", "robots", "1").predict([{"robot-age": 5}])
    assert output.decode().splitlines() == ["robot-age,prediction", f"5,{given.prediction[0]}"]
    record = answered()
    segment(spool_of(deployment.folder), [(record, {"robot-age": 5}, given.prediction[0])])
    ship(open_place(deployment.folder), spool_of(deployment.folder))
    (row,) = shown(deployment.folder, record.id)["rows"]
    assert row["replay"]["same"] is True
    part = pl.DataFrame({"id": [record.id], "value": ["1"]})
    (said,), refused = checked(open_place(deployment.folder), spool_of(deployment.folder), part, "2026-03-01")
    assert (said.value, refused) == (1, {})


def test_a_file_that_changes_and_a_version_that_is_not_there(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    file = tmp_path / "robots.csv"
    file.write_text("robot-age\n5\n")
    for more, message in ((["--size", "3"], "changed while it was read"), (["--version", "9"], "no version 9")):
        task = start(deployment, file, *more)
        output, errors = task.communicate(timeout=60)
        assert message in events(errors)["error"]["cause"]
        assert output == b""
        assert task.returncode > 0


@pytest.mark.parametrize("full", ["output", "data"])
def test_a_full_disk_is_reported(deployment: Deployment, tmp_path: Path, full: str) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    file = tmp_path / "robots.csv"
    file.write_text("robot-age,rust-level\n" + "".join(f"{n % 60},{n % 10}\n" for n in range(100_000)))
    (tmp_path / "output").mkdir()
    with small_disk(tmp_path / "output" if full == "output" else deployment.folder / "data", "200k"):
        task = start(deployment, file, output=tmp_path / "output" / "out.csv")
        _, errors = task.communicate(timeout=60)
        assert "the disk is full" in events(errors)["error"]["cause"], errors
        assert task.returncode > 0
        assert list((deployment.folder / "data").iterdir()) == []


@pytest.mark.slow
def test_a_million_rows_need_little_memory(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    count = 1_000_000
    rows = pl.int_range(count, eager=True)
    battery = pl.Series(["low", "medium", "high", "flat"])
    table = pl.DataFrame({"robot-age": rows % 6000 / 100, "battery": battery[rows % 4], "owner": rows})
    table.with_columns(pl.format("owner {}", "owner").alias("name")).write_csv(tmp_path / "robots.csv")
    task = start(deployment, tmp_path / "robots.csv", output=tmp_path / "output")
    assert task.stderr
    peak = 0  # not that of `wait4`, which begins with the memory of the process that starts it
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(task.stderr.read)
        while not said.done():
            peak = max(peak, highest_memory(task.pid))
            time.sleep(0.02)
    done = events(said.result())["predicted"]
    assert (task.wait(), done["predicted"], done["refused"]) == (0, count * 3 // 4, count // 4)
    assert (tmp_path / "output").stat().st_size == done["bytes"] + done["refused_bytes"]
    assert 50_000 < peak < 700_000, f"{peak:,} kB; it was 230,000"


def test_an_interrupted_task_leaves_nothing(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    file = tmp_path / "robots.csv"
    file.write_text("robot-age,rust-level\n" + "".join(f"{n % 60},{n % 10}\n" for n in range(400_000)))
    data = deployment.folder / "data"
    task = start(deployment, file)
    until(lambda: list(data.glob(".predicting-*/files/*")))
    task.send_signal(signal.SIGINT)
    task.communicate(timeout=60)
    assert task.returncode == 128 + signal.SIGINT
    assert list(data.iterdir()) == []
