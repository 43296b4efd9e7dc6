"""How the tests are spread over the workers, what is reported, and the command line."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.command_line import assert_nothing_left, make_pantheon

# A busy machine is slow without being wrong. The same examples every time, so that a failure is due to the change;
# `bin/dev test --hypothesis-profile=search` looks for new ones.
settings.register_profile("search", deadline=None, max_examples=500)
settings.register_profile("pantheon", deadline=None, derandomize=True)
settings.load_profile("pantheon")

# Folders whose tests share one engine or deployment, the longest first.
SHARED = (
    "tests/system/compose/climb/",
    "tests/system/compose/",
    "tests/system/faults/",
    "tests/system/climb/",
    "tests/parts/jupyter/",
    "tests/parts/features/online/",
    "tests/system/airflow/",
    "tests/system/features/",
    "tests/system/readme/",
)


def group_of(test: str) -> str:
    """Return what stays in one worker: a folder of ``SHARED``, else a file. ``test`` is a node id."""
    file = test.partition("::")[0]
    return next((folder for folder in SHARED if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each worker takes a group at a time (pytest-xdist 3.8's own groups are lost on pytest 9.2)."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shared folders start first, then the other systems and parts: short files fill the other worker's time.

    Whole deployments are slow tests, apart from the one that grows through all tiers.
    """
    order = {group: index for index, group in enumerate((*SHARED, "tests/system/", "tests/parts/"))}

    def rank(item: pytest.Item) -> int:
        return next((index for start, index in order.items() if item.nodeid.startswith(start)), len(order))

    items.sort(key=rank)
    for item in items:
        if item.nodeid.startswith("tests/system/") and not item.nodeid.startswith("tests/system/climb/"):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Report the page's text and console when a browser test fails: a timeout alone does not help."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.failed and hasattr(page, "console_messages"):
        with contextlib.suppress(Exception):  # the page may be what is broken, and the failure is reported anyway
            console = [message.text for message in page.console_messages()][-30:]
            report.sections.append(("the page", f"{page.url}\n{page.inner_text('body')}"))
            report.sections.append(("its console", "\n".join([*console, *map(str, page.page_errors())])))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the fault table: one line for each fault, step and service, with what was lost."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    cells = [cell for report in reports for name, cell in report.user_properties if name == "fault"]
    if not cells:
        return
    terminalreporter.section("faults: what was lost")
    for line in sorted(cells):
        terminalreporter.write_line(line)


@pytest.fixture
def pantheon(tmp_path: Path) -> Any:
    """The command line with a state folder for this test alone; what it starts is stopped afterwards."""
    made = make_pantheon(tmp_path / "home", TRIALS="1")
    yield made
    if (made.state / "state" / "deployment.json").exists():
        made("down")
    assert_nothing_left(made.home)
