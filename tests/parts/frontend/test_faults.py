"""The endpoint is away, the front end is killed: values stay, and feedback arrives exactly once."""

import os
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.support.frontend import TOKEN, Both, Visitor, request_id, said
from tests.support.waiting import until


def test_without_the_endpoint_a_banner_and_the_values(own: Both) -> None:
    visitor, before = Visitor(own.frontend.client), len(own.frontend.log.read_text())
    visitor.get()
    own.endpoint.kill()
    page = visitor.predict(robot_age="17", battery="high")
    assert page.status == 503
    assert "The service does not answer at the moment." in page.text
    assert ' value="17"' in page.text
    assert own.frontend.client.get("/healthz").status == 200
    assert own.frontend.client.get("/status").json == {"away": True, "waiting": 0}
    own.endpoint.start()
    until(lambda: not own.frontend.client.get("/status").json["away"])
    page = visitor.predict(robot_age="17", battery="high")
    assert page.status == 200
    assert "does not answer" not in page.text
    log = own.frontend.log.read_text()[before:]
    assert 1 <= log.count("cannot answer") == log.count("answers again") <= 3, "not a line for every attempt"


def test_feedback_survives_kill_9_of_both_and_arrives_once(own: Both) -> None:
    visitor = Visitor(own.frontend.client)
    pages = [visitor.predict(robot_age=str(age)) for age in range(3)]
    ids = [request_id(page) for page in pages]
    own.endpoint.kill()
    for page in pages[:2]:
        assert visitor.feedback(page, "no", comment="first").status == 303
    assert visitor.feedback(pages[0], "yes", comment="changed my mind").status == 303
    assert "waits to be sent" in visitor.get().text
    assert len(own.waiting()) == 3
    own.frontend.kill()
    assert len(own.waiting()) == 3
    own.frontend.start()
    page = visitor.get()
    assert page.status == 200
    assert "The service does not answer" in page.text
    assert 'name="in:robot-age"' in page.text, "the form is there, although the endpoint is not"
    assert "waits to be sent" in page.text
    assert visitor.feedback(pages[2], "no", comment="third").status == 303
    own.frontend.kill()
    own.endpoint.start()
    own.frontend.start()
    until(lambda: not own.waiting(), what="all feedback is delivered")
    found = [each for each in said(own.deployment) if each.id in ids]
    assert [(each.id, each.correct, each.comment) for each in found] == [
        (ids[0], False, "first"),
        (ids[1], False, "first"),
        (ids[0], True, "changed my mind"),  # the later one counts
        (ids[2], False, "third"),
    ]
    assert "waits to be sent" not in visitor.get().text


def test_kill_9_while_feedback_is_sent_loses_nothing_and_counts_once(own: Both) -> None:
    visitor, ids = Visitor(own.frontend.client), []
    for _ in range(2):
        page = visitor.predict(robot_age="7")
        ids.append(request_id(page))
        own.endpoint.stop()
        for comment in ("a", "b", "last"):
            assert visitor.feedback(page, "yes", comment=comment).status == 303
        assert len(own.waiting()) == 3, "kept, although the endpoint hangs"
        own.endpoint.go_on()
        own.frontend.kill()  # while it sends them
        own.frontend.start()
    until(lambda: not own.waiting())
    for request in ids:
        comments = [each.comment for each in said(own.deployment) if each.id == request]
        assert list(dict.fromkeys(comments)) == ["a", "b", "last"]
        assert comments[-1] == "last", "what counts"


def test_it_starts_before_the_endpoint(own: Both) -> None:
    own.frontend.kill()
    own.endpoint.kill()
    (own.folder / "signature.json").unlink(missing_ok=True)
    own.frontend.start()
    visitor = Visitor(own.frontend.client)
    page = visitor.get()
    assert page.status == 200
    assert "One moment, please" in page.text
    assert 'action="/predict"' not in page.text
    assert visitor.post("/predict", {"in:robot-age": "5"}).status == 503
    own.endpoint.start()
    until(lambda: "Is my robot in bad condition?" in visitor.get().text)
    assert visitor.predict(robot_age="5").status == 200


def test_a_key_that_is_refused_is_a_banner_and_a_line_in_the_log(own: Both) -> None:
    visitor = Visitor(own.frontend.client)
    page = visitor.predict(robot_age="5")
    key = own.key
    key.write_text("x" * 40)
    assert visitor.predict(robot_age="5").status == 503
    assert visitor.feedback(page, "yes").status == 303
    assert len(own.waiting()) == 1, "it is kept until the key is right"
    assert "status 401: This API key is not known" in own.frontend.log.read_text()
    key.write_text(TOKEN)
    until(lambda: not own.waiting())
    assert [each.correct for each in said(own.deployment) if each.id == request_id(page)] == [True]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ENDPOINT_URL": ""}, "frontend: ENDPOINT_URL is not set."),
        ({"FRONTEND_SECRET_FILE": "/nowhere"}, "frontend: [Errno 2] No such file or directory: '/nowhere'"),
        ({"FRONTEND_SECRET_FILE": os.devnull}, "frontend: the secret has less than 32 characters"),
        ({"FRONTEND_PORT": "x"}, "frontend: FRONTEND_PORT is 'x', not a port."),
    ],
)
def test_errors_at_the_start_are_one_line(robots: Both, changed: dict[str, str], message: str) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)} | robots.frontend.environment | changed
    command = [sys.executable, "-m", "serving.frontend"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip()) == (2, message)
