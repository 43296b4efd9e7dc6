"""The front end before a real endpoint: question, alert, reasons, feedback; and what it does with bad input."""

import json
from pathlib import Path

import pytest

from tests.parts.serving.test_inference_log import answers
from tests.support.bundles import EVERY_TYPE, bundle
from tests.support.frontend import SECRET, TOKEN, Both, Visitor, request_id, said, token
from tests.support.waiting import until

WORST = {"robot_age": "20", "rust_level": "9", "battery": "low"}


def test_it_asks_the_question_that_the_model_answers(visitor: Visitor) -> None:
    page = visitor.get()
    assert page.status == 200
    assert "<h1>Is my robot in bad condition?</h1>" in page.text
    assert 'name="in:rust-level" aria-describedby' not in page.text, "no hint: nothing to describe it"
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "HttpOnly" in page.headers["set-cookie"]
    assert "set-cookie" not in visitor.get().headers, "only at the first visit"


def test_the_alert_and_the_reasons(robots: Both, visitor: Visitor) -> None:
    page = visitor.predict(**WORST)
    assert page.status == 200
    assert '<p class="headline">Bad Condition</p>' in page.text
    assert "<title>Bad Condition · Is my robot" in page.text
    assert "Most of it: robot-age 20" in page.text
    assert page.text.count("<li>") >= 3
    assert ' value="20"' in page.text, "the form keeps its values"
    record = next(each for each in answers(robots.deployment) if each.record.id == request_id(page))
    assert (record.record.key, record.record.explained) == ("frontend", True)
    assert json.loads(record.rows) == [{"robot-age": 20, "rust-level": 9, "battery": "low"}]
    good = visitor.predict(robot_age="0", rust_level="", battery="")
    assert '<p class="headline">Good Condition</p>' in good.text


def test_feedback_is_about_the_request_and_arrives_once(robots: Both, visitor: Visitor) -> None:
    page = visitor.predict(**WORST)
    sent = visitor.feedback(page, "no", comment="It worked for years.")
    assert (sent.status, sent.headers["location"]) == (303, f"/?about={request_id(page)}#feedback")
    shown = visitor.get(sent.headers["location"].partition("#")[0])
    assert "Thank you. You said no." in shown.text
    assert '<p class="headline">Bad Condition</p>' in shown.text, "the answer is still there, and why"
    assert "Most of it: robot-age 20" in shown.text
    (record,) = [each for each in said(robots.deployment) if each.id == request_id(page)]
    assert (record.row, record.correct, record.value, record.by) == (0, False, 1, "frontend")
    assert record.comment == "It worked for years."


def test_the_history_is_this_browsers_and_can_be_forgotten(robots: Both, visitor: Visitor) -> None:
    first = visitor.predict(robot_age="1")
    visitor.predict(robot_age="2", battery="high")
    page = visitor.get()
    assert page.text.index("robot age 2, battery high") < page.text.index("robot age 1")
    other = Visitor(robots.frontend.client)
    assert "robot age 2" not in other.get().text
    assert request_id(first) not in other.get(f"/?about={request_id(first)}").text, "not even with its address"
    assert ' value="1"' in visitor.get(f"/?about={request_id(first)}").text, "the form has its values again"
    assert visitor.post("/forget", {"token": token(page.text, "/forget")}).status == 303
    assert "history-title" not in visitor.get().text


def test_a_value_that_is_not_valid_is_said_at_its_field(visitor: Visitor) -> None:
    page = visitor.predict(robot_age="500", battery="low")
    assert page.status == 422
    assert page.text.count('aria-invalid="true"') == 1
    assert 'id="in-0-error">Expected a number' in page.text
    assert ' value="500"' in page.text
    page = visitor.predict(battery="low")
    assert 'id="in-0-error">This is needed.' in page.text
    page = visitor.predict(robot_age="5", battery="<script>alert(1)</script>")
    assert page.status == 422
    assert "<script>alert" not in page.text


def test_a_form_without_this_browsers_token_does_nothing(robots: Both, visitor: Visitor) -> None:
    count = len(answers(robots.deployment))
    page = visitor.predict(robot_age="3")
    strange = token(Visitor(robots.frontend.client).get().text, "/predict")
    for wrong in ("", "x", strange, token(page.text, "/feedback")):
        answer = visitor.post("/predict", {"token": wrong, "in:robot-age": "17"})
        assert answer.status == 403
        assert ' value="17"' in answer.text, "what was entered is kept"
        assert visitor.post("/forget", {"token": wrong}).status == 403
        if wrong != token(page.text, "/feedback"):
            given = {"token": wrong, "id": request_id(page), "correct": "yes"}
            assert visitor.post("/feedback", given).status == 403
    other = {"token": token(page.text, "/feedback"), "id": "01a225fd-653c-7000-9a26-efbada6feb26", "correct": "yes"}
    assert visitor.post("/feedback", other).status == 403, "the token is for another answer"
    assert len(answers(robots.deployment)) == count + 1
    assert not [each for each in said(robots.deployment) if each.id == other["id"]]


