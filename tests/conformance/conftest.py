"""One deployment that grows from the first tier to the last that is built, asked for predictions all the while."""

import json
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pantheon.tiers import all_tiers
from tests.conftest import Answer, Pantheon, assert_nothing_left, make_pantheon

BUILT = [tier.name for tier in all_tiers() if tier.built]
DATASETS = ["robots", "wine", "diabetes"]
DATASETS_OF = {tier: DATASETS if tier in ("persephone", "daedalus") else ["robots", "diabetes"] for tier in BUILT}
ROBOT = {"robot-age": 5, "rust-level": "9", "battery": "low"}


class Load:
    """Asks ``/predict`` again and again.

    An answer is lost where the connection fails or the page is at fault (5xx); while another dataset's model serves, a
    robot is refused, and that is an answer.
    """

    def __init__(self, page: str) -> None:
        self.page = page
        self.predictions = self.refusals = 0
        self.lost: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        body = json.dumps({"payload": [ROBOT]}).encode()
        while not self._stop.wait(0.02):
            request = urllib.request.Request(f"{self.page}/predict", body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    assert json.load(answer)["prediction"]
                self.predictions += 1
            except urllib.error.HTTPError as error:
                if error.code >= 500:
                    self.lost.append(f"{error.code} {error.read()[:200]!r}")
                self.refusals += 1
            except (OSError, AssertionError, ValueError) as error:
                self.lost.append(repr(error))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@dataclass
class Rung:
    """What was seen on one tier: before and after growing to it, and of its runs."""

    tier: str
    said: str
    services: list[dict[str, Any]]
    before: dict[str, str]
    after: dict[str, str]
    pids: tuple[dict[str, int], dict[str, int]]
    runs: dict[str, Answer] = field(default_factory=dict)


@dataclass
class Climb:
    """The deployment, now at the last tier, and what was seen on the way."""

    pantheon: Pantheon
    rungs: dict[str, Rung]
    load: Load

    def run(self, tier: str, data: str) -> Path:
        return self.pantheon.state / "runs" / str(self.rungs[tier].runs[data].json["run"])


def checksums(state: Path) -> dict[str, str]:
    """Of every file of data, runs, models and notebooks; aliases move, that is what they are for."""
    return {
        str(path.relative_to(state)): sha256(path.read_bytes()).hexdigest()
        for folder in ("runs", "models", "data", "notebooks")
        for path in (state / folder).rglob("*")
        if path.is_file() and "aliases" not in path.parts and not any(part.startswith(".") for part in path.parts)
    }


def pids(made: Pantheon) -> dict[str, int]:
    """The main process of every service that runs, as the engine wrote them for the page."""
    file = made.state / "state" / "services.json"
    services = json.loads(file.read_text())["services"] if file.exists() else []
    return {service["name"]: service["pid"] for service in services if service["pid"]}


def grow(made: Pantheon, tier: str) -> str:
    """``up``; on the way to prometheus the command is killed with -9 once the database is up, and started again."""
    if tier != "prometheus":
        return made("up", tier, "--no-run").err
    process = made.popen("up", tier, "--no-run")
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if line.split()[:2] == ["✓", "postgres"]:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    made("up", tier, "--no-run")
    return said


def run_all(made: Pantheon, datasets: list[str]) -> dict[str, Answer]:
    """Train on each, two at a time: runs at once must not disturb each other."""
    with ThreadPoolExecutor(2) as pool:
        runs = {data: pool.submit(made, "run", "--json", "--data", data, timeout=500, check=False) for data in datasets}
    for data, run in runs.items():  # 1: the gate keeps what is no better than the deployed model
        assert run.result().status in (0, 1), f"{data}: {run.result().err}"
    return {data: run.result() for data, run in runs.items()}


@pytest.fixture(scope="session")
def climb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Climb]:
    made = make_pantheon(tmp_path_factory.mktemp("climb"), TRIALS="2")
    load = Load(made.page)
    rungs: dict[str, Rung] = {}
    try:
        made("up", BUILT[0])  # a first model, to ask
        with load:
            for tier in BUILT:
                before, running = checksums(made.state), pids(made)
                said = grow(made, tier)
                services = made("status", "--json").json["services"]
                rungs[tier] = Rung(tier, said, services, before, checksums(made.state), (running, pids(made)))
                rungs[tier].runs = run_all(made, DATASETS_OF[tier])
        yield Climb(made, rungs, load)
    finally:
        if (made.state / "state" / "deployment.json").exists():
            made("down")
    assert_nothing_left(made.home)
