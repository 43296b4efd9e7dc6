"""Unit tests start no process and open no socket: a test that does fails with the folder it belongs to.

The rule is checked by an audit hook, which Python calls for every such event, also for those of libraries.
"""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

FORBIDDEN = {
    "subprocess.Popen",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "os.system",
    "os.exec",
    "socket.bind",
    "socket.connect",
}
ONCE = (("lscpu",), ("fc-list",))  # by joblib, which counts cores, and by matplotlib, which lists fonts
_running: list[pytest.Item] = []
_events: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in FORBIDDEN and _running and arguments[:1] not in ONCE:
        _events.append(f"{event}{arguments!r:.200}")


sys.addaudithook(_audit)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch one test, its fixtures included."""
    _events.clear()
    _running.append(item)
    try:
        return (yield)
    finally:
        _running.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if _events and report.passed and call.when != "teardown":  # the last test also ends what other folders started
        area = "/".join(item.nodeid.partition("::")[0].split("/")[2:-1])
        report.outcome = "failed"
        report.longrepr = (
            f"a unit test starts no process and opens no socket, and this one did: {_events[0]}\n"
            f"Move it to tests/parts/{area} (one real part) or tests/system (a whole deployment)."
        )
        _events.clear()  # reported once, not again for the teardown
    return report
