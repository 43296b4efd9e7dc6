"""Manage the supervisor process: set the desired services, start it, stop it, and clean up after it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pantheon import files
from pantheon.engines import logs, record
from pantheon.engines.local.paths import Home
from pantheon.engines.local.service import Service
from pantheon.engines.progress import MAX_LOG_LINES, last_lines
from pantheon.errors import PantheonError, describe
from pantheon.processes import SYSTEM_PATH, TAG, boot, ended, find, send, sweep

POLL_SECONDS = 0.02
SLACK_SECONDS = 15.0  # in addition to all grace periods, before a supervisor counts as hung
STALE_SECONDS = 15.0  # age of the heartbeat, which is renewed every 5 s, from which on the supervisor is asked
SPACE_BYTES = 32768  # more than services.json has
REWRITE_SECONDS = 2.0  # for the supervisor to write services.json again
ANSWER_SECONDS = 3.0  # for the supervisor to answer
STARTED: dict[str, subprocess.Popen[bytes]] = {}  # guards that this process started, by deployment


def desired(home: Home) -> dict[str, Any] | None:
    """Return the desired state: generation, base, services; None if it is missing or damaged."""
    found = record.read_derived(home.desired, {"generation": 0, "base": {}, "services": []})
    if found:
        try:
            services = [Service.read(raw) for raw in found["services"]]
        except (TypeError, KeyError, ValueError):
            return None
        texts = [*found["base"].values(), *(word for service in services for word in service.command)]
        if all(isinstance(text, str) for text in texts):
            return found
    return None


def want(home: Home, base: Mapping[str, str], services: Sequence[Service]) -> int:
    """Have the supervisor run exactly ``services``; start it if it does not run.

    Args:
        base: the environment variables of every process.

    Returns:
        The generation of this desired state. services.json contains it as soon as the supervisor has applied it.
    """
    new = max(generation(home), record.read(home.services)["generation"], 0) + 1
    content = {"generation": new, "base": dict(base), "services": [service.raw() for service in services]}
    alive = home.supervisor()
    files.write_json(home.desired, content, fsync=True)
    if not alive:
        start(home, base)
    elif supervisor := find(alive):  # otherwise it was just killed, which the waiting command detects
        send(supervisor, signal.SIGHUP)
    return new


def services(home: Home) -> list[record.Record]:
    """Return the recorded services; have the supervisor write services.json again if it is missing or damaged."""
    found = record.read(home.services)
    supervisor = find(home.supervisor()) if found["generation"] < 0 else None
    if supervisor:
        send(supervisor, signal.SIGCHLD)
        end = time.monotonic() + REWRITE_SECONDS
        while (found := record.read(home.services))["generation"] < 0 and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
    return found["services"]


def generation(home: Home) -> int:
    """Return the generation of the last desired state."""
    return int((desired(home) or {"generation": 0})["generation"])


def start(home: Home, base: Mapping[str, str]) -> None:
    """Start the supervisor and its guard as detached processes and wait until the supervisor handles signals."""
    with logs.open_log(home.log("supervisor")) as log:
        begin = log.seek(0, 2)
        process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "pantheon.engines.local.guard", str(home.state)],
            env={**base, "PATH": SYSTEM_PATH, TAG: f"{home.id}/supervisor"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    STARTED[home.id] = process
    while not home.supervisor():
        if process.poll() is not None:
            log_lines = last_lines("supervisor", logs.last_lines(home.log("supervisor"), MAX_LOG_LINES, begin))
            raise PantheonError(f"The supervisor {ended(process.returncode)}.{log_lines}", "Report this bug.", 1)
        time.sleep(POLL_SECONDS / 4)


def trouble(home: Home) -> str:
    """Return why a supervisor that exists does not act, such as ``is stopped``; empty if it acts, or if none exists.

    Takes up to ``ANSWER_SECONDS`` if it does not answer.
    """
    supervisor = find(home.supervisor())
    if not supervisor:
        return ""
    if supervisor.state in "Tt":
        return "is stopped by a signal such as SIGSTOP"
    beat = _beat(home)
    if not beat or time.time() - beat < STALE_SECONDS:  # no heartbeat: a supervisor of an older Pantheon
        return ""
    send(supervisor, signal.SIGCHLD)  # wakes it; its clock may have been changed, or the machine was suspended
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        if _beat(home) != beat or not find(supervisor.pid):
            return ""
        time.sleep(POLL_SECONDS)
    return "does not answer"


def _beat(home: Home) -> float:
    """Return the time of the supervisor's last sign of life, in seconds since 1970; 0 if there is none."""
    try:
        return home.heartbeat.stat().st_mtime
    except OSError:
        return 0.0


