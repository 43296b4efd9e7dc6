"""JupyterLab in a real browser: the login, a notebook with its plot, cells run by hand, and Notebook Jobs."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pantheon.workflow.run import Run
from tests.support.browser import chromium
from tests.support.jupyter import Lab
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PICTURE = ".jp-OutputArea-output img[src^='data:image/png']"


@pytest.fixture(scope="module")
def page(lab: Lab) -> Iterator[Any]:
    """A page that has logged in with the token, in the form; no other host is asked."""
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.set_default_timeout(150_000)
        hosts: set[str | None] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(lab.url)
        assert "/login" in page.url
        page.fill("input[name=password]", "not the token")
        page.click("#login_submit")
        page.wait_for_selector("text=Invalid credentials")
        page.fill("input[name=password]", lab.token)
        page.click("#login_submit")
        page.wait_for_selector(".jp-NotebookPanel")
        yield page
        browser.close()
        for session in lab.jupyter.get("/api/sessions"):  # a notebook that is open has a kernel: others count them
            assert lab.jupyter.ask("DELETE", f"/api/sessions/{session['id']}").status == 204
        until(lambda: not lab.kernels())
        assert hosts - {None, ""} == {"127.0.0.1"}


def shot(page: Any, name: str) -> None:
    """A picture of the page for people, where ``SCREENSHOTS`` names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def run_all_cells(page: Any) -> None:
    """Choose it in the menu until every cell has run: JupyterLab ignores an item that is not enabled yet, and forgets
    the cells that wait if it connects to the kernel again."""
    prompts = page.locator(".jp-CodeCell .jp-InputArea-prompt")
    for _ in range(3):
        page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
        with contextlib.suppress(AssertionError):
            until(lambda: all(re.search(r"\d", prompt) for prompt in prompts.all_inner_texts()), seconds=90)
            return
    raise AssertionError(f"not every cell ran: {prompts.all_inner_texts()}")


def test_begins_with_the_notebook_for_a_problem_of_ones_own(page: Any) -> None:
    page.wait_for_selector("h1:has-text('Start here: your own problem')")
    page.wait_for_selector(".jp-DirListing-item:has-text('runs')")
    for name in ("models", "data", "train.ipynb", "evaluate.ipynb"):
        assert page.locator(".jp-DirListing-item", has_text=name).count() >= 1, name
    page.wait_for_selector(".jp-Toolbar-kernelName:has-text('Pantheon workflow')")
    assert page.locator("text=Would you like to get notified").count() == 0
    shot(page, "start")


def test_an_executed_copy_shows_its_plot(page: Any, lab: Lab, through_jobs: Run) -> None:
    page.goto(f"{lab.url}/lab/tree/runs/{through_jobs.id}/notebooks/evaluate.ipynb?reset")
    picture = page.locator(PICTURE).first
    picture.wait_for(state="attached")
    picture.scroll_into_view_if_needed()
    until(lambda: picture.evaluate("image => image.complete && image.naturalWidth") > 500)
    assert page.locator(".jp-OutputArea-output", has_text="No sign of overfitting").count() >= 1
    shot(page, "evaluate")


def test_run_by_hand_it_draws_and_is_harmless(page: Any, lab: Lab, through_jobs: Run) -> None:
    before = through_jobs.path("selection.json").read_bytes()
    page.goto(f"{lab.url}/lab/tree/model_selection.ipynb?reset")
    page.wait_for_selector("h1:has-text('Model selection')")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    run_all_cells(page)
    picture = page.locator(PICTURE).first
    picture.wait_for(state="attached")
    assert page.locator(".jp-OutputArea-output", has_text=re.compile("model_selection: ")).count() >= 1
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    picture.scroll_into_view_if_needed()
    shot(page, "by-hand")
    assert through_jobs.path("selection.json").read_bytes() == before


def test_notebook_jobs_lists_the_jobs_of_the_run(page: Any, lab: Lab, through_jobs: Run) -> None:
    page.goto(f"{lab.url}/lab?reset")
    page.click(".jp-LauncherCard:has-text('Jobs')")
    row = page.locator("tr", has_text=f"train {through_jobs.id}")
    row.wait_for()
    assert "Completed" in row.inner_text()
    shot(page, "jobs")
    row.locator("a", has_text="Notebook").click()  # the executed copy, nothing to download before
    page.wait_for_selector(f".jp-Cell:has-text('RUN = \"{through_jobs.id}\"')")
    shot(page, "job")
