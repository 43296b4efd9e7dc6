"""Logs of objects: the middle of a long one is removed; places in it stay the same."""

import os
from pathlib import Path

import pytest

from pantheon.kubeflow import logs
from pantheon.kubeflow.katib.collector import Source
from pantheon.kubeflow.katib.eventfiles import Curves
from pantheon.kubeflow.katib.plan import Objective
from pantheon.kubeflow.katib.reading import Reading

BLOCK = 1 << 12


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small limits, in blocks of a file system."""
    monkeypatch.setattr(logs, "MIB", BLOCK)
    monkeypatch.setattr(logs, "KEPT_BEGIN", BLOCK)
    monkeypatch.setattr(logs, "KEPT_END", 2 * BLOCK)
    monkeypatch.setattr(logs, "MOST_BYTES", 4 * BLOCK)


@pytest.mark.usefixtures("short")
def test_a_long_log_keeps_its_begin_and_its_end(tmp_path: Path) -> None:
    log, other = tmp_path / "trial.log", tmp_path / "data"
    with log.open("ab", buffering=0) as written:
        for number in range(6 * BLOCK // 8):
            written.write(b"%07d\n" % number)
        other.write_bytes(log.read_bytes())
        before = log.read_bytes()
        logs.trim(tmp_path)
        written.write(b"last\n")
    assert other.read_bytes() == before, "only logs are shortened"
    assert log.stat().st_size == len(before) + 5
    assert log.stat().st_blocks * 512 <= 4 * BLOCK
    descriptor = os.open(log, os.O_RDONLY)
    try:
        assert logs.read(descriptor, 0, 1 << 20) == (0, before[:BLOCK])
        assert logs.read(descriptor, 8, 16) == (8, before[8:24])
        start, content = logs.read(descriptor, BLOCK, 1 << 20)
        assert (start, content) == (4 * BLOCK, before[4 * BLOCK :] + b"last\n")
        assert logs.read(descriptor, start + len(content), 9) == (start + len(content), b"")
    finally:
        os.close(descriptor)
    logs.trim(tmp_path / "nothing")


@pytest.mark.usefixtures("short")
def test_metrics_are_read_on_behind_what_was_removed(tmp_path: Path) -> None:
    log = tmp_path / "trial.log"
    objective = Objective("loss", False, None, ("loss",), {"loss": "min"})
    reading = Reading(Source(), objective, [], Curves(tmp_path / "curves"))
    log.write_bytes(b"loss=3\nlo")
    assert not reading.read([log, tmp_path / "missing.log"])
    log.write_bytes(b"loss=3\nlo" + b"x" * 8 * BLOCK + b"\nloss=2\n")
    logs.trim(tmp_path)
    reading.read([log], ended=True)
    assert [report.value for report in reading.reports] == ["3", "2"]
