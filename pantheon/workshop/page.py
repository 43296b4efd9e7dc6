"""Start and stop the instructor's page, a process of its own: ``serving.instructor``."""

import os
import secrets
import signal
import subprocess
import time

import msgspec

from pantheon import files, typed
from pantheon.deployment import logins
from pantheon.engines import ports
from pantheon.engines.local import environments
from pantheon.errors import PantheonError
from pantheon.processes import Process, find, send
from pantheon.tiers import ROOT
from pantheon.web.client import Client, NoAnswer
from pantheon.workshop.place import CURE, Place, Workshop

PORT = 8060  # and the offset of the first person; no service has a port that ends with these two digits
START_SECONDS, STOP_SECONDS = 20.0, 10.0


class Started(msgspec.Struct, frozen=True):
    """``page/process.json``."""

    pid: int
    start: int
    version: int = typed.VERSION


def port(offset: int) -> int:
    """Return a free port for the page, from ``PORT + offset`` on, that no deployment needs, whatever its offset."""
    return next(number for number in range(PORT + offset, ports.HIGHEST, ports.STEP) if ports.is_free(number))


def address(workshop: Workshop) -> str:
    return f"http://127.0.0.1:{workshop.page}"


def link(place: Place, workshop: Workshop) -> str:
    """Return an address that logs in once, within 15 minutes."""
    return logins.link(address(workshop), "/login?token=", place.password)


def running(place: Place) -> Process | None:
    """Return the page's process; None if it does not run."""
    noted = typed.read(place.folder / "page" / "process.json", Started, CURE)
    process = find(noted.pid) if noted else None
    return process if noted and process and process.start == noted.start else None


def start(place: Place, workshop: Workshop) -> None:
    """Start the page, if it does not run, and wait until it answers.

    Raises:
        PantheonError: it ended, or does not answer.
    """
    if running(place):
        return
    if not place.password.exists():
        files.write_text(place.password, secrets.token_urlsafe(12) + "\n", mode=0o600)
    environments.make(["serving"])
    log = place.logs / "page.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [environments.folder_of("serving") / "bin" / "python", "-P", "-m", "serving.instructor"],
            cwd=ROOT,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "STATE_DIR": str(place.folder), "INSTRUCTOR_PORT": str(workshop.page)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    begun = find(process.pid)
    if begun:
        files.write_json(place.folder / "page" / "process.json", msgspec.to_builtins(Started(begun.pid, begun.start)))
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            if Client(address(workshop), "the page", timeout=1.0).send("GET", "/healthz").ok:
                return
        except (NoAnswer, PantheonError):
            time.sleep(0.1)
    raise PantheonError("the instructor's page did not start.", f"Its log: {log}", 1)


def stop(place: Place) -> None:
    """Stop the page, if it runs."""
    process = running(place)
    if not process:
        return
    end = time.monotonic() + STOP_SECONDS
    send(process, signal.SIGTERM)
    while (now := find(process.pid)) and now.start == process.start:
        if time.monotonic() > end:
            send(process, signal.SIGKILL)
        time.sleep(0.05)
