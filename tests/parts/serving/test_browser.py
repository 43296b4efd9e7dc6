"""The page in a real browser: press the button, see the alert; by mouse, keyboard, on a phone, in the dark."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pantheon.files import write_json
from tests.support.browser import chromium
from tests.support.bundles import EVERY_TYPE, bundle
from tests.support.button import PASSWORD, Client, Deployment, serving

pytestmark = pytest.mark.browser
CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (color) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => sum + share * linear(color[i] / 255), 0);
  const ground = (element) => { for (let e = element; e; e = e.parentElement) {
    const color = rgba(getComputedStyle(e).backgroundColor);
    if (color[3] === 1) return color; } return [255, 255, 255, 1]; };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!text || element.closest("svg, .uplot, datalist") || !element.checkVisibility()) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)}: ${element.outerHTML.slice(0, 80)}`);
  }
  return poor;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true; asked from outside: the page evaluates no text."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Opens the page with a client's cookie; at the end nothing was logged as an error and no other host was asked."""
    contexts, said, asked = [], [], []

    def open_it(client: Client, width: int = 1280, scheme: str = "light", script: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        contexts.append(context)
        if cookie := client.headers.get("Cookie"):
            name, _, value = cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": f"http://localhost:{client.port}/"}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://localhost:{client.port}/")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []
    assert asked
    assert {urlsplit(url).hostname for url in asked} == {"localhost"}


def headline(page: Any) -> str:
    page.wait_for_selector("[role=alert] .headline")
    text: str = page.inner_text("[role=alert] .headline")
    return text


def test_press_the_button_and_see_the_alert(open_page: Any, robots: Client) -> None:
    page = open_page(robots)
    assert page.title() == "Robots · Pantheon"
    page.get_by_label("Robot age").fill("20")
    page.get_by_label("high", exact=True).check()
    page.get_by_role("button", name="Predict the condition").click()
    assert headline(page) == "Bad Condition"
    assert "probability" in page.inner_text("[role=alert]")
    assert page.url.endswith("/")  # swapped in place
    page.get_by_label("Robot age").fill("0")
    page.get_by_label("Rust level").fill("")
    page.get_by_role("button", name="Predict the condition").click()
    until(page, "document.querySelector('[role=alert] .headline')?.textContent === 'Good Condition'")
    assert page.get_by_label("Robot age").input_value() == "0"


def test_by_keyboard_alone(open_page: Any, robots: Client) -> None:
    page = open_page(robots)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "in:robot-age":
            break
    page.keyboard.type("0")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "in:rust-level"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "low"  # the chosen one of the group
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.querySelector('[name=\"in:battery\"]:checked').value") == "high"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "press"
    outline = page.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth"
    )
    assert outline == "solid3px"
    page.keyboard.press("Enter")
    assert headline(page) == "Bad Condition"
    assert page.evaluate("document.activeElement.id") == "press"  # where they were: a second press is one key away


def test_the_answer_is_seen_on_a_phone_without_sideways_scrolling(open_page: Any, every_type: Client) -> None:
    page = open_page(every_type, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name="Predict").click()
    headline(page)
    until(
        page,
        "(() => { const r = document.querySelector('[role=alert]').getBoundingClientRect();"
        " return r.top >= 0 && r.bottom <= innerHeight })()",
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        "[...document.querySelectorAll('button, #ask input:not([type=radio]), select')]"
        ".filter(e => e.getBoundingClientRect().height < 44).length"
    )
    assert small == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(open_page: Any, robots: Client, scheme: str) -> None:
    page = open_page(robots, scheme=scheme)
    page.click("#press")
    headline(page)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(n) for n in re.findall(r"\d+", ground)[:3])
    assert (brightness < 150) == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []


def test_a_field_out_of_range_is_said_before_anything_is_sent(open_page: Any, robots: Client) -> None:
    page = open_page(robots)
    page.get_by_label("Robot age").fill("500")
    page.click("#press")
    assert page.evaluate("document.querySelector('#in-0').validity.rangeOverflow")
    assert page.locator("[role=alert]").count() == 0


def test_without_javascript_it_works_too(open_page: Any, robots: Client) -> None:
    page = open_page(robots, script=False)
    page.get_by_label("Robot age").fill("20")
    page.click("#press")
    assert headline(page) == "Bad Condition"
    assert page.url.endswith("/press")
    page.wait_for_selector('.plot img[src="/plots/1/calibration.svg"]')


def test_charts_pictures_and_diagram_are_drawn(open_page: Any, robots: Client) -> None:
    page = open_page(robots)
    page.wait_for_selector(".plot canvas")
    assert page.locator('[data-node="preprocess"] text').text_content() == "preprocess"
    fill = page.evaluate("getComputedStyle(document.querySelector('.diagram .edge path')).fill")
    assert fill == "none"  # the diagram's style has arrived, although the page allows no style inside it
    page.locator(".plot img").first.scroll_into_view_if_needed()
    until(page, "[...document.querySelectorAll('.plot img')].every(i => i.complete && i.naturalWidth > 0)")


def test_a_new_model_and_a_decision_without_a_reload(open_page: Any, deployment: Deployment, tmp_path: Path) -> None:
    with serving(deployment) as (_, client):
        page = open_page(client)
        assert page.inner_text("h1") == "No model yet"
        deployment.publish(bundle(tmp_path / "one"))
        page.wait_for_selector("#press")  # the page noticed by itself
        version = deployment.publish(bundle(tmp_path / "two", bias=40), promote=False)
        deployment.store.promote("robots", version, "challenger", note="Try me.")
        page.wait_for_selector(".challenger")
        page.wait_for_selector(".history canvas")
        page.get_by_label("Notes").fill("Looks right.")
        page.get_by_role("button", name="Approve").click()
        page.wait_for_selector("text=Version 2 is approved and is serving now.")
        page.wait_for_selector("#status:has-text('Version 2 is serving.')")
        assert page.locator(".challenger").count() == 0
        page.click("#press")
        assert headline(page) == "Good Condition"
        page.close()  # it would ask on when nobody answers any more


