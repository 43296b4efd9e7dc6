"""Alerts reach a real HTTP server and a real mail server, once, also after failures."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pantheon.monitoring import alerts
from pantheon.monitoring.alerts import State, update
from pantheon.monitoring.deliver import Channels, Mail, deliver
from tests.support.alerts import DRIFT, START, report
from tests.support.mail import MailServer, certificate

NOW = START + timedelta(hours=1)


class Hook:
    """A webhook that answers with the given statuses, then with 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = hook.statuses.pop(0) if hook.statuses else 200
                if status == 200:
                    hook.received.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/secret-token"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def pem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that this process trusts."""
    made = certificate(tmp_path / "mail.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return made


def noticed(folder: Path, channels: Channels) -> None:
    state = State()
    update(state, report(1, DRIFT), channels.names)
    alerts.write(folder, state)


def test_a_webhook_gets_text_and_fields_once(tmp_path: Path, hook: Hook) -> None:
    channels = Channels(hook.url)
    noticed(tmp_path, channels)
    for _ in range(2):
        state = deliver(tmp_path, channels, NOW)
    (body,) = hook.received
    assert body["text"].startswith("Notice: robots, drift (rust-level)\nrust-level has moved")
    assert body["look"] in body["text"]
    assert (body["model"], body["version"], body["level"], body["what"]) == ("robots", "3", "ticket", "begins")
    assert state.waiting == []


def test_a_busy_webhook_is_tried_again_at_once_and_a_wrong_address_later(tmp_path: Path, hook: Hook) -> None:
    channels = Channels(hook.url)
    noticed(tmp_path, channels)
    hook.statuses = [503, 429]
    assert deliver(tmp_path, channels, NOW, lambda seconds: None).waiting == []
    noticed(tmp_path, channels)
    hook.statuses = [404, 404]
    (waiting,) = deliver(tmp_path, channels, NOW, lambda seconds: None).waiting
    assert (waiting.tries, waiting.problem) == (1, "the webhook answered with status 404")
    assert hook.statuses == [404]
    assert deliver(tmp_path, channels, NOW + timedelta(seconds=59)).waiting[0].tries == 1
    assert deliver(tmp_path, channels, NOW + timedelta(minutes=2)).waiting[0].tries == 2
    assert deliver(tmp_path, channels, NOW + timedelta(minutes=5)).waiting == []
    assert len(hook.received) == 2


def test_a_webhook_that_is_away_does_not_keep_others_from_being_told(tmp_path: Path, hook: Hook) -> None:
    channels = Channels(hook.url)
    noticed(tmp_path, channels)
    hook.close()
    state = deliver(tmp_path, channels, NOW, lambda seconds: None)
    (waiting,) = state.waiting
    assert waiting.problem == "the webhook does not answer: Connection refused"
    assert [each.channel for each in state.told] == ["file"]
    assert "secret-token" not in (tmp_path / alerts.STATE).read_text()


def test_mail_goes_encrypted_with_a_password(tmp_path: Path, pem: Path) -> None:
    server = MailServer(pem, password="moonlight")
    mail = Mail("localhost", "pantheon@example.com", ("ops@example.com", "lab@example.com"), server.port, "robot")
    channels = Channels(mail=Mail(**{**_fields(mail), "password": "moonlight"}))
    noticed(tmp_path, channels)
    state = deliver(tmp_path, channels, NOW)
    server.close()
    (made,) = server.received
    assert state.waiting == []
    assert server.encrypted == [True]
    assert made["Subject"] == "[pantheon] Notice: robots, drift (rust-level)"
    assert made["To"] == "ops@example.com, lab@example.com"
    assert DRIFT.look in made.get_content()


def test_mail_with_tls_from_the_first_byte_and_in_the_clear(tmp_path: Path, pem: Path) -> None:
    for server, tls in ((MailServer(pem, at_once=True), "tls"), (MailServer(), "none")):
        channels = Channels(mail=Mail("localhost", "a@example.com", ("b@example.com",), server.port, tls=tls))  # type: ignore[arg-type]
        noticed(tmp_path, channels)
        assert deliver(tmp_path, channels, NOW).waiting == []
        server.close()
        assert server.encrypted == [tls == "tls"]


def test_mail_is_not_sent_in_the_clear_or_to_a_stranger_and_the_reason_has_no_secret(
    tmp_path: Path, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, known = MailServer(), MailServer(pem, password="moonlight")
    problems = []
    cases = [("localhost", plain, "starlight"), ("localhost", known, "starlight"), ("127.0.0.1", known, "moonlight")]
    for host, server, password in cases:
        mail = Mail(host, "a@example.com", ("b@example.com",), server.port, "robot", password)
        noticed(tmp_path, Channels(mail=mail))
        (waiting,) = deliver(tmp_path, Channels(mail=mail), NOW, lambda seconds: None).waiting
        problems.append(waiting.problem)
    plain.close()
    known.close()
    assert plain.received == known.received == []
    assert "STARTTLS" in problems[0]
    assert problems[1] == "the mail server localhost refused user and password"
    assert "certificate" in problems[2].lower()
    assert not any("light" in problem for problem in problems)


def test_a_mail_server_that_is_busy_gets_the_message_a_moment_later(tmp_path: Path) -> None:
    server = MailServer(answers=("451 try later",))
    channels = Channels(mail=Mail("localhost", "a@example.com", ("b@example.com",), server.port, tls="none"))
    noticed(tmp_path, channels)
    assert deliver(tmp_path, channels, NOW, lambda seconds: None).waiting == []
    server.close()
    assert len(server.received) == 1


def _fields(mail: Mail) -> dict[str, Any]:
    return {name: getattr(mail, name) for name in mail.__struct_fields__}
