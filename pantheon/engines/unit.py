"""One service under supervision: what state it is in, and what comes next."""

import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.engines import logs
from pantheon.engines.durations import words
from pantheon.engines.files import Home
from pantheon.engines.model import Service
from pantheon.engines.probes import CommandProbe, HttpProbe, Probe, ended
from pantheon.engines.processes import Process, send, spawn, surroundings

FIRST_WAIT, LONGEST_WAIT = 0.2, 60.0  # seconds before a restart: doubled each time
STEADY = 10.0  # seconds of health after which an end is the first one again
TIMES = (
    "",
    "",
    "second time",
    "third time",
    "fourth time",
    "fifth time",
    "sixth time",
    "seventh time",
    "eighth time",
    "ninth time",
)
FAST_URL, FAST_COMMAND = 0.05, 0.1  # seconds between probes until the first success


class Unit:
    """A service's process over its restarts. All times are monotonic seconds; nothing here waits.

    Attributes:
        leaving: it is to be stopped and taken away.
        replaced: a new definition takes its place, so that for those who wait it is not healthy any more.
        stopping: the stop signal was sent.
        clearing: its main process has ended; what that left behind is being killed.
        gone: nothing of it is left, and nothing will be started.
    """

    def __init__(self, service: Service, home: Home, base: Mapping[str, str]) -> None:
        self.service, self.home, self.base = service, home, base
        self.state, self.why, self.since, self.changed = "waiting", "", "", True
        self.process: Process | None = None
        self.probe: Probe | None = None
        self.leaving = self.replaced = self.stopping = self.clearing = self.gone = False
        self.started = self.due = self.kill_at = self.probe_due = self.counted = self.healthy_since = 0.0
        self.restarts = self.ends = self.failures = self.log_begin = self.memory = 0
        self.next_try = 0.0  # wall clock, for status
        self.last_end = ""  # how it ended last, in words; empty before that
        self.become("waiting")

    def become(self, state: str, why: str = "") -> None:
        if state != self.state or not self.since:
            self.since = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.changed = self.changed or (state, why) != (self.state, self.why)
        self.state, self.why = state, why

    def record(self) -> dict[str, Any]:
        """Its entry in services.json."""
        return {
            "name": self.service.name,
            "state": "waiting" if self.replaced else self.state,
            "why": "its definition changed; is being replaced" if self.replaced else self.why,
            "address": self.service.address,
            "pid": self.process.pid if self.process else 0,
            "start": self.process.start if self.process else 0,
            "memory": self.memory if self.process else 0,
            "since": self.since,
            "restarts": self.restarts,
            "ends": self.ends,
            "next_try": self.next_try,
            "log_begin": self.log_begin,
            "ports": self.service.ports,
        }

    def next_due(self) -> float:
        """When ``advance`` has something to do although nothing happened."""
        if self.clearing:
            return 0.0
        if self.stopping:
            return self.kill_at
        if self.leaving:
            return float("inf")
        if self.state == "restarting":
            return self.due
        if self.process and self.service.health:
            return self.probe.begun + self.service.health.timeout if self.probe else self.probe_due
        return float("inf")

    def advance(self, now: float, blocked: str) -> None:
        """Do what is due.

        Args:
            blocked: what it still waits for before a first start, in words; empty for nothing.
        """
        if self.clearing or self.gone:
            return
        if self.stopping:
            if self.process and now >= self.kill_at:
                send(self.process, signal.SIGKILL)
                self.kill_at = now + 1.0
        elif self.leaving:
            return
        elif self.state == "waiting" and blocked:
            self.become("waiting", blocked)
        elif self.state == "waiting" or (self.state == "restarting" and now >= self.due):
            self.start(now)
        elif self.process:
            self.check(now)

    def launch(self, command: list[str], output: int) -> Process:
        service = self.service
        environment = surroundings(self.base, service.environment, service.bin, f"{self.home.id}/{service.name}")
        unprivileged = service.unprivileged and command is service.command
        return spawn(command, environment, service.working_dir or str(self.home.state), output, output, unprivileged)

    def start(self, now: float) -> None:
        self.restarts += self.started > 0
        self.started = self.probe_due = now
        self.failures, self.healthy_since, self.next_try = 0, 0.0, 0.0
        health = self.service.health
        if health:
            self.counted = now + (health.start_period - health.interval if health.start_period else 0.0)
        try:
            for folder in self.service.folders:
                Path(folder).mkdir(parents=True, exist_ok=True)
            with logs.open_log(self.home.log(self.service.name)) as log:
                self.log_begin = log.seek(0, 2)
                self.process = self.launch(self.service.command, log.fileno())
        except OSError as error:
            self.over(now, 127, f"could not be started: {error.strerror}: {error.filename}")
            return
        self.healthy_since = 0.0 if health else now
        self.become("starting" if health else "running", self.again())

    def exited(self, code: int, now: float) -> None:
        """Its main process has ended."""
        self.process = None
        self.drop_probe()
        self.clearing = True
        if not self.stopping:
            self.over(now, code, ended(code))

    def over(self, now: float, code: int, how: str) -> None:
        service, policy = self.service, self.service.restart
        self.last_end = how
        if self.healthy_since and now - self.healthy_since >= STEADY:
            self.ends = 0
        if code == 0 and policy in ("no", "on-failure"):
            self.become("completed")
            return
        self.ends += 1
        if policy == "no":
            self.become("failed", how)
        elif policy == "on-failure" and service.restart_limit and self.ends > service.restart_limit:
            self.become("failed", f"{how}; restarted {service.restart_limit} times as the restart policy allows")
        else:
            wait = min(FIRST_WAIT * 2.0 ** min(self.ends - 1, 20), LONGEST_WAIT)
            self.due, self.next_try = now + wait, time.time() + wait
            self.become("restarting", self.waiting_words(how, wait))

    def again(self, saw: str = "") -> str:
        """Why it was started again, if it was, and what its last probe saw."""
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        restarted = f"restarted {times}, the last time after it {self.last_end}" if self.restarts else ""
        return "; ".join(filter(None, (restarted, saw and f"health check says: {saw}")))

    def waiting_words(self, how: str, wait: float) -> str:
        times = TIMES[self.ends] if self.ends < len(TIMES) else f"{self.ends} times"
        return f"{how}{times and ', '}{times}; next try in {words(wait)}"

    def check(self, now: float) -> None:
        """Begin a probe that is due, or take the result of the one under way."""
        health = self.service.health
        if not health:
            return
        if not self.probe:
            if now >= self.probe_due:
                self.begin_probe(now)
            return
        found = self.probe.result()
        if not found and now - self.probe.begun >= health.timeout:
            found = False, f"no answer within {words(health.timeout)}"
        if not found:
            return
        took = now - self.probe.begun
        self.drop_probe()
        if found[0]:
            self.failures = 0
            self.healthy_since = self.healthy_since or now
            self.probe_due = now + health.interval
            self.become("healthy", self.again())
        else:
            self.unhealthy(now, took, found[1])

    def unhealthy(self, now: float, took: float, saw: str) -> None:
        health = self.service.health
        assert health
        if self.healthy_since or self.state == "failed":
            self.failures += 1
            self.probe_due = now + health.interval
        else:  # fast until the first success; a failure counts as often as Compose's slower probes would
            if now - self.counted >= health.interval:
                self.counted, self.failures = now, self.failures + 1
            fast, share = (FAST_URL, 2) if health.url else (FAST_COMMAND, 4)  # a command costs a process each time
            self.probe_due = now + min(max(fast, share * took), max(health.start_interval or health.interval, fast))
        if self.failures >= health.retries:
            self.become("failed", f"unhealthy, {self.failures} probes failed; the last one: {saw}")
        elif self.state == "starting":
            self.become("starting", self.again(saw))

    def begin_probe(self, now: float) -> None:
        health = self.service.health
        assert health
        try:
            if health.url:
                self.probe = HttpProbe(health.url, now)
            else:
                output = self.home.local / f"probe-{self.service.name}.out"
                self.probe = CommandProbe(lambda descriptor: self.launch(health.command, descriptor), output, now)
        except OSError as error:
            self.unhealthy(now, 0.0, f"the probe cannot be started: {error}")

    def drop_probe(self) -> None:
        if self.probe:
            self.probe.cancel()
            self.probe = None

    def retry(self, now: float) -> None:
        """A new `up`: what failed gets another chance at once."""
        if self.state == "failed" and self.process:
            self.failures, self.counted, self.probe_due, self.healthy_since = 0, now, now, 0.0
            self.become("starting", "unhealthy before")
        elif self.state in ("failed", "restarting"):
            self.ends, self.next_try = 0, 0.0
            self.become("waiting")

    def stop(self, now: float) -> None:
        """Ask the main process to end; SIGKILL follows after its grace period."""
        self.stopping = True
        self.drop_probe()
        self.kill_at = now + self.service.stop_grace_period
        self.become(self.state, "is being stopped" if self.process else self.why)
        if self.process:
            send(self.process, signal.Signals[self.service.stop_signal])
        else:
            self.clearing = True

    def cleared(self) -> None:
        """Nothing that its main process left behind is left."""
        self.clearing = False
        if self.stopping:
            self.gone = True
            self.become("stopped")
