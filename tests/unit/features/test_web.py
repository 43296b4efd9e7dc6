"""The service's API: which handler answers, what it gets, and what every kind of failure becomes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pantheon.errors import PantheonError
from pantheon.features import web
from pantheon.features.api import Answer, Problem, Request
from pantheon.features.contract import View
from pantheon.features.web import Api
from tests.support.asgi import call


class Lost(Exception):
    """What a client of PostgreSQL raises while it is away."""


def made(tmp_path: Path, handle: Any, path: str = "/views/{view}/parts", method: str = "POST") -> Api:
    return Api({(method, path): handle}, tmp_path / "incoming", lambda e: "postgres" if isinstance(e, Lost) else "")


def failing(error: BaseException) -> Any:
    def handle(request: Request) -> Any:
        raise error

    return handle


def test_a_handler_gets_the_path_the_query_and_the_body(tmp_path: Path) -> None:
    def handle(request: Request) -> Any:
        return {"view": request["view"], "run": request.option("run"), "none": request.option("x", "-"),
                "size": len(request.file.read_bytes())}  # fmt: skip

    api = made(tmp_path, handle)
    found = call(api, "POST", "/views/robots_2/parts?run=r%201", b"x" * 1000, pieces=7)
    assert (found.status, found.json) == (200, {"view": "robots_2", "run": "r 1", "none": "-", "size": 1000})
    assert list((tmp_path / "incoming").iterdir()) == [], "the body is removed"


def test_what_no_handler_answers_is_404_and_says_what_would_be(tmp_path: Path) -> None:
    api = made(tmp_path, lambda request: {})
    for method, path in (
        ("GET", "/"),
        ("POST", "/views//parts"),
        ("POST", "/views/a/b/parts"),
        ("POST", "/views/a/parts/"),
    ):
        assert call(api, method, path).status == 404
    assert "takes POST" in call(api, "GET", "/views/a/parts").json["error"]["message"]
    assert call(api, "GET", "/healthz").json == {"status": "ok"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": 7}', b"[" * 5000])
def test_a_body_that_is_not_what_a_handler_expects_is_400(tmp_path: Path, body: bytes) -> None:
    refused = call(made(tmp_path, lambda request: request.json(View)), "POST", "/views/a/parts", body)
    assert refused.status == 400
    assert refused.json["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Problem(409, "Another run writes this view.", "Wait."), 409, "Another run"),
        (PantheonError("the bucket does not answer."), 503, "the bucket"),
        (Lost("connection refused"), 503, "postgres, which the feature store needs"),
        (OSError(28, "No space left on device", "/x"), 503, "disk is full"),
        (ZeroDivisionError("division by zero"), 503, "ZeroDivisionError"),
    ],
)
def test_every_failure_is_json_with_a_cause(tmp_path: Path, error: BaseException, status: int, said: str) -> None:
    failed = call(made(tmp_path, failing(error)), "POST", "/views/a/parts")
    assert failed.status == status
    assert said in failed.json["error"]["message"]
    assert set(failed.json["error"]) == {"message", "cure"}


def test_a_file_is_sent_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "answer.parquet"

    def handle(request: Request) -> Answer:
        file.write_bytes(b"x" * (3 * web.PIECE))
        return Answer(file=file)

    found = call(made(tmp_path, handle), "POST", "/views/a/parts")
    assert (found.status, len(found.body), found.headers["content-length"]) == (200, 3 * web.PIECE, str(3 * web.PIECE))
    assert not file.exists()


def test_lines_are_sent_as_they_come_and_closed(tmp_path: Path) -> None:
    closed: list[bool] = []

    class Lines:
        def __init__(self) -> None:
            self.left = [b"one\n", b"two\n"]

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

        def close(self) -> None:
            closed.append(True)

    found = call(made(tmp_path, lambda request: Answer(lines=Lines())), "POST", "/views/a/parts")
    assert (found.body, closed) == (b"one\ntwo\n", [True])


def test_a_struct_becomes_json(tmp_path: Path) -> None:
    view = View(name="robots", set="robots", kind="raw", key="robot_id", fields=[])
    found = call(made(tmp_path, lambda request: view), "POST", "/views/a/parts")
    assert msgspec.json.decode(found.body, type=View) == view


def test_a_body_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BODY_BYTES", 100)
    assert call(made(tmp_path, lambda request: {}), "POST", "/views/a/parts", b"x" * 101, pieces=3).status == 413
    assert list((tmp_path / "incoming").iterdir()) == []


def test_what_a_killed_process_left_is_removed_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "incoming" / ".body.1.part"
    left.parent.mkdir()
    left.write_bytes(b"x")
    made(tmp_path, lambda request: {})
    assert not left.exists()
