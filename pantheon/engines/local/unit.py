"""One supervised service: its state, and its next action."""

import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pantheon import durations
from pantheon.engines import logs
from pantheon.engines.local.kept import Kept
from pantheon.engines.local.paths import Home
from pantheon.engines.local.probes import CommandProbe, HttpProbe, Probe
from pantheon.engines.local.service import Service
from pantheon.engines.record import Record
from pantheon.processes import Process, ended, find, send, service_environment, spawn

MIN_BACKOFF, MAX_BACKOFF = 0.2, 60.0  # seconds before a restart: doubled every time
STABLE_SECONDS = 10.0  # of health, after which the count of consecutive exits is reset
HUNG_FACTOR = 2  # a healthy service is restarted after this many times the failed probes that make it unhealthy
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
    """A service's process, across restarts. All times are monotonic seconds; no method blocks.

    Attributes:
        leaving: it will be stopped and removed.
        replaced: a new definition replaces it, so services that wait for it do not treat it as healthy.
        stopping: the stop signal was sent.
        hung: why it is being restarted because it hangs; empty if it does not hang.
        clearing: its main process has ended, and leftover processes are being killed.
        gone: all its processes have ended, and it will not be started again.
        private: it has not been healthy yet and starts beside its predecessor; it accepts no connections of clients.
        key: identifies its processes; the service's name, unless it started beside its predecessor.
    """

    def __init__(self, service: Service, home: Home, base: Mapping[str, str], kept: Kept, number: int = 0) -> None:
        self.service, self.home, self.base, self.kept = service, home, base, kept
        self.private, self.key = number > 0, f"{service.name}#{number}" if number else service.name
        self.private_port = 0
        self.state, self.why, self.since, self.changed = "waiting", "", "", True
        self.process: Process | None = None
        self.probe: Probe | None = None
        self.leaving = self.replaced = self.stopping = self.clearing = self.gone = False
        self.started = self.due = self.kill_at = self.probe_due = self.counted = self.healthy_since = 0.0
        self.restarts = self.ends = self.failures = self.log_begin = self.memory = 0
        self.next_try = 0.0  # wall clock, for status
        self.last_end = ""  # how it ended the last time, such as `exited with 1`; empty at first
        self.hung = ""
        self.become("waiting")

    def become(self, state: str, why: str = "") -> None:
        if state != self.state or not self.since:
            self.since = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.changed = self.changed or (state, why) != (self.state, self.why)
        self.state, self.why = state, why

    def record(self) -> Record:
        """Return its entry in services.json."""
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
        """Return the time of the next action of ``advance`` if no event occurs."""
        if self.clearing:
            return 0.0
        if self.stopping or self.hung:
            return self.kill_at
        if self.leaving:
            return float("inf")
        if self.state == "restarting":
            return self.due
        if self.process and self.service.health:
            return self.probe.begun + self.service.health.timeout if self.probe else self.probe_due
        return float("inf")

    def advance(self, now: float, blocked: str) -> None:
        """Perform the action that is due.

        Args:
            blocked: what it waits for before its first start; empty if it can start.
        """
        if self.clearing or self.gone:
            return
        if self.stopping or self.hung:
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

    @property
    def environment(self) -> dict[str, str]:
        own = self.service.environment
        return service_environment(self.base, own, self.service.bin, f"{self.home.id}/{self.key}")

    @property
    def folder(self) -> str:
        return self.service.working_dir or str(self.home.state)

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
                started = self.kept.start(self.service, self.environment, self.folder, log.fileno(), self.private)
                self.process, self.private_port = started
        except OSError as error:
            self.over(now, 127, f"could not be started: {error.strerror}: {error.filename}")
            return
        self.healthy_since = 0.0 if health else now
        self.become("starting" if health else "running", self.again())

    def exited(self, code: int, now: float) -> None:
        """Handle the exit of the main process."""
        self.process = None
        self.drop_probe()
        self.clearing = True
        hung, self.hung = self.hung, ""
        if self.stopping:
            return
        if hung:
            self.over(now, code or 1, hung)  # also with exit status 0: it did not complete
        else:
            self.over(now, code, ended(code))

    def over(self, now: float, code: int, how: str) -> None:
        service, policy = self.service, self.service.restart
        self.last_end = how
        if self.healthy_since and now - self.healthy_since >= STABLE_SECONDS:
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
            wait = min(MIN_BACKOFF * 2.0 ** min(self.ends - 1, 20), MAX_BACKOFF)
            self.due, self.next_try = now + wait, time.time() + wait
            self.become("restarting", self.describe_next_try(how, wait))

    def again(self, saw: str = "") -> str:
        """Describe the restarts, if any, and the result of the last probe."""
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        restarted = f"restarted {times}, the last time after it {self.last_end}" if self.restarts else ""
        return "; ".join(filter(None, (restarted, saw and f"health check says: {saw}")))

    def describe_next_try(self, how: str, wait: float) -> str:
        times = TIMES[self.ends] if self.ends < len(TIMES) else f"{self.ends} times"
        return f"{how}{times and ', '}{times}; next try in {durations.words(wait)}"

    def check(self, now: float) -> None:
        """Start a probe that is due, or process the result of the running one."""
        health = self.service.health
        if not health:
            return
        if not self.probe:
            if now >= self.probe_due:
                self.begin_probe(now)
            return
        result = self.probe.result()
        if not result and now - self.probe.begun >= health.timeout:
            result = False, f"no answer within {durations.words(health.timeout)}"
        if not result:
            return
        took = now - self.probe.begun
        self.drop_probe()
        if result[0]:
            self.failures = self.private_port = 0
            self.private = False
            self.healthy_since = self.healthy_since or now
            self.probe_due = now + health.interval
            self.become("healthy", self.again())
        else:
            self.unhealthy(now, took, result[1])

    def unhealthy(self, now: float, took: float, saw: str) -> None:
        health = self.service.health
        assert health
        if self.healthy_since or self.state == "failed":
            self.failures += 1
            self.probe_due = now + health.interval
        else:  # probe fast until the first success; count failures at the interval of Compose's probes
            if now - self.counted >= health.interval:
                self.counted, self.failures = now, self.failures + 1
            fast, share = (FAST_URL, 2) if health.url else (FAST_COMMAND, 4)  # a command starts a process every time
            self.probe_due = now + min(max(fast, share * took), max(health.start_interval or health.interval, fast))
        if self.healthy_since and self.failures >= HUNG_FACTOR * health.retries and self.service.restart != "no":
            self.hang(now, f"was unhealthy, {self.failures} probes failed; the last one: {saw}")
        elif self.failures >= health.retries:
            self.become("failed", f"unhealthy, {self.failures} probes failed; the last one: {saw}")
        elif self.state == "starting":
            self.become("starting", self.again(saw))

    def hang(self, now: float, why: str) -> None:
        """Stop a service that was healthy and no longer answers, so that it is restarted."""
        self.hung = why
        self.drop_probe()
        self.become("restarting", f"{why}; is being restarted")
        self.send_stop_signal(now)

    def send_stop_signal(self, now: float) -> None:
        """Send the stop signal to the main process; SIGKILL follows after the grace period."""
        self.kill_at = now + self.service.stop_grace_period
        if self.process:
            send(self.process, signal.Signals[self.service.stop_signal])
            send(self.process, signal.SIGCONT)  # a process that SIGSTOP stopped handles no other signal

    def begin_probe(self, now: float) -> None:
        health = self.service.health
        assert health
        try:
            if health.url:
                self.probe = HttpProbe(health.url, now, self.private_port)
            else:
                self.probe = CommandProbe(
                    lambda file: spawn(health.command, self.environment, self.folder, file, file), now
                )
        except OSError as error:
            self.unhealthy(now, 0.0, f"the probe cannot be started: {error}")

    def drop_probe(self) -> None:
        if self.probe:
            self.probe.cancel()
            self.probe = None

    def retry(self, now: float) -> None:
        """Restart a failed service immediately, at a new `up`."""
        process = find(self.process.pid) if self.process else None
        if self.hung:
            self.ends = 0
        elif process and process.state == "T" and self.service.restart != "no":
            self.hang(now, "was stopped by a signal such as SIGSTOP")
        elif self.state == "failed" and self.process and self.healthy_since and self.service.restart != "no":
            self.ends = 0
            self.hang(now, f"was {self.why}")
        elif self.state == "failed" and self.process:
            self.failures, self.counted, self.probe_due, self.healthy_since = 0, now, now, 0.0
            self.become("starting", "unhealthy before")
        elif self.state in ("failed", "restarting"):
            self.ends, self.next_try = 0, 0.0
            self.become("waiting")

    def stop(self, now: float) -> None:
        """Stop it permanently."""
        self.stopping = True
        self.drop_probe()
        self.become(self.state, "is being stopped" if self.process else self.why)
        self.send_stop_signal(now)
        if not self.process:
            self.clearing = True

    def cleared(self) -> None:
        """Handle that no leftover process remains."""
        self.clearing = False
        if self.stopping:
            self.gone = True
            self.become("stopped")
