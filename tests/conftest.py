"""What all tests share: the command line as a stranger calls it, in a state folder of its own and on free ports."""

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


GROUPS = (
    "compose",
    "conformance",
    "airflow",
    "jupyter",
)  # folders whose tests share one engine or deployment, the longest first


def group_of(test: str) -> str:
    """What stays in one worker: a folder of ``GROUPS``, else a file. ``test`` is a node id."""
    file = test.partition("::")[0]
    return next((group for group in GROUPS if file.startswith(f"tests/{group}/")), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Two workers, each taking a group at a time (pytest-xdist 3.8's own groups are lost on pytest 9.2)."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups begin first, so that the shorter files fill the other worker's time."""
    order = {group: index for index, group in enumerate(GROUPS)}
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(GROUPS)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A test that failed with a browser's page says what stood on the page: a timeout alone tells nothing."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.failed and hasattr(page, "console_messages"):
        with contextlib.suppress(Exception):  # the page may be what is broken, and the failure is reported anyway
            console = [message.text for message in page.console_messages()][-30:]
            report.sections.append(("the page", f"{page.url}\n{page.inner_text('body')}"))
            report.sections.append(("its console", "\n".join([*console, *map(str, page.page_errors())])))
    return report


@dataclass
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def message(self) -> str:
        """The one line that names cause and way out."""
        lines = [line for line in self.err.splitlines() if line.startswith("pantheon: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("pantheon: ")


@dataclass
class Pantheon:
    """``bin/pantheon`` (or make) with deployments under ``home`` and ports moved by ``offset``."""

    home: Path
    offset: int
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
        return clean | {"PANTHEON_HOME": str(self.home), "PANTHEON_PORT_OFFSET": str(self.offset)} | self.settings

    @property
    def state(self) -> Path:
        return self.home / "pantheon"

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{8080 + self.offset}"

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 170, **given: str) -> Answer:
        return self.command([str(ROOT / "bin" / "pantheon"), *arguments], check, timeout, **given)

    def command(self, command: list[str], check: bool = True, timeout: float = 170, **given: str) -> Answer:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | given,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        answer = Answer(done.returncode, done.stdout, done.stderr)
        if check:
            assert answer.status == 0, f"{command} ended with {answer.status}\n{answer.out}\n{answer.err}"
        assert "Traceback" not in answer.err, answer.err
        return answer

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """The command in a session of its own, so that a signal to its group is a Ctrl-C."""
        return subprocess.Popen(
            [str(ROOT / "bin" / "pantheon"), *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


# No two of them end alike: offsets of whole hundreds never meet.
PORTS = (8080, 8081, 8888, 8070, 5433, 9000, *range(9010, 9017))


def worker() -> tuple[int, int]:
    """Which of how many workers of pytest this one is. Each takes ports of its own: those of a deployment that is down,
    or of a service that was killed, look free to the others."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free_port_offset(ports: Iterable[int] = PORTS) -> int:
    """At random among this worker's: what an earlier test left may still be closing."""
    from pantheon.engines.ports import is_free

    number, workers = worker()
    tries = iter(lambda: random.randrange(1000 + 100 * number, 20000, 100 * workers), None)
    return next(tried for tried in tries if all(is_free(port + tried) for port in ports))


def make_pantheon(home: Path, **settings: str) -> Pantheon:
    given = {"ENGINE": "local", **settings}  # a machine with Docker would choose compose; tests/compose is for that
    return Pantheon(home, free_port_offset(), {f"PANTHEON_{key}": value for key, value in given.items()})


def sockets(processes: list[Any]) -> list[Any]:
    """Every socket of the processes (psutil); one that ends while it is looked at has none."""
    import psutil

    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found += process.net_connections(kind="inet")
    return found


def text_of(path: Path) -> str:
    """What a file says; nothing where it has just been replaced by its successor."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def assert_nothing_left(home: Path) -> None:
    """No process of a deployment under ``home`` is left: their environments name the state folder."""
    import psutil

    left = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if any(str(home) in value for value in process.environ().values()) and process.pid != os.getpid():
                left.append(process.info)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    assert left == []


@pytest.fixture
def pantheon(tmp_path: Path) -> Any:
    """A home of its own for one test; whatever it brought up is stopped."""
    made = make_pantheon(tmp_path / "home", TRIALS="2")
    yield made
    if (made.state / "state" / "deployment.json").exists():
        made("down")
    assert_nothing_left(made.home)


@pytest.fixture(scope="session")
def persephone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One deployment of persephone with its first model, shared by the tests that only look at it."""
    made = make_pantheon(tmp_path_factory.mktemp("shared"), TRIALS="2")
    made("up", "persephone")
    yield made
    made("down")
    assert_nothing_left(made.home)
