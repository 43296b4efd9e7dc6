"""Kill each service with SIGKILL, one after another, while runs are under way: who notices, what breaks."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pantheon.compare.probes import Probes, Stream, works
from pantheon.deployment import inside
from pantheon.deployment.calling import Commands
from pantheon.engines import ServiceStatus

HEAL_SECONDS = 60.0  # a service that is not healthy again by then counts as lost
RUN_SECONDS = 120.0  # for the run that was under way at the last kill
POLL = 0.1
FAILED_PAUSE = 0.5  # seconds before the next run, which may fail at once
UP = ("healthy", "running")


@dataclass
class Run:
    """One run of the workflow: when it began and ended (monotonic seconds; 0 while it runs), and why it failed."""

    began: float
    ended: float = 0.0
    failure: str = ""


@dataclass
class Runs:
    """Runs of the workflow, one after another, until the block ends."""

    commands: Commands
    every: list[Run] = field(default_factory=list)
    _done: bool = False
    _process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> "Runs":
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._process = self._begin()
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._done = True
        self._thread.join(0.0 if kind else RUN_SECONDS)
        if self._thread.is_alive() and self._process:
            self.every[-1].failure = f"had not ended {RUN_SECONDS:.0f} s after the last kill"
            self._process.terminate()
            self._thread.join()

    def _begin(self) -> "subprocess.Popen[bytes]":
        self.every.append(Run(time.monotonic()))
        return self.commands.start("run", "--trials", "1")

    def _loop(self) -> None:
        while self._process:
            outcome, _ = self._process.communicate()
            run = self.every[-1]
            run.ended = time.monotonic()
            if not outcome.strip() and not run.failure:  # a model that the gate refuses is an outcome, too
                run.failure = self.commands.last_line()
                time.sleep(FAILED_PAUSE)
            # A command bound to its parent ends when the *thread* that started it does: this one waits for it.
            self._process = None if self._done else self._begin()


def kill_each(
    probes: Probes, commands: Commands, before: Collection[str], progress: Callable[[str], None]
) -> dict[str, Any]:
    """Kill the services of a deployment, except those that an earlier tier has too.

    Args:
        commands: of the same deployment; starts the runs.
        before: the services of the earlier tier.
        progress: called with the name of the service that is killed next.

    Returns:
        Figures of the report: ``kills`` with one object per service, and the totals.
    """
    engine = probes.engine
    owned = kept(probes)
    began = time.time()
    found: list[dict[str, Any]] = []
    spans: list[tuple[float, float]] = []
    services = [status for status in engine.status() if status.pid and status.state in UP]
    services = [status for status in services if status.name not in before]
    if not services:
        return {"kills": [], "kills_healed": None, "kills_slowest_s": None, "kills_unanswered": None,
                "kills_unlogged": None, "kills_lost": []}  # fmt: skip
    with Stream(probes) as stream, Runs(commands) as runs:
        for service in services:
            progress(f"kill -9 {service.name}")
            begin = time.monotonic()
            found.append(kill(probes, service.name))
            spans.append((begin, time.monotonic()))
        progress("waiting for the run that was under way")
    for kill_, (begin, end) in zip(found, spans, strict=True):
        kill_["unanswered"], slowest = stream.between(begin, end)
        kill_["slowest_answer_s"] = round(slowest, 2)
        kill_["run"] = run_of(begin, end, [span[0] for span in spans], runs.every)
    healed = [each["healthy_s"] for each in found if each["healthy_s"] is not None]
    return {
        "kills": found,
        "kills_healed": len(healed),
        "kills_slowest_s": max(healed, default=None),
        "kills_unanswered": sum(not answered for _, _, answered in stream.asked),
        "kills_unlogged": unlogged(probes, stream.answered, began),
        "kills_lost": lost(owned, kept(probes)),
    }


def kill(probes: Probes, name: str) -> dict[str, Any]:
    """Kill one service and wait until it is healthy again.

    Returns:
        ``service``; ``noticed_by``: who restarted it, or empty; ``healthy_s``: seconds until it was healthy again, None
        for never; ``broken``: what did not answer meanwhile, of ``ask``, ``status`` and the pages.
    """
    engine = probes.engine
    status = now(probes, name)
    if not status or not status.pid:
        return {"service": name, "noticed_by": "", "healthy_s": None, "broken": [], "why": "it did not run"}
    with ThreadPoolExecutor(3) as pool:
        try:
            os.kill(status.pid, signal.SIGKILL)
        except PermissionError:
            why = "its process belongs to another user, so it was not killed"
            return {"service": name, "noticed_by": "", "healthy_s": None, "broken": [], "why": why}
        begin = time.monotonic()
        asked, looked = pool.submit(works, probes.ask), pool.submit(works, probes.status)
        closed = pool.submit(probes.closed)
        healthy: float | None = None
        after = status
        while time.monotonic() - begin < HEAL_SECONDS:
            found = now(probes, name)
            if found and found.pid not in (0, status.pid):
                after = found
                if found.state in UP:
                    healthy = round(time.monotonic() - begin, 2)
                    break
            time.sleep(POLL)
        broken = [word for word, answer in (("ask", asked), ("status", looked)) if not answer.result()]
        broken += closed.result()
    noticed = engine.keeper if after.restarts > status.restarts else "" if after is status else "its parent process"
    return {"service": name, "noticed_by": noticed, "healthy_s": healthy, "broken": broken}


def now(probes: Probes, name: str) -> ServiceStatus | None:
    return next((each for each in probes.engine.status() if each.name == name), None)


def run_of(begin: float, end: float, kills: list[float], runs: list[Run]) -> str:
    """Return what became of the runs that were under way while a service was killed and healed.

    A run that failed counts for the last service that was killed before it failed.

    Args:
        begin, end: of that time.
        kills: when each service was killed.
    """
    under_way = [run for run in runs if run.began <= end and (not run.ended or run.ended >= begin)]
    for run in under_way:
        last = max((kill for kill in kills if kill <= run.ended), default=begin)
        if run.failure and last == begin:
            return f"failed: {run.failure}"
    if any(not run.failure for run in under_way):
        return "went on"
    return "failed after another kill" if under_way else "none was under way"


def kept(probes: Probes) -> dict[str, set[str]]:
    """Return what must not be lost: versions, finished runs, answered questions."""
    deployment, engine = probes.deployment, probes.engine
    versions = inside.models(deployment, engine, "list", deployment.settings.dataset)["versions"]
    return {
        "version": {str(each["version"]) for each in versions},
        "run": {run.id for run in inside.runs(deployment, engine) if run.state == "done"},
        "question": {each["question"] for each in probes.ask() if each["state"] == "answered"},
    }


def lost(before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    """Return what is no longer there, such as ``version 3``."""
    return [f"{what} {name}" for what, names in before.items() for name in sorted(names - after[what])]


def unlogged(probes: Probes, answered: int, since: float) -> int | None:
    """Return how many answers are missing from the log of predictions; None for a tier without one.

    Args:
        since: when the first of them was asked for, seconds since 1970.
    """
    if not probes.deployment.settings.route.answers:
        return None
    minutes = int((time.time() - since) // 60) + 1
    listed = inside.ask(
        probes.deployment, probes.engine, "predictions.list",
        model="", version="", key="", since=f"{minutes}m", until="", most=10_000,
    )["rows"]  # fmt: skip
    logged = sum(1 for row in listed if row["status"] < 400 and _seconds(row["at"]) >= since)
    return max(answered - logged, 0)


def _seconds(iso: str) -> float:
    found = datetime.fromisoformat(iso)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
