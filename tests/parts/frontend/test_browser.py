"""The front end in a real browser: by mouse, by keyboard, on a phone, in the dark, without scripts, with faults."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.parts.serving.test_browser import CONTRAST
from tests.support.browser import chromium
from tests.support.frontend import Both, said
from tests.support.waiting import until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Opens the page. At the end, no script failed, nothing broke the policy, and no other host was asked."""
    contexts, said, asked = [], [], []

    def open_it(both: Both, width: int = 1280, scheme: str = "light", script: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        context.route(lambda url: urlsplit(url).hostname != "localhost", lambda route: route.abort())
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(both.address)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [
        text for text in said if "the server responded with a status of" not in text and "REFUSED" not in text
    ] == []
    assert {urlsplit(url).hostname for url in asked} == {"localhost"}


def headline(page: Any) -> str:
    page.wait_for_selector("#answer .headline")
    text: str = page.inner_text("#answer .headline")
    return text


def press(page: Any, name: str) -> None:
    """Press a button, and wait until the page shows what it brought."""
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.get_by_role("button", name=name, exact=True).click()
    until(lambda: page.locator("[aria-busy]").count() == 0)


def test_ask_and_say_whether_it_was_right(open_page: Any, robots: Both) -> None:
    page = open_page(robots)
    assert page.title() == "Is my robot in bad condition?"
    page.get_by_label("Robot age").fill("20")
    page.get_by_label("high", exact=True).check()
    press(page, "Find out")
    assert headline(page) == "Bad Condition"
    assert page.title() == "Bad Condition · Is my robot in bad condition?"
    assert page.url == f"{robots.address}/", "updated in place"
    assert page.evaluate("document.activeElement.id") == "ask"
    assert page.locator(".bars li").count() == 3
    assert page.locator(".bars .more").first.bounding_box()["width"] > 100, "drawn, although no inline style is allowed"
    page.get_by_label("Comment").fill("It still works.")
    press(page, "No")
    page.wait_for_selector("#feedback [role=status]")
    assert page.inner_text("#feedback [role=status]") == "Thank you. You said no."
    assert page.evaluate("document.activeElement.id") == "feedback", "the pressed button is gone"
    assert headline(page) == "Bad Condition"
    assert page.inner_text(".history .said") == "You said it was wrong"
    until(lambda: any(each.comment == "It still works." for each in said(robots.deployment)))
    page.reload()
    assert page.locator(".history li").count() == 1
    page.get_by_role("link", name="Bad Condition").click()
    page.wait_for_url("**/?about=*")
    assert page.get_by_label("Robot age").input_value() == "20"
    page.get_by_role("button", name="Forget these answers").click()
    page.wait_for_selector(".before")
    assert page.locator(".history").count() == 0


def test_by_keyboard_alone(open_page: Any, robots: Both) -> None:
    page = open_page(robots)
    page.keyboard.press("Tab")
    assert page.inner_text(":focus") == "Skip to the form"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "in:robot-age"
    page.keyboard.type("20")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "low"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.querySelector('[name=\"in:battery\"]:checked').value") == "high"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outline")
    assert "solid 3px" in outline
    page.keyboard.press("Enter")
    assert headline(page) == "Bad Condition"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "comment"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#feedback [role=status]")
    assert page.inner_text(".history .said") == "You said it was right"