def revive(home: Home) -> str:
    """Continue a stopped supervisor, whose services run on; kill one that hangs, so that a new one can be started.

    Returns:
        What was wrong and done; empty if nothing was wrong.
    """
    why = trouble(home)
    supervisor = find(home.supervisor())
    if not why or not supervisor:
        return ""
    send(supervisor, signal.SIGCONT)
    if _acts(home):
        return f"{why}: continued; the services kept running"
    kill(home)
    return f"{why}: replaced, with its services"


def replace_other_format(home: Home, report: Callable[[], None]) -> str:
    """Stop a supervisor that reads another format of ``desired.json``, as after an update, and its services.

    Args:
        report: called repeatedly while waiting.

    Returns:
        What was wrong and done; empty if there is no such supervisor.
    """
    current = record.read_derived(home.services, {"supervisor": 0, "format": 0})  # its services may have other keys
    supervisor = home.supervisor()
    if not supervisor or not current or current["format"] == record.FORMAT:
        return ""
    if current["supervisor"] not in (0, supervisor):  # one that has just been started has not written the file yet
        return ""
    end(home, report)
    clean(home, tasks=False)
    return "is of another release of Pantheon: replaced; all services are restarted"


def _acts(home: Home) -> bool:
    """Wait until the supervisor acts again. Return whether it does."""
    end = time.monotonic() + ANSWER_SECONDS
    before = _beat(home)
    while time.monotonic() < end:
        if not trouble(home) and (not before or _beat(home) != before):
            return True
        time.sleep(POLL_SECONDS)
    return False


def unable(home: Home) -> str:
    """Return why the supervisor does not apply a desired state, while a command waits for that; empty if it may."""
    if why := trouble(home):
        return f"The supervisor {why}."
    try:
        files.write_bytes(home.local / "space", b"x" * SPACE_BYTES)
        (home.local / "space").unlink()
    except OSError as error:  # the supervisor cannot write services.json either
        return describe(error, home.state).cause
    return ""


def kill(home: Home) -> None:
    """Kill the supervisor; ``clean`` ends what it leaves behind."""
    if supervisor := find(home.supervisor()):
        send(supervisor, signal.SIGKILL)
        while (now := find(supervisor.pid)) and now.key == supervisor.key:
            time.sleep(POLL_SECONDS)


def end(home: Home, report: Callable[[], None]) -> None:
    """Have the supervisor stop all services and exit; kill it if it hangs.

    Args:
        report: called repeatedly while waiting.
    """
    revive(home)
    supervisor = find(home.supervisor())
    if not supervisor:
        return
    grace = sum(service["stop_grace_period"] for service in (desired(home) or {"services": []})["services"])
    limit = time.monotonic() + grace + SLACK_SECONDS
    send(supervisor, signal.SIGTERM)
    while (now := find(supervisor.pid)) and now.key == supervisor.key:
        report()
        if time.monotonic() > limit or trouble(home):
            send(supervisor, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def clean(home: Home, tasks: bool = True) -> None:
    """End the processes that a killed supervisor left behind and its guard; record every service as stopped.

    Args:
        tasks: also end tasks.
    """
    if guard := STARTED.pop(home.id, None):
        guard.kill()
        guard.wait()
    recorded = record.read_derived(home.processes, {"boot": "", "processes": []}) or {"boot": "", "processes": []}
    current = record.read(home.services)
    noted = recorded["processes"] if recorded["boot"] == boot() else []
    seen = [(each[0], each[1]) for each in noted if isinstance(each, list) and len(each) == 2]
    if current["boot"] == boot():
        seen += [(service["pid"], service["start"]) for service in current["services"] if service["pid"]]
    left = sweep(home.id, seen, tasks=tasks)
    if left:
        raise PantheonError(
            f"Process {left[0].pid} cannot be killed.", "It hangs in the kernel. Check it with `ps`, then try again.", 1
        )
    for file in (home.processes, home.heartbeat):
        with suppress(OSError):
            files.remove(file)
    if current["services"]:
        for service in current["services"]:
            if service["pid"] or service["state"] not in ("completed", "failed"):
                service["state"], service["why"], service["pid"], service["memory"] = "stopped", "", 0, 0
        with suppress(OSError):  # a full disk must not stop `down`; `status` also checks whether the supervisor runs
            record.write(
                home.services, current["services"], current["generation"], current["boot"], current["supervisor"]
            )
