"""Bring everybody's deployment up, set one back, and remove all."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from pantheon import files, state
from pantheon.deployment.calling import Commands
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.exercises import record
from pantheon.processes import Process, find, send
from pantheon.tiers import find as find_tier
from pantheon.workshop import snapshot
from pantheon.workshop.caps import Caps
from pantheon.workshop.place import Person, Place, Workshop

ENGINE = "local"
Note = Callable[[str], None]


class Capped(Commands):
    """Commands whose processes, and all that they start, are in the person's group.

    Args:
        caps: of the workshop.
    """

    def __init__(self, place: Place, person: Person, caps: Caps) -> None:
        super().__init__(place.people, person.name, place.log(person))
        self.caps = caps

    def start(self, *arguments: str) -> Any:
        process = super().start(*arguments)
        self.caps.take(self.name, process.pid)  # long before Python has started anything
        if begun := find(process.pid):
            _running.append(begun)
        return process

    def __call__(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> tuple[float, Any]:
        if stopping.is_set():
            raise PantheonError("interrupted.", "", 130)
        return super().__call__(*arguments, accept=accept)


_running: list[Process] = []  # commands, also those that have ended
stopping = threading.Event()  # commands are being ended, and no more begin


def engine_of(place: Place, person: Person) -> Engine | None:
    """Return the engine of a person's deployment; None if it was never started."""
    folder = place.people / person.name
    settings = state.read_settings(folder) if state.exists(folder) else None
    if not settings or not settings.tier:
        return None
    return Deployment(person.name, folder).engine(find_tier(settings.tier), ENGINE)


def bring_up(place: Place, workshop: Workshop, person: Person, caps: Caps, note: Note) -> None:
    """Make a person's deployment with its first model and its snapshot, and start it; continues what was interrupted.

    Raises:
        PantheonError: a command failed; the person's log has its output.
    """
    commands, folder = Capped(place, person, caps), place.people / person.name
    kept = place.snapshots / person.name
    if kept.is_dir() and not state.exists(folder):
        note("restoring")
        snapshot.remove(folder)
        snapshot.copy(kept, folder)
    if not kept.is_dir():
        note("starting, and training a first model")
        where = ["--engine", ENGINE, "--port-offset", str(person.offset)]
        commands("up", workshop.tier, *where, *workshop.options, accept=(0, 1))  # 1: the gate refused the model
        note("stopping for a snapshot")
        commands("down")
        snapshot.copy(folder, kept)
    note("starting")
    commands("up", "--no-run")


def reset(place: Place, person: Person, caps: Caps, note: Note) -> None:
    """Set a person's deployment back to what it was after the workshop's ``up``. Passed exercises stay passed.

    Raises:
        PantheonError: there is no snapshot, or a command failed.
    """
    kept, folder = place.snapshots / person.name, place.people / person.name
    if not kept.is_dir():
        raise PantheonError(f"{person.name} has no snapshot yet.", "Finish what was interrupted: `make workshop`", 1)
    note("stopping")
    kill(place, person)
    old = place.trash / f"{person.name}.{os.urandom(4).hex()}"
    place.trash.mkdir(exist_ok=True)
    if folder.is_dir():
        folder.rename(old)
    note("restoring")
    snapshot.copy(kept, folder)
    with suppress(OSError):
        files.write_bytes(folder / record.FILE, (old / record.FILE).read_bytes(), mode=0o600)
    note("starting")
    Capped(place, person, caps)("up", "--no-run")
    shutil.rmtree(place.trash)


def kill(place: Place, person: Person) -> None:
    """End all processes of a person's deployment at once: what they would still write is thrown away."""
    engine = engine_of(place, person)
    if not engine:
        return
    while left := [process for pid in engine.processes() if (process := find(pid)) and pid != os.getpid()]:
        for process in left:
            send(process, signal.SIGKILL)
        time.sleep(0.02)
    engine.down()


def remove(place: Place, person: Person, note: Note) -> None:
    """Delete a person's deployment and its snapshot."""
    note("stopping")
    kill(place, person)
    note("deleting")
    for folder in (place.people / person.name, place.snapshots / person.name):
        snapshot.remove(folder)


def at_once() -> int:
    """Return how many deployments start at the same time: one per processor."""
    return max(1, len(os.sched_getaffinity(0)))


def all_of_them(people: list[Person], work: Callable[[Person], None]) -> dict[str, PantheonError]:
    """Do ``work`` for everybody, as many at once as there are processors; a failure does not stop the others.

    Returns:
        The errors by name.

    Raises:
        KeyboardInterrupt: after the commands that ran have ended.
    """
    stopping.clear()
    with _terminated(), ThreadPoolExecutor(at_once()) as pool:
        doing = {person.name: pool.submit(work, person) for person in people}
        try:
            wait(doing.values())
        except KeyboardInterrupt:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_running):
                send(process, signal.SIGTERM)
            raise
    return {name: error for name, done in doing.items() if (error := _error(done))}


def _error(done: "Future[None]") -> PantheonError | None:
    error = done.exception()
    if error is None or isinstance(error, PantheonError):
        return error
    if isinstance(error, OSError):
        return PantheonError(f"{error}", "", 1)
    raise error


@contextmanager
def _terminated() -> Iterator[None]:
    """End as at Ctrl-C when the command is told to end."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
