"""The cookie with a browser's last answers, and the tokens of forms."""

import os

import pytest

from serving.frontend.answer import Answer, answer
from serving.frontend.browser import BYTES, MOST, Browser, Cookies
from serving.frontend.client import Reply
from tests.support.bundles import ROBOTS, signature

SECRET = "s" * 40


def one(number: int, **values: str) -> Answer:
    bars = [{"name": f"input {i}", "value": os.urandom(8).hex(), "shapley": 0.1} for i in range(7)]
    why = {"base": 0.4, "output": 0.9, "features": bars, "words": "So it is."}
    return answer(signature(ROBOTS), Reply(f"id-{number}", "1", 0, why, []), values)


def test_what_is_written_is_read_again() -> None:
    cookies, browser = Cookies(SECRET, "frontend-8000"), Browser()
    browser.add(one(1, age="5", note="größer; =\n\ud800"))
    header = cookies.write(browser)
    assert header.endswith("; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax")
    found = cookies.read(f"other=x; {header.split(';')[0]}; more")
    assert found and found.id == browser.id
    assert [each.id for each in found.answers] == ["id-1"]
    assert found.answers[0].values["age"] == "5"
    assert Cookies(SECRET, "a", secure=True).write(browser).endswith("; Secure")


def test_a_cookie_that_was_changed_is_none() -> None:
    cookies = Cookies(SECRET, "c")
    value = cookies.write(Browser()).split(";")[0]
    for other in ("", "c=", "c=.", "c=x.y", "c=" + "x" * 10_000, value[:-1] + "é", value[:8] + "A" + value[9:], "c"):
        assert cookies.read(other) is None, other
    assert Cookies("t" * 40, "c").read(value) is None
    with pytest.raises(ValueError, match="32 characters"):
        Cookies("short", "c")


def test_the_oldest_answers_make_room() -> None:
    cookies, browser = Cookies(SECRET, "c"), Browser()
    for number in range(40):
        browser.add(one(number, **{f"input {i}": os.urandom(6).hex() for i in range(20)}))
    assert len(browser.answers) == MOST
    value = cookies.write(browser).split(";")[0]
    assert len(value) <= BYTES + 2
    found = cookies.read(value)
    assert found and found.answers[0].id == "id-39"
    assert 1 <= len(found.answers) < MOST


def test_hundreds_of_inputs_are_left_out_but_not_their_answer() -> None:
    cookies, browser = Cookies(SECRET, "c"), Browser()
    browser.add(one(1, **{f"input {i}": os.urandom(30).hex() for i in range(500)}))
    found = cookies.read(cookies.write(browser).split(";")[0])
    assert found and [each.id for each in found.answers] == ["id-1"]
    assert found.answers[0].values == {}


def test_a_small_cookie_does_not_unpack_to_megabytes() -> None:
    browser = Browser()
    browser.add(one(1, town="x" * 1_000_000))
    assert browser.answers[0].values == {}


def test_a_token_is_for_one_browser_and_one_form() -> None:
    cookies, one, other = Cookies(SECRET, "c"), Browser(), Browser()
    token = cookies.token(one, "predict")
    assert cookies.is_token(token, one, "predict")
    assert not cookies.is_token(token, other, "predict")
    assert not cookies.is_token(token, one, "forget")
    assert not cookies.is_token("é", one, "predict")
    assert not cookies.is_token("", one, "predict")
