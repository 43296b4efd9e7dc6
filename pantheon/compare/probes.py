"""Ask a running deployment what its users ask: a prediction, the questions, the pages, the status."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pantheon.deployment import logins, predict, questions
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.status import status
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier
from pantheon.web.client import Client, NoAnswer

PAUSE = 0.05  # seconds between two predictions
PAGE_SECONDS = 5.0


class Probes:
    """The probes of one deployment.

    Attributes:
        page: the address of the page, whose ``POST /predict`` is the same at every tier.
    """

    def __init__(self, deployment: Deployment, tier: Tier, engine: Engine) -> None:
        self.deployment, self.tier, self.engine = deployment, tier, engine
        self.page = engine.address("button")
        self.row = example(self.page)
        addresses = {plan.name: plan.address for plan in engine.planned() if plan.address.startswith("http")}
        parts = deployment.components(tier)
        named = {each.login.service: each.login.title for each in parts if each.login}
        self.pages = {named[name]: address for name, address in addresses.items() if name in named}

    @property
    def body(self) -> bytes:
        """The body of a prediction for one row."""
        return json.dumps({"payload": [self.row]}).encode()

    def predict(self) -> None:
        """Get a prediction. Raises PantheonError if there is none."""
        predict.ask(self.page, "/predict", {"payload": [self.row]})

    def ask(self) -> list[dict[str, Any]]:
        """Return the answers to all questions. Raises PantheonError if the page does not answer."""
        found: list[dict[str, Any]] = questions.ask(self.page, None, logins.headers(self.deployment))["questions"]
        return found

    def status(self) -> None:
        """Look at the deployment as ``status`` does. Raises PantheonError if that fails."""
        status(self.deployment, self.tier, self.engine)

    def open(self, address: str) -> bool:
        """Return whether a page answers, whatever it says about logins."""
        try:
            return Client(address, "page", timeout=PAGE_SECONDS).send("GET", "/").status < 500
        except NoAnswer:
            return False

    def closed(self) -> list[str]:
        """Return the pages that do not answer now."""
        return [title for title, address in self.pages.items() if not self.open(address)]


def example(page: str) -> dict[str, Any]:
    """Return a row for the served model: the examples of its signature."""
    return {column["name"]: column.get("example") for column in predict.ask(page, "/signature")[0]["inputs"]}


def works(probe: Callable[[], Any]) -> bool:
    """Return whether a probe got an answer."""
    try:
        probe()
    except PantheonError:
        return False
    return True


@dataclass
class Stream:
    """Predictions one after another, until the block ends.

    Attributes:
        asked: the time of each request, monotonic seconds, how long it took, and whether it was answered.
    """

    probes: Probes
    asked: list[tuple[float, float, bool]] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Stream":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(PAUSE):
            begin = time.monotonic()
            answered = works(self.probes.predict)
            self.asked.append((begin, time.monotonic() - begin, answered))

    def between(self, begin: float, end: float) -> tuple[int, float]:
        """Return how many requests that were sent in this time were not answered, and the longest that one took."""
        seen = [each for each in list(self.asked) if begin - each[1] <= each[0] <= end]
        return sum(not answered for _, _, answered in seen), max((took for _, took, _ in seen), default=0.0)

    @property
    def answered(self) -> int:
        return sum(answered for _, _, answered in self.asked)
