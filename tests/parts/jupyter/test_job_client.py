"""The client of the job API against a scripted server: restarts, rejections, jobs that disappear or stall."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.jupyter.client import ATTEMPTS, INTERRUPTED, TEMPORARY, Jupyter, run_notebook
from pantheon.jupyter.graph import stages_of

RUN = "20260101-000000-abcd"
COPY = {"cells": [{"cell_type": "code", "source": "1", "outputs": []}]}


class Scripted:
    """A server whose jobs follow scripts: one script per job, one state per request."""

    def __init__(self) -> None:
        self.scripts: list[list[dict[str, Any] | int]] = []
        self.posted: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.tokens: set[str] = set()
        self.running: list[dict[str, Any]] = []
        self.file: dict[str, Any] = COPY
        self.busy = 0  # number of answers with status 503 before others
        self.rejects = False

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.rejects:
            return 403, {"message": "Forbidden"}
        if self.busy:
            self.busy -= 1
            return 503, {}
        if method == "POST":
            if not self.scripts:
                return 500, {"message": "Input path does not exist"}
            self.posted.append(body)
            return 200, {"job_id": f"job-{len(self.posted)}"}
        if method == "PATCH":
            self.stopped.append(path.rpartition("/")[2])
            return 204, None
        if path.startswith("/files/"):
            return 200, self.file
        if path.startswith("/scheduler/jobs?"):
            return 200, {"jobs": self.running}
        number = int(path.rpartition("-")[2])
        script = self.scripts[number - 1]
        state = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(state, int):
            return state, {"message": "no such job"}
        outputs = [{"file_format": "ipynb", "file_path": "jobs/x/train.ipynb"}]
        return 200, {"job_id": f"job-{number}", "name": f"train {RUN}", "job_files": outputs, **state}


@pytest.fixture
def server() -> Iterator[tuple[Scripted, Jupyter]]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            scripted.tokens.add(self.headers["Authorization"])
            status, body = scripted.answer(self.command, self.path, json.loads(self.rfile.read(length) or "null"))
            self.send_response(status)
            content = b"" if body is None else json.dumps(body).encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = reply

        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield scripted, Jupyter(f"http://127.0.0.1:{httpd.server_port}", "secret", retry_seconds=5)
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def run(server: tuple[Scripted, Jupyter], tmp_path: Path) -> Callable[..., Path]:
    return lambda **options: run_notebook(server[1], "train", RUN, tmp_path, **options)


def ends(status: str, **more: Any) -> list[dict[str, Any] | int]:
    return [{"status": "QUEUED"}, {"status": "IN_PROGRESS"}, {"status": status, **more}]


def test_posts_the_run_as_python_source_and_stores_the_copy(server: Any, run: Any, tmp_path: Path) -> None:
    server[0].scripts = [ends("COMPLETED")]
    states: list[str] = []
    copy = run(on_state=states.append)
    assert copy == tmp_path / "runs" / RUN / "notebooks" / "train.ipynb"
    assert json.loads(copy.read_text()) == COPY
    assert states == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    (posted,) = server[0].posted
    assert posted["input_uri"] == "train.ipynb"
    assert posted["parameters"] == {"RUN": f'"{RUN}"'}
    assert server[0].tokens == {"token secret"}


def test_a_finished_notebook_does_not_run_again(server: Any, run: Any, tmp_path: Path) -> None:
    server[0].scripts = [ends("COMPLETED")]
    for stage in stages_of("train"):
        write_json(tmp_path / "runs" / RUN / "stages" / f"{stage}.json", {"state": "done"})
    run()  # the stages are done, but the copy is missing
    run()
    assert len(server[0].posted) == 1


def test_a_job_that_is_already_running_is_used(server: Any, run: Any) -> None:
    server[0].scripts = [ends("COMPLETED")]
    server[0].running = [
        {"job_id": "job-9", "name": f"train {RUN}-other", "status": "IN_PROGRESS"},
        {"job_id": "job-8", "name": f"train {RUN}", "status": "FAILED"},
        {"job_id": "job-1", "name": f"train {RUN}", "status": "IN_PROGRESS"},
    ]
    run()
    assert server[0].posted == []


@pytest.mark.parametrize("lost", [{"status": "FAILED", "status_message": INTERRUPTED}, 500, 404], ids=str)
def test_an_interrupted_or_missing_job_is_posted_again(server: Any, run: Any, lost: Any) -> None:
    server[0].scripts = [[{"status": "IN_PROGRESS"}, lost], ends("COMPLETED")]
    assert run().exists()
    assert len(server[0].posted) == 2


def test_a_job_that_keeps_being_interrupted_is_given_up(server: Any, run: Any) -> None:
    server[0].scripts = [[{"status": "FAILED", "status_message": INTERRUPTED}] for _ in range(9)]
    with pytest.raises(PantheonError, match=f"interrupted {ATTEMPTS} times"):
        run()
    assert len(server[0].posted) == ATTEMPTS


def test_requests_are_retried_while_the_server_starts(server: Any, run: Any) -> None:
    server[0].scripts, server[0].busy = [ends("COMPLETED")], 4
    assert run().exists()


def test_a_failed_cell_is_reported_and_its_copy_stored_separately(server: Any, run: Any, tmp_path: Path) -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "too far", "traceback": []}
    server[0].file = {"cells": [{"cell_type": "code", "source": "1", "outputs": [error]}]}
    server[0].scripts = [ends("FAILED", status_message="ValueError: too far"), ends("COMPLETED")]
    with pytest.raises(PantheonError, match=rf"train of run {RUN} failed: ValueError: too far\.") as caught:
        run()
    assert caught.value.status == 2, "a retry would fail in the same way"
    folder = tmp_path / "runs" / RUN / "notebooks"
    assert [path.name for path in folder.iterdir()] == ["train.failed.ipynb"]
    server[0].file = COPY
    run()
    assert [path.name for path in folder.iterdir()] == ["train.ipynb"]


@pytest.mark.parametrize(("below", "status"), [([], 2), ([TEMPORARY], 1)], ids=["bad input", "temporary error"])
def test_a_pantheon_error_is_reported_without_its_type(server: Any, run: Any, below: list[str], status: int) -> None:
    text = "It is broken. Fix it."
    error = {"output_type": "error", "ename": "PantheonError", "evalue": text, "traceback": [text, *below]}
    server[0].file = {"cells": [{"cell_type": "code", "source": "1", "outputs": [error]}]}
    server[0].scripts = [ends("FAILED")]
    with pytest.raises(PantheonError, match=r"failed: It is broken\. Fix it\. See the cells") as caught:
        run()
    assert caught.value.status == status


def test_a_job_that_takes_too_long_is_stopped(server: Any, run: Any) -> None:
    server[0].scripts = [[{"status": "IN_PROGRESS"}]]
    with pytest.raises(PantheonError, match="did not finish in time"):
        run(timeout=0.3)
    assert server[0].stopped == ["job-1"]


def test_a_job_stopped_by_a_user_is_reported_and_not_repeated(server: Any, run: Any) -> None:
    server[0].scripts = [ends("STOPPED"), ends("COMPLETED")]
    with pytest.raises(PantheonError, match="was stopped by a user"):
        run()


def test_rejections_name_the_cure(server: Any, run: Any) -> None:
    with pytest.raises(PantheonError, match=r"did not accept a job for train\.ipynb: Input path does not exist"):
        run()
    server[0].rejects = True
    with pytest.raises(PantheonError, match="rejected the token") as caught:
        run()
    assert "secrets/jupyter_token" in caught.value.cure
    assert "secret:" not in str(caught.value)


def test_a_jupyter_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    unreachable = Jupyter("http://127.0.0.1:9", "secret", retry_seconds=0.2)
    with pytest.raises(PantheonError, match=r"does not answer: .*refused") as caught:
        run_notebook(unreachable, "train", RUN, tmp_path)
    assert "bin/pantheon status" in caught.value.cure