def test_a_screen_reader_finds_names_and_is_told_the_answer(open_page: Any, robots: Both) -> None:
    page = open_page(robots)
    for role, name in (
        ("heading", "Is my robot in bad condition?"),
        ("form", "Questions"),
        ("spinbutton", "Robot age"),
        ("spinbutton", "Rust level optional"),
        ("radiogroup", "Battery optional"),
        ("radio", "medium"),
        ("button", "Find out"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, name
    for landmark in ("banner", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1, landmark
    press(page, "Find out")
    headline(page)
    assert "Bad Condition" in page.get_by_role("alert").inner_text()
    for role, name in (
        ("region", "Why?"),
        ("region", "Was this right?"),
        ("textbox", "Comment optional"),
        ("button", "Yes, it was"),
        ("link", "Was this right? Bad Condition"),
        ("region", "Your last answers"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, name
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, details > summary')]"
        ".filter(e => !(e.labels?.length || e.textContent.trim())).length"
    )
    assert unnamed == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("[...document.querySelectorAll('svg')].every(e => e.getAttribute('aria-hidden') === 'true')")


def test_an_error_is_announced_and_its_field_has_the_focus(open_page: Any, robots: Both) -> None:
    page = open_page(robots)
    page.evaluate("document.querySelector('#form form').noValidate = true")
    page.get_by_label("Robot age").fill("500")
    press(page, "Find out")
    page.wait_for_selector("#in-0-error")
    assert page.evaluate("document.activeElement.id") == "in-0"
    assert page.get_by_label("Robot age").get_attribute("aria-describedby") == "in-0-error in-0-hint"
    assert "Expected a number" in page.get_by_role("alert").inner_text()
    page.get_by_label("Robot age").fill("5")
    press(page, "Find out")
    assert headline(page) == "Bad Condition"
    assert page.locator("[aria-invalid=true]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_readable_and_fits(open_page: Any, robots: Both, scheme: str, width: int) -> None:
    page = open_page(robots, width=width, scheme=scheme)
    page.get_by_label("Robot age").fill("4")
    press(page, "Find out")
    headline(page)
    top = page.evaluate("document.querySelector('#answer .headline').getBoundingClientRect().top")
    assert 0 <= top < 800, "the answer is in view"
    press(page, "Yes, it was")
    page.wait_for_selector("#feedback [role=status]")
    page.get_by_label("Robot age").fill("6")
    press(page, "Find out")
    until(lambda: page.locator(".history li").count() == 2)
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    small = page.evaluate(
        "[...document.querySelectorAll('button, input:not([type=radio], [type=hidden]), .choices span, select')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"
    )
    assert small == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 23, 29)"
    assert dark == (scheme == "dark")


def test_without_javascript_it_works_too(open_page: Any, robots: Both) -> None:
    page = open_page(robots, script=False)
    page.get_by_label("Robot age").fill("20")
    page.get_by_role("button", name="Find out").click()
    assert headline(page) == "Bad Condition"
    assert page.get_by_label("Robot age").input_value() == "20"
    page.get_by_role("button", name="Yes, it was").click()
    page.wait_for_selector("#feedback [role=status]")
    assert page.url.partition("?")[2].startswith("about=")
    assert "UTC" in page.inner_text(".history time")


def test_the_endpoint_goes_and_comes_back(open_page: Any, own: Both) -> None:
    page = open_page(own)
    page.get_by_label("Robot age").fill("20")
    press(page, "Find out")
    headline(page)
    own.endpoint.kill()
    press(page, "Yes, it was")
    page.wait_for_selector("#feedback [role=status]")
    assert "sent as soon as the service answers" in page.inner_text("#feedback [role=status]")
    page.get_by_label("Robot age").fill("21")
    press(page, "Find out")
    page.wait_for_selector("#banner .banner")
    assert page.get_by_label("Robot age").input_value() == "21"
    assert page.evaluate("document.activeElement.id") == "ask"
    page.get_by_label("Robot age").fill("22")
    own.endpoint.start()
    page.wait_for_selector("#banner .banner", state="detached")
    assert page.get_by_label("Robot age").input_value() == "22", "the form is not touched"
    until(lambda: page.inner_text(".history .said") == "You said it was right", what="the history says it was sent")
    assert page.inner_text("#banner") in ("The service answers again.", "")
    press(page, "Find out")
    until(lambda: page.locator(".history li").count() == 2)


def test_what_is_typed_while_the_answer_is_on_its_way_is_kept(open_page: Any, robots: Both) -> None:
    page, held = open_page(robots), []
    page.route("**/predict", lambda route: held.append(route))
    page.get_by_label("Robot age").fill("20")
    page.get_by_role("button", name="Find out").click()
    page.wait_for_selector("#form [aria-busy]")
    page.get_by_label("Robot age").fill("21")
    page.get_by_label("high", exact=True).check()
    until(lambda: page.evaluate("1") and held)  # handlers run while the page is asked
    held[0].continue_()
    assert headline(page) == "Bad Condition"
    assert "robot age 20" in page.inner_text(".history"), "this is what was asked"
    assert page.get_by_label("Robot age").input_value() == "21"
    assert page.get_by_label("high", exact=True).is_checked()


def test_the_front_end_goes_and_the_page_keeps_what_was_entered(open_page: Any, own: Both) -> None:
    page = open_page(own)
    page.get_by_label("Robot age").fill("20")
    own.frontend.kill()
    page.get_by_role("button", name="Find out").click()
    page.wait_for_selector("#offline:not([hidden])")
    assert page.get_by_label("Robot age").input_value() == "20"
    own.frontend.start()
    press(page, "Find out")
    assert headline(page) == "Bad Condition"
    assert not page.locator("#offline").is_visible()