def test_an_older_version_serves_again_by_one_press(open_page: Any, deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one", bias=40))
    deployment.publish(bundle(tmp_path / "two"))
    with serving(deployment) as (_, client):
        page = open_page(client, width=360)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.get_by_role("button", name="Serve version 1").click()
        page.wait_for_selector("text=Version 1 is the champion again and is serving now.")
        page.wait_for_selector("#status:has-text('Version 1 is serving.')")
        page.wait_for_selector("#questions:has-text('Version 1 of robots serves')")  # the answers follow by themselves
        assert page.get_by_role("button", name="Serve version 2").is_visible()
        page.close()  # it would ask on when nobody answers any more


def test_a_note_being_written_is_not_swapped_away(open_page: Any, deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    version = deployment.publish(bundle(tmp_path / "two"), promote=False)
    deployment.store.promote("robots", version, "challenger", note="first")
    with serving(deployment) as (_, client):
        page = open_page(client)
        page.get_by_label("Notes").fill("half a sent")
        write_json(
            deployment.folder / "state" / "services.json", {"services": [{"name": "button", "state": "healthy"}]}
        )
        deployment.store.promote("robots", version, "challenger", note="second")
        page.wait_for_selector("#services:has-text('healthy')")  # the page has polled since
        with page.expect_response(re.compile("/parts/runs")):
            pass
        assert page.get_by_label("Notes").input_value() == "half a sent"
        page.close()


def test_every_control_is_found_by_its_label(open_page: Any, every_type: Client) -> None:
    page = open_page(every_type)
    for entry in EVERY_TYPE:
        label = (entry["name"][0].upper() + entry["name"][1:]).replace("-", " ")
        if entry["type"] == "boolean" or entry["name"] == "class":
            assert page.get_by_role("radiogroup", name=label).count() == 1, label
        else:
            assert page.get_by_label(label, exact=False).count() == 1, label
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(landmark).count() == 1, landmark


def test_a_link_logs_in_without_typing_and_logging_out_closes_the_page(
    open_page: Any, deployment: Deployment, tmp_path: Path
) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (_, client):
        page = open_page(Client(client.port))
        assert page.locator("#runs").count() == 0
        link = deployment.link(client.port)
        page.goto(link)
        assert page.url == f"http://localhost:{client.port}/"
        page.wait_for_selector("#runs")
        assert "token" not in page.evaluate("document.referrer + document.cookie")
        assert page.evaluate("document.cookie") == "", "scripts cannot read it"
        page.goto("about:blank")
        page.goto(f"http://localhost:{client.port}/")
        page.wait_for_selector("#runs")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_selector("#password")
        assert page.locator("#runs").count() == 0
        page.goto(link)
        assert page.url.endswith("/login?why=link")
        assert "already used" in page.inner_text("[role=alert]")
        page.close()


def test_log_in_with_the_password_by_keyboard_without_javascript(open_page: Any, deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        page = open_page(Client(client.port), width=360, script=False)
        page.get_by_role("link", name="Log in").click()
        page.get_by_label("Password").press_sequentially(PASSWORD)
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Log in"
        page.keyboard.press("Enter")
        page.wait_for_selector("#runs")
        assert page.url == f"http://localhost:{client.port}/"
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_is_readable_and_fits_a_phone(open_page: Any, robots: Client, scheme: str) -> None:
    page = open_page(Client(robots.port), width=360, scheme=scheme)
    for address in ("/", "/login?why=link"):
        page.goto(f"http://localhost:{robots.port}{address}")
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("document.querySelector('#password').getBoundingClientRect().height") >= 44
        assert page.get_by_label("Password").count() == 1
    page.close()


def test_an_open_page_goes_to_the_login_when_its_session_ends(browser: Any, deployment: Deployment) -> None:
    with serving(deployment) as (_, client), browser.new_context() as context:
        page = context.new_page()
        page.goto(deployment.link(client.port))
        page.wait_for_selector("#runs")
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        header = f"{cookie['name']}={cookie['value']}"
        assert client.form("/logout", "", Cookie=header).status == 303
        page.wait_for_selector("[role=alert]:has-text('You are no longer logged in.')")  # several parts may ask for it
        assert page.url.endswith("/login?why=ended")
        page.close()


def test_a_page_on_another_port_of_the_machine_cannot_use_the_login(
    browser: Any, deployment: Deployment, tmp_path: Path
) -> None:
    """Browsers send cookies to every port of a host, so the Origin has to be refused."""
    deployment.publish(bundle(tmp_path / "one"))
    version = deployment.publish(bundle(tmp_path / "two"), promote=False)
    deployment.store.promote("robots", version, "challenger", by="workflow")
    with serving(deployment) as (_, client), browser.new_context() as context:
        page = context.new_page()
        page.goto(deployment.link(client.port))
        page.wait_for_selector(".challenger")
        action = f"http://localhost:{client.port}/approve"
        form = f"""<form method="post" action="{action}"><input name="model" value="robots">
            <input name="version" value="{version}"><button>Win a prize</button></form>"""
        context.route("http://localhost:1/*", lambda route: route.fulfill(body=form, content_type="text/html"))
        page.goto("http://localhost:1/")
        with page.expect_response(action) as sent:
            page.get_by_role("button").click()
        assert "cookie" in sent.value.request.all_headers()
        assert sent.value.status == 403
        assert deployment.store.alias("robots", "challenger")
        assert deployment.store.resolve("robots").version == "1"
        page.close()
