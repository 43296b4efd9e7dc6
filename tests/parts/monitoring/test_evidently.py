"""Evidently's own report: of the window and the reference, made by a service in an environment of its own."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines.local.environments import folder_of
from pantheon.monitoring import html
from pantheon.monitoring.drift import psi
from pantheon.monitoring.http import Server
from pantheon.monitoring.report import key_of
from pantheon.predictions.place import FolderPlace
from tests.support import ROOT, oracles
from tests.support.alerts import report
from tests.support.ports import free_ports
from tests.support.predictions import answered, segment
from tests.support.waiting import until

REFERENCE = {
    "columns": {
        "age": {"kind": "number", "quantiles": [0, 10, 20, 30, 40], "missing": 0.1},
        "battery": {"kind": "category", "categories": {"low": 0.25, "high": 0.75}, "missing": 0.0},
    }
}


class Store:
    """A store whose only version has a reference, or none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, model: str, version: str) -> Path:
        return self.folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / html.REFERENCE).write_text(json.dumps(REFERENCE))
    (tmp_path / "monitor_token").write_text("moonlight4711")
    return Store(tmp_path / "bundle")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Any]]:
    """What a service gets that answers with a short page."""
    got: list[Any] = []

    def page(body: Any) -> tuple[str, bytes]:
        got.append(body)
        return "text/html", b"<html>Drift</html>"

    server = Server("127.0.0.1", 0, tmp_path / "monitor_token", {"/html": page}, 64 << 20)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("EVIDENTLY_HOST", "127.0.0.1")
    monkeypatch.setenv("EVIDENTLY_PORT", str(server.server_port))
    yield got
    server.shutdown()
    server.server_close()
    thread.join(60)


def logged(spool: Path, rows: int) -> None:
    segment(spool, [(answered(), {"age": 35.5, "battery": "low", "context": {"shop": "a"}}, 1) for _ in range(rows)])


def now() -> Any:
    moment = datetime.now(UTC) + timedelta(minutes=5)
    return report(since=(moment - timedelta(hours=1)).isoformat(), until=moment.isoformat())


def test_rows_of_the_window_and_of_the_reference_are_sent_and_the_page_is_kept(
    tmp_path: Path, store: Any, sent: list[Any]
) -> None:
    logged(tmp_path / "spool", 30)
    place, made = FolderPlace(tmp_path / "predictions"), now()
    key = html.make(store, place, tmp_path / "spool", made, tmp_path)
    assert key == key_of(made).replace(".json", ".html")
    assert place.read(key) == b"<html>Drift</html>"
    (body,) = sent
    assert body["kinds"] == {"age": "number", "battery": "category"}
    assert body["current"] == {"age": [35.5] * 30, "battery": ["low"] * 30}
    ages, batteries = body["reference"]["age"], body["reference"]["battery"]
    known = sorted(age for age in ages if age is not None)
    assert len(ages) == len(batteries) == html.MOST
    assert len(known) == 0.9 * html.MOST
    assert abs(known[len(known) // 2] - 20) < 1
    assert batteries.count("low") == 0.25 * html.MOST
    assert html.make(store, place, tmp_path / "spool", made, tmp_path) == key, "made again, it replaces the first"


def test_what_is_missing_is_said_and_stops_nothing(tmp_path: Path, store: Any, sent: list[Any]) -> None:
    place = FolderPlace(tmp_path / "predictions")
    assert "the window has none" in html.make(store, place, tmp_path / "spool", now(), tmp_path)
    (tmp_path / "bundle" / html.REFERENCE).unlink()
    assert "has none" in html.make(store, place, None, now(), tmp_path)
    assert sent == []


def test_a_service_that_is_away_is_said(tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logged(tmp_path / "spool", 3)
    monkeypatch.setenv("EVIDENTLY_PORT", str(free_ports(1)[0]))
    why = html.make(store, FolderPlace(tmp_path / "predictions"), tmp_path / "spool", now(), tmp_path)
    assert why.startswith("Evidently's report was not made: the service evidently at http://")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_evidently_itself_makes_a_page_that_needs_no_other_host(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([ROOT / "bin" / "bootstrap", "evidently"], check=True)  # nothing to do where it is there
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [folder_of("evidently") / "bin" / "python", "-P", "-m", "pantheon.monitoring.evidently"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SECRETS_DIR": str(tmp_path), "EVIDENTLY_PORT": str(port)},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        until(lambda: "listening" in (process.stderr.readline() if process.stderr else ""), 120, "it listens")
        monkeypatch.setenv("EVIDENTLY_PORT", str(port))
        monkeypatch.setenv("EVIDENTLY_HOST", "127.0.0.1")
        logged(tmp_path / "spool", 300)
        place = FolderPlace(tmp_path / "predictions")
        key = html.make(store, place, tmp_path / "spool", now(), tmp_path)
        page = place.read(key)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert page, key
    text = page.decode()
    assert "battery" in text
    assert "Drift" in text
    assert 'src="http' not in text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_index_of_drift_is_that_of_evidently() -> None:
    reference = {"low": 25_000, "medium": 15_000, "high": 60_000}
    current = {"low": 31_000, "medium": 25_000, "high": 44_000}
    theirs = oracles.answer("evidently", "evidently_psi.py", {"reference": reference, "current": current})
    ours = psi({name: rows / 100_000 for name, rows in reference.items()}, 100_000, current)
    assert theirs > 0.1
    assert ours == pytest.approx(theirs, rel=1e-3)  # half a row more in each of our bins
