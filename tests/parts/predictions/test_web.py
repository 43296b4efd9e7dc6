"""What the page asks the service of the log, over HTTP: the service as a process, a log with answers and feedback."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pantheon.predictions.place import FolderPlace
from tests.support.button import Client
from tests.support.endpoint import free_port
from tests.support.prediction_writer import start_service
from tests.support.predictions import answered, said, segment
from tests.support.waiting import until

KEY = "k" * 40
ROW = {"robot-age": 5}


@contextmanager
def running(state: Path, spool: Path, **settings: str) -> Iterator[tuple["subprocess.Popen[bytes]", Client]]:
    key = state / "secrets" / "predictions_key"
    key.parent.mkdir(parents=True, exist_ok=True)
    key.write_text(KEY)
    port = free_port()
    started = start_service(
        state, spool, state / "log", PREDICTIONS_PORT=str(port), PREDICTIONS_KEY=str(key), **settings
    )
    client = Client(port, {"Authorization": f"Bearer {KEY}"})

    def ready() -> bool:
        assert started.poll() is None, (state / "log").read_text()
        with suppress(OSError):
            return client.get("/healthz").status == 200
        return False

    try:
        until(ready, 60)
        yield started, client
    finally:
        if started.poll() is None:
            started.kill()
        started.wait(60)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, list[str], Path]]:
    """A service with 60 answers of two versions, every second judged, of which the last 10 are in the spool only."""
    state = tmp_path_factory.mktemp("web") / "state-folder"
    (state / "state").mkdir(parents=True)
    spool = state / "volumes" / "spool"
    began = time.time_ns() // 1000 - 60_000_000
    records = [answered(version=str(1 + i % 2), reason="weights", at=began + i * 1_000_000) for i in range(60)]
    judged = [said(each.id, correct=each.version == "2") for each in records[::3]]
    segment(spool, [(each, ROW, 0) for each in records[:50]], judged)
    spare = answered(model="other", status=422, error="no row", at=began)
    with running(state, spool) as (_, client):
        until(lambda: list((state / "predictions" / "robots").rglob("*.parquet")), 60)
        segment(spool, [(each, ROW, 0) for each in records[50:]])
        segment(spool, [(spare, {"text": "x" * 60_000}, 0)])
        yield client, [each.id for each in records], state


def test_the_newest_predictions_come_first(log: tuple[Client, list[str], Path]) -> None:
    client, ids, _ = log
    found = client.get("/predictions?model=robots&most=20").json
    assert [row["id"] for row in found["rows"]] == ids[:-21:-1]
    assert found["rows"][0]["input"] == ROW and found["rows"][0]["prediction"] == 0


def test_older_predictions_are_found_too(log: tuple[Client, list[str], Path]) -> None:
    client, _, state = log
    old = time.time_ns() // 1000 - 90 * 86_400_000_000
    id = f"{old // 1000 >> 16:08x}-{old // 1000 & 0xFFFF:04x}-7000-8000-000000000000"
    segment(state / "volumes" / "spool", [(answered(model="older", at=old, id=id), ROW, 0)])
    [row] = client.get("/predictions?model=older").json["rows"]
    assert row["id"] == id
    assert client.get("/predictions?model=older&since=30d").json["rows"] == []


def test_predictions_are_filtered(log: tuple[Client, list[str], Path]) -> None:
    client, _, _ = log
    assert {row["version"] for row in client.get("/predictions?version=2&most=500").json["rows"]} == {"2"}
    assert len(client.get("/predictions?model=robots&key=shop&most=500").json["rows"]) == 60
    assert client.get("/predictions?key=nobody").json["rows"] == []
    assert client.get("/predictions?until=2020-01-01").json["rows"] == []
    assert len(client.get("/predictions?model=robots&since=1h&most=500").json["rows"]) == 60


def test_one_prediction_has_its_feedback(log: tuple[Client, list[str], Path]) -> None:
    client, ids, _ = log
    found = client.get(f"/predictions/{ids[3]}").json
    assert (found["count"], found["rows"][0]["version"], found["rows"][0]["correct"]) == (1, "2", True)
    assert client.get("/predictions/01a225fd-653c-7000-9a26-efbada6feb26").status == 404


def test_feedback_is_counted_by_version(log: tuple[Client, list[str], Path]) -> None:
    client, ids, _ = log
    found = client.get("/feedback?model=robots").json
    assert [row["id"] for row in found["rows"]] == ids[57::-3]
    assert found["since"] == "30d"
    assert found["versions"] == [
        {"version": "1", "right": 0, "wrong": 10, "other": 0},
        {"version": "2", "right": 10, "wrong": 0, "other": 0},
    ]


def test_routing_counts_requests_and_judgements(log: tuple[Client, list[str], Path]) -> None:
    client, _, _ = log
    found = client.get("/routing?model=robots&since=1h").json
    assert {(arm["version"], arm["requests"], arm["failed"]) for arm in found["arms"]} == {("1", 30, 0), ("2", 30, 0)}
    assert found["counts"] == {"1": [0, 10], "2": [10, 0]}


def test_the_newest_report_of_the_monitor_is_shown(log: tuple[Client, list[str], Path]) -> None:
    client, _, state = log
    assert client.get("/monitoring?model=robots").json == {"report": None, "reports": 0, "evidently": False}
    assert client.get("/evidently?model=robots").json == {"html": None}
    place = FolderPlace(state / "predictions")
    for hour in ("01", "02"):
        place.put_new(f"_monitoring/robots/2026-03-01T{hour}0000Z.json", b'{"hour": "%s"}' % hour.encode())
    place.put_new("_monitoring/robots/references/1.json", b"{}")  # not a report
    newest = {"report": {"hour": "02"}, "reports": 2, "evidently": False}
    assert client.get("/monitoring?model=robots").json == newest
    place.put_new("_monitoring/robots/2026-03-01T020000Z.html", b"<p>drift</p>")
    assert client.get("/monitoring?model=robots").json == newest | {"evidently": True}
    assert client.get("/evidently?model=robots").json == {"html": "<p>drift</p>"}


def test_answers_are_bounded(log: tuple[Client, list[str], Path]) -> None:
    client, _, _ = log
    row = client.get("/predictions?model=other").json["rows"][0]
    assert row["cut"] == ["input"] and len(row["input"]) < 3_000
    assert client.get("/predictions?most=501").status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/predictions?since=tomorrow",
        "/predictions?since=99999999999999999999d",
        "/predictions?since=0001-01-01",
        "/predictions?until=9999-12-31T23:59",
        "/predictions?version=../x",
        "/predictions?model=../x",
        "/predictions?model=_feedback",
        "/predictions?key=%00",
        "/predictions?most=0",
        "/predictions?most=%F0%9F%A4%96",
        "/predictions?model=a&model=b",
        "/predictions?no=1",
        "/predictions?model=%ff",
        "/predictions/../x",
        "/predictions/4711",
        "/predictions/00000000-0000-4000-8000-000000000000",
        "/predictions/ffffffff-ffff-7fff-bfff-ffffffffffff",
        "/routing",
        "/monitoring?model=..",
        "/nothing",
    ],
)
def test_a_wrong_question_is_refused_in_words(log: tuple[Client, list[str], Path], path: str) -> None:
    answer = log[0].get(path)
    assert answer.status in (400, 404) or (answer.status == 200 and answer.json["rows"] == []), answer
    if answer.status >= 400:
        assert answer.json["error"].endswith((".", "`")), answer.json


def test_it_needs_the_pages_key(log: tuple[Client, list[str], Path]) -> None:
    client, ids, _ = log
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {KEY}"}):
        for path in ("/predictions", f"/predictions/{ids[0]}", "/nothing"):
            assert Client(client.port, headers).get(path).status == 401
    assert Client(client.port).get("/healthz").status == 200
    assert client.post("/predictions", {}).status == 405


def readers(pid: int) -> list[psutil.Process]:
    found = []
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # others come and go
            if "pantheon.log_reader" in each.cmdline():
                found.append(each)
    return found


@pytest.mark.slow
def test_a_reader_that_hangs_or_is_killed_delays_neither_storing_nor_the_next_question(tmp_path: Path) -> None:
    state = tmp_path / "state-folder"
    (state / "state").mkdir(parents=True)
    spool = state / "volumes" / "spool"
    with running(state, spool, PREDICTIONS_SECONDS="10") as (started, client):

        def has(rows: int) -> bool:
            answer = client.get("/predictions")
            assert answer.status in (200, 503), answer
            return answer.status == 200 and len(answer.json["rows"]) == rows

        segment(spool, [(answered(), ROW, 0)])
        until(lambda: has(1))
        [reader] = readers(started.pid)
        os.kill(reader.pid, signal.SIGSTOP)
        segment(spool, [(answered(), ROW, 0)])
        until(lambda: not list(spool.glob("*.closed")), what="storing while the reader hangs")
        answer = client.get("/predictions")
        assert answer.status == 503 and "no answer within 10 s" in answer.json["error"], answer
        until(lambda: not reader.is_running())
        until(lambda: has(2))
        [reader] = readers(started.pid)
        os.kill(reader.pid, signal.SIGKILL)
        until(lambda: has(2))
        [reader] = readers(started.pid)
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
        until(lambda: not reader.is_running())
