"""A person with a browser: from TensorBoard to the login and back, and a server of one's own."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pantheon.hub import people
from tests.support.browser import chromium
from tests.support.hub import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_one_login_opens_tensorboard_and_jupyterlab_and_no_other_host_is_asked(hub: Hub) -> None:
    people.add_profile(hub.state, "painters")
    password = people.add(hub.state, "paula", {"painters": "edit"})
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.set_default_timeout(120_000)
        hosts: set[str | None] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(f"{hub.tensorboard}/painters/")
        assert page.url.startswith(f"{hub.url}/hub/login")
        page.fill("#username_input", "paula")
        page.fill("#password_input", "not the password")
        page.click("#login_submit")
        page.wait_for_selector("text=Invalid username or password")
        page.fill("#username_input", "paula")
        page.fill("#password_input", password)
        page.click("#login_submit")
        page.wait_for_url(f"{hub.tensorboard}/painters/**")
        page.wait_for_selector("tb-webapp")
        page.wait_for_selector("text=No dashboards are active")
        shot(page, "tensorboard")
        page.goto(f"{hub.url}/hub/home")
        page.click("#start")
        page.wait_for_url("**/user/paula/lab/**")
        page.wait_for_selector(".jp-NotebookPanel")
        shot(page, "hub-lab")
        assert hosts - {None, ""} == {"127.0.0.1"}
    hub.ask("DELETE", "/users/paula/server")


def shot(page, name: str) -> None:  # type: ignore[no-untyped-def]
    """A picture of the page for people, where ``SCREENSHOTS`` names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")
