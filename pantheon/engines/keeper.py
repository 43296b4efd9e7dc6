"""The supervisor's life as seen from outside: starting it, ending it, and cleaning up when it was killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping

from pantheon.engines import logs
from pantheon.engines.files import Home, boot, read_json, write_json
from pantheon.engines.probes import ended
from pantheon.engines.processes import SYSTEM_PATH, TAG, find, send, sweep
from pantheon.engines.waiting import LOOK, Waiting, last_lines
from pantheon.errors import PantheonError

SLACK = 15.0  # seconds that a supervisor may take beyond all grace periods before it is taken for hung
STARTED: list[subprocess.Popen[bytes]] = []  # supervisors this process started: polled, so that none stays a zombie


def start(home: Home, base: Mapping[str, str]) -> None:
    """Start the supervisor, detached, and wait until it listens to signals."""
    with logs.open_log(home.log("supervisor")) as log:
        begin = log.seek(0, 2)
        process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "pantheon.engines.supervisor", str(home.state)],
            env={**base, "PATH": SYSTEM_PATH, TAG: f"{home.id}/supervisor"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    STARTED.append(process)
    while not home.supervisor():
        if process.poll() is not None:
            said = last_lines(home, "supervisor", begin)
            raise PantheonError(f"The supervisor {ended(process.returncode)}.{said}", "This is a fault of ours.", 1)
        time.sleep(LOOK / 4)


def wake(pid: int) -> None:
    """Tell the supervisor that what is wanted has changed."""
    supervisor = find(pid)
    if supervisor:  # else it was killed just now, which whoever waits notices
        send(supervisor, signal.SIGHUP)


def end(home: Home, waiting: Waiting) -> None:
    """Have the supervisor stop everything and end; a hung one is killed."""
    pid = home.supervisor()
    supervisor = find(pid) if pid else None
    if not supervisor:
        return
    services = (read_json(home.desired) or {"services": []})["services"]
    limit = time.monotonic() + sum(service["stop_grace_period"] for service in services) + SLACK
    send(supervisor, signal.SIGTERM)
    while (now := find(pid)) and now.key == supervisor.key:
        waiting.tell((read_json(home.services) or {"services": []})["services"])
        if time.monotonic() > limit:
            send(supervisor, signal.SIGKILL)
        time.sleep(LOOK)


def clean(home: Home) -> None:
    """End what a killed supervisor left behind, and say of every service that it is stopped."""
    for process in STARTED:
        process.poll()
    noted = read_json(home.processes) or {"boot": "", "processes": []}
    current = read_json(home.services) or {"boot": "", "services": []}
    seen = [(pid, begun) for pid, begun in noted["processes"] if noted["boot"] == boot()]
    seen += [(each["pid"], each["start"]) for each in current["services"] if each["pid"] and current["boot"] == boot()]
    left = sweep(home.id, seen)
    if left:
        raise PantheonError(
            f"Process {left[0].pid} cannot be killed.", "It hangs in the kernel; see `ps`, then try again.", 1
        )
    home.processes.unlink(missing_ok=True)
    if current["services"]:
        for record in current["services"]:
            if record["pid"] or record["state"] not in ("completed", "failed"):
                record.update(state="stopped", why="", pid=0, memory=0)
        write_json(home.services, current)