def test_other_sites_are_refused(robots: Both, visitor: Visitor) -> None:
    form = {"token": token(visitor.get().text, "/predict"), "in:robot-age": "3"}
    assert visitor.post("/predict", form, Origin="http://evil.example").status == 403
    assert visitor.post("/predict", form, Sec_Fetch_Site="same-site").status == 403
    assert robots.frontend.client.get("/", Host="evil.example").status == 403
    assert visitor.post("/predict", form, Origin=robots.address).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("GET", "/predict", None, 405),
        ("DELETE", "/", None, 405),
        ("GET", "/?other=1", None, 404),
        ("GET", "/?about=1&about=2", None, 200),
        ("GET", "/?about=%FF", None, 404),
        ("GET", "/static/../app.py", None, 403),
        ("GET", "/static/%2e%2e/app.py", None, 403),
        ("GET", "/static/", None, 404),
        ("POST", "/predict", "", 403),
        ("POST", "/predict", "%FF=%FF", 400),
        ("POST", "/predict", "a=b&" * 20_000, 400),
        ("POST", "/predict", "x" * 2_000_000, 413),
        ("POST", "/predict", "in:robot-age=5", 403),
        ("POST", "/feedback", "id=&correct=yes", 403),
        ("POST", "/forget", "token=%00", 403),
    ],
)
def test_strange_requests_get_an_answer(robots: Both, method: str, path: str, body: str | None, status: int) -> None:
    kind = {"Content_Type": "application/x-www-form-urlencoded"} if body is not None else {}
    answer = robots.frontend.client(method, path, body, **kind)
    assert answer.status == status, answer.text[:500]
    assert "content-security-policy" in answer.headers
    assert "Traceback" not in answer.text


def test_strange_values_get_an_answer(visitor: Visitor) -> None:
    visitor.get()
    for value in ("\0", "x" * 100_000, "1e999", "nan", "{}", "\N{SNOWMAN}", " ", "-0", "0" * 400, "9" * 14):
        for name in ("robot_age", "rust_level", "battery"):
            page = visitor.predict(**{"robot_age": "1", name: value})
            assert page.status in (200, 422), (name, value[:20], page.status)
            assert len(visitor.cookie) < 4096
    for cookie in ("frontend", f"{visitor.cookie}x", "=;=;;", visitor.cookie * 3):
        visitor.cookie = cookie
        assert visitor.get().status == 200
    assert visitor.post("/predict", {}, Content_Type="application/json").status == 415


def test_no_page_and_no_log_has_a_secret_or_what_people_entered(robots: Both, visitor: Visitor) -> None:
    page = visitor.predict(robot_age="31.4159", battery="low")
    visitor.feedback(page, "yes", comment="I am Talos of Crete")
    visitor.predict(robot_age="Talos")
    for text in (page.text, robots.frontend.log.read_text(), robots.endpoint.log.read_text()):
        assert TOKEN not in text
        assert SECRET not in text
        assert "Talos" not in text
    assert "31.4159" not in robots.frontend.log.read_text()


def test_another_model_with_every_type_of_input_needs_no_restart(own: Both, tmp_path: Path) -> None:
    visitor = Visitor(own.frontend.client)
    before = visitor.get()
    assert "Rust level" in before.text
    classes = {"classes": ["red", "white", "rosé"], "labels": {"rosé": "Rosé"}, "name": "colour"}
    own.deployment.publish(bundle(tmp_path / "two", EVERY_TYPE, **classes))
    try:
        until(lambda: "<h1>Robots: red, white or Rosé?</h1>" in visitor.get().text)
        old = visitor.post("/predict", {"token": token(before.text, "/predict"), "in:robot-age": "5"})
        assert old.status == 422
        assert 'id="in-0-error">This is needed.' in old.text
        inputs = {"size": "-9", "count": "3", "charging": "false", "class": "x y", "town": "Pylos"}
        page = visitor.predict(**inputs | {"size": "0,5"}, seen_on="2024-03-01")
        assert page.status == 422, "0,5 is not how this model's data writes numbers"
        page = visitor.predict(**inputs, seen_on="2000-01-01")
        assert page.status == 200, page.text
        assert visitor.feedback(page, "no", value="2").status == 303
        until(lambda: not own.waiting())
        (record,) = [each for each in said(own.deployment) if each.id == request_id(page)]
        assert (record.correct, record.value) == (False, "rosé")
    finally:
        own.deployment.publish(bundle(tmp_path / "three"))
        until(lambda: "Rust level" in visitor.get().text)
