"""The catalogue of features in a real browser: in light and dark, on a phone, by keyboard, without JavaScript."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.parts.serving.test_browser import CONTRAST
from tests.parts.serving.test_features import with_features
from tests.parts.serving.test_operated_browser import NAMELESS
from tests.support.browser import chromium
from tests.support.button import Client
from tests.support.features import look, sample, service

pytestmark = pytest.mark.browser
PATHS = ("/features", "/features/robots", "/features?entity=robot-id%3D7%2C5&at=2026-03-05", "/features?q=nothing")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("features-browser")
    sample(folder / "parts")
    with service(look(folder / "parts")) as address, with_features(folder, address) as logged_in:
        yield logged_in


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Any, client: Client) -> Iterator[Any]:
    """Opens a page, logged in; at the end nothing was logged as an error and no other host was asked."""
    contexts, said, asked = [], [], []

    def open_it(path: str, width: int = 1280, scheme: str = "light", script: bool = True) -> Any:
        view = {"width": width, "height": 800}
        context = browser.new_context(
            viewport=view, color_scheme=scheme, java_script_enabled=script, reduced_motion="reduce"
        )
        contexts.append(context)
        name, _, value = client.headers["Cookie"].partition("=")
        address = f"http://localhost:{client.port}"
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


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1280)])
def test_pages_are_readable_fit_a_phone_and_name_their_controls(
    open_page: Any, client: Client, scheme: str, width: int
) -> None:
    page = open_page(PATHS[0], width=width, scheme=scheme)
    for path in PATHS:
        page.goto(f"http://localhost:{client.port}{path}")
        assert page.evaluate(CONTRAST) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert page.evaluate(NAMELESS) == [], path
        assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_an_entity_is_looked_up_by_keyboard_without_javascript(open_page: Any) -> None:
    page = open_page("/features", script=False)
    page.get_by_role("link", name="robots", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('robots')")
    page.get_by_role("textbox", name="Entity").focus()
    page.keyboard.type("7")
    page.keyboard.press("Tab")
    page.keyboard.type("2026-03-05")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Features of an entity')")
    assert page.locator("article").count() == 1, "only the view that it was looked up in"
    page.wait_for_selector("text=robot_age")
