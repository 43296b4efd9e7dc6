"""The operators' pages in a real browser: in light and dark, on a phone, by keyboard, and without JavaScript."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pantheon import keys
from pantheon.monitoring.report import keep
from pantheon.predictions.place import open_place
from pantheon.routing import operations
from tests.parts.serving.test_browser import CONTRAST
from tests.support.browser import chromium
from tests.support.bundles import bundle
from tests.support.button import Deployment
from tests.support.operations import Operated, operated
from tests.support.reports import report
from tests.support.waiting import until

pytestmark = pytest.mark.browser
ROW = {"robot-age": 5, "rust-level": 9, "battery": "low"}
NAMELESS = """
() => [...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea, button")]
  .filter((e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label"))).map((e) => e.outerHTML)
"""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Two versions, a policy with all its parts, answers, refusals, feedback, a report and keys."""
    folder: Path = tmp_path_factory.mktemp("operated-browser")
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "one"))
    second = deployment.publish(bundle(folder / "two"), promote=False)
    deployment.store.promote("robots", second, "challenger", by="test")
    with operated(deployment) as found:
        operations.weights(deployment.store, "robots", {"challenger": 30}, by="anna", note="a canary")
        operations.header(deployment.store, "robots", "x-beta", "yes", "challenger")
        operations.shadow(deployment.store, "robots", ["challenger"])
        keys.add(deployment.folder, "shop", models=["robots"], per_minute=600)
        keep(open_place(deployment.folder), report())
        for number in range(12):
            id = found.client.predict(ROW).headers["x-request-id"]
            if number % 3 == 0:
                found.direct.post("/feedback", {"id": id, "correct": number == 0, "comment": "It worked for years."})
        found.client.predict({"robot-age": "old"})
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Any, services: Operated) -> Iterator[Any]:
    """Opens a page, logged in; at the end nothing was logged as an error and no other host was asked."""
    contexts, said, asked = [], [], []

    def open_it(path: str, width: int = 1280, scheme: str = "light", script: bool = True) -> Any:
        view = {"width": width, "height": 800}
        context = browser.new_context(
            viewport=view, color_scheme=scheme, java_script_enabled=script, reduced_motion="reduce"
        )
        contexts.append(context)
        name, _, value = services.client.headers["Cookie"].partition("=")
        address = f"http://localhost:{services.client.port}"
        context.add_cookies([{"name": name, "value": value, "url": f"{address}/"}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}{path}")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []
    assert {urlsplit(url).hostname for url in asked} == {"localhost"}


def paths(services: Operated) -> list[str]:
    rows = services.log.predictions(most="30")["rows"]
    id = next(row["id"] for row in rows if row["status"] == 200 and not row["shadow"])
    return ["/log", f"/log/{id}?explain=0", "/feedback", "/routing", "/monitoring", "/keys?name=shop2"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1280)])
def test_pages_are_readable_fit_a_phone_and_name_their_controls(
    open_page: Any, services: Operated, scheme: str, width: int
) -> None:
    first, *others = paths(services)
    page = open_page(first, width=width, scheme=scheme)
    for path in (first, *others):
        if path != first:
            page.goto(f"http://localhost:{services.client.port}{path}")
        assert page.evaluate(CONTRAST) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert page.evaluate(NAMELESS) == [], path
        assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_a_prediction_is_judged_in_place_and_found_in_the_log(open_page: Any, services: Operated) -> None:
    page = open_page("/")
    page.click("#press")
    page.get_by_text("Say more first").click()
    page.get_by_label("What it truly was").select_option("1")
    page.get_by_label("Comment").fill("Not broken.")
    page.get_by_role("button", name="No", exact=True).click()
    page.wait_for_selector("text=Thank you.")
    assert page.url.endswith("/"), "swapped in place"
    page.locator("#answer a[href^='/log/']").click()
    page.wait_for_selector("h1:has-text('Request')")
    page.wait_for_selector("text=wrong, truly 1")
    page.wait_for_selector("text=“Not broken.”")
    page.close()


def test_routing_is_changed_by_keyboard_without_javascript(open_page: Any, services: Operated) -> None:
    page = open_page("/routing", script=False)
    page.get_by_label("One version answers everything that no header rule decides").focus()
    page.keyboard.type("version 2")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=It takes effect within two seconds")
    until(lambda: services.client.predict(ROW).headers["x-model-version"] == "2")
    page.get_by_role("button", name="Remove the policy: the champion answers").click()
    page.wait_for_selector("text=There is no policy")
    until(lambda: services.client.predict(ROW).headers["x-model-version"] == "1")


def test_the_pages_are_reached_by_keyboard(open_page: Any) -> None:
    page = open_page("/keys", width=360)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for name in ("Button", "Log", "Feedback"):
        for _ in range(8):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == name:
                break
        assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Feedback')")
