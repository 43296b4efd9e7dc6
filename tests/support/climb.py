"""One deployment that grows from the first tier to the last that is built, asked for predictions all the while."""

import itertools
import json
import random
import re
import signal
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pantheon import components
from pantheon.airflow.client import Airflow
from pantheon.airflow.settings import run_id
from pantheon.store import open_store
from pantheon.tiers import all_tiers, find
from tests.support import ROOT
from tests.support.command_line import Answer, Pantheon
from tests.support.waiting import until

BUILT = [tier.name for tier in all_tiers() if tier.built]


PORTS = {  # of every service at the last tier; Evidently only starts where it is asked for
    int(port)
    for component in components.read(find(BUILT[-1]).compose_file).without(["evidently"])
    for name, port in re.findall(r"\$\{([A-Z0-9_]+)_PORT:-(\d+)\}", component.file.read_text())
    if name != "EVIDENTLY"
}


DATASETS = ["robots", "wine", "diabetes"]


OWN = {"data": str(ROOT / "datasets" / "churn.csv"), "target": "churned"}  # somebody's file, brought to the first tier


# Runs in Airflow and Jupyter are slow: two at the last tier, one of them in Kubeflow, others in tests/system/airflow;
# wine in tests/system/compose.
DATASETS_OF = {tier: ["robots"] for tier in BUILT} | {
    "persephone": DATASETS,
    "daedalus": DATASETS,
    BUILT[-1]: ["robots", "diabetes"],
}


ROBOT = {"robot-age": 5, "rust-level": "9", "battery": "low"}


class Load:
    """Asks ``/predict`` again and again.

    An answer is lost where the connection fails or the page is at fault (5xx); while another dataset's model serves, a
    robot is refused, and that is an answer.
    """

    def __init__(self, page: str, timeout: float = 20) -> None:
        self.page, self.timeout = page, timeout
        self.predictions = self.refusals = 0
        self.lost: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        body = json.dumps({"payload": [ROBOT]}).encode()
        while not self._stop.wait(0.05):
            request = urllib.request.Request(f"{self.page}/predict", body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                    assert json.load(answer)["prediction"]
                self.predictions += 1
            except urllib.error.HTTPError as error:
                if error.code >= 500:
                    self.lost.append(f"{error.code} {error.read()[:200]!r}")
                self.refusals += 1
            except (OSError, AssertionError, ValueError) as error:
                self.lost.append(repr(error))

    def ready(self) -> bool:
        """Whether the page has loaded the first model, which it looks for twice a second."""
        with urllib.request.urlopen(f"{self.page}/healthz", timeout=self.timeout) as answer:
            return bool(json.load(answer)["ready"])

    def __enter__(self) -> "Load":
        until(self.ready)
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
    versions: tuple[dict[str, Any], dict[str, Any]]
    runs: dict[str, Answer] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)  # when → what `ask --json` printed
    served: dict[str, str] = field(default_factory=dict)  # when → the version that is the champion of robots
    judged: str = ""  # the request whose answer somebody called right
    played: str = ""  # the run that was begun in Airflow
    password: str = ""  # of the user ann, who may start runs


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


def versions(made: Pantheon) -> dict[str, Any]:
    """Every version with its date and checksums, every alias with its dates, wherever the tier keeps them."""
    store = open_store(made.state, host=True)
    found: dict[str, Any] = {}
    for name in store.names():
        found |= {f"{name} {each.version}": (each.created, dict(each.files)) for each in store.list(name)}
        for alias in ("champion", "challenger"):
            record = store.alias(name, alias)
            found[f"{name} {alias}"] = record and record.as_dict()
    return found


def grow(made: Pantheon, tier: str) -> str:
    """``up``, killed with -9 after a random number of lines, and again."""
    process = made.popen("up", tier, "--no-run")
    assert process.stderr
    said, lines = "", random.randint(1, 16)
    for line in itertools.islice(process.stderr, lines):
        said += line
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return f"{said}killed with -9 after {lines} lines\n" + made("up", tier, "--no-run", timeout=300).err


def ask(made: Pantheon, rung: Rung, when: str) -> None:
    rung.asked[when] = made("ask", "--json").json
    rung.served[when] = open_store(made.state, host=True).resolve("robots").version


def judge(made: Pantheon) -> str:
    """Ask the endpoint as an application does, and say that its answer was right; the id of the request."""
    word = (made.state / "secrets" / "endpoint_keys" / "frontend").read_text().strip()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {word}"}

    def post(path: str, body: dict[str, Any]) -> Any:
        url = f"http://127.0.0.1:{8085 + made.offset}{path}"
        return urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=20)

    with post("/predict", {"payload": [ROBOT]}) as answer:
        request = str(answer.headers["x-request-id"])
    with post("/feedback", {"id": request, "row": 0, "correct": True}) as answer:
        assert answer.status < 300
    return request


def play(made: Pantheon, data: str) -> str:
    """Begin a run in Airflow as its play button does, without an id of ours; the id that it gets."""
    airflow = Airflow(f"http://127.0.0.1:{8081 + made.offset}", made.state / "secrets" / "airflow_password")
    begun = airflow.ask("/api/v2/dags/etl/dagRuns", {"logical_date": None, "conf": {"dataset": data, "trials": 1}})
    return run_id(None, begun["dag_run_id"], datetime.fromisoformat(begun["run_after"]))


def run_all(made: Pantheon, asked: dict[str, list[str]]) -> dict[str, Answer]:
    """Train on each, two at a time: runs at once must not disturb each other.

    Args:
        asked: dataset → the arguments of ``run``.
    """
    with ThreadPoolExecutor(2) as pool:
        runs = {d: pool.submit(made, "run", "--json", *a, timeout=500, check=False) for d, a in asked.items()}
    for data, run in runs.items():  # 1: the gate keeps what is no better than the deployed model
        assert run.result().status in (0, 1), f"{data}: {run.result().err}"
    return {data: run.result() for data, run in runs.items()}
