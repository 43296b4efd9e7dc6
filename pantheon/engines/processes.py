"""Processes by /proc and prctl: starting them so that none can stay behind, finding them again, ending them.

Only the standard library and no psutil: the supervisor and the launcher of tasks stay small and start fast.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TAG = "PANTHEON_PROCESS"  # DEPLOYMENT/SERVICE, in the environment of everything that is started
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REAPING = 5.0  # seconds to wait for init
UNPRIVILEGED = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
prctl = ctypes.CDLL(None, use_errno=True).prctl


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc shows it. ``pid`` with ``start`` (clock ticks since boot) is never reused.

    Attributes:
        state: one letter; ``Z`` has ended and waits to be reaped.
    """

    pid: int
    parent: int
    start: int
    state: str

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start


def read(pid: int) -> Process | None:
    """The process ``pid`` as /proc has it, ended or not; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = stat.rpartition(b")")[2].split()  # the name before may hold blanks and brackets
    return Process(pid, int(words[1]), int(words[19]), words[0].decode())


def find(pid: int) -> Process | None:
    """The living process ``pid``; None where there is none, or only its remains."""
    process = read(pid)
    return process if process and process.state not in "ZX" else None


def remains(pid: int, start: int) -> bool:
    """Whether this process is still in the table of processes, even if it has ended and only waits to be reaped."""
    process = read(pid)
    return process is not None and process.start == start


def table() -> dict[int, Process]:
    """Every living process by its pid."""
    found = (find(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return {process.pid: process for process in found if process}


def tag(pid: int) -> str:
    """The tag in the environment ``pid`` was started with; empty for none, or for another user's process."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (OSError, ProcessLookupError):
        return ""
    for entry in environment.split(b"\0"):
        if entry.startswith(b"PANTHEON_PROCESS="):
            return entry[17:].decode(errors="replace")
    return ""


def memory(pids: Iterable[int]) -> int:
    """The proportional set size of ``pids`` together, bytes; a process that has ended counts nothing."""
    total = 0
    for pid in pids:
        try:
            with Path(f"/proc/{pid}/smaps_rollup").open("rb") as file:
                total += next((int(line.split()[1]) for line in file if line.startswith(b"Pss:")), 0)
        except (OSError, ProcessLookupError):
            continue
    return total * 1024


def uptime(process: Process) -> float:
    """Seconds since ``process`` started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.start / os.sysconf("SC_CLK_TCK")


def send(process: Process, number: int) -> None:
    """Signal exactly this process, never one that took its pid since."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return  # it has ended
    try:
        now = find(process.pid)
        if now and now.start == process.start:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def become_reaper() -> None:
    """Whatever this process's descendants leave behind becomes its child, not init's."""
    if prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def surroundings(base: Mapping[str, str], own: Mapping[str, str], bin: str, mark: str) -> dict[str, str]:
    """A process's whole environment: ``base``, its virtual environment, the service's ``own`` variables, the tag."""
    ours = {"PATH": f"{bin}:{SYSTEM_PATH}", "VIRTUAL_ENV": str(Path(bin).parent), "PYTHONUNBUFFERED": "1"}
    return {**base, **ours, **own, TAG: mark}


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    output: int,
    errors: int,
    unprivileged: bool = False,
) -> Process:
    """Start ``command`` in a session of its own; the kernel kills it when this process dies, however that happens.

    To be called from the main thread: the parent-death signal fires when the thread that spawned ends.

    Args:
        output: the descriptor of its standard output.
        errors: the descriptor of its standard error.
        unprivileged: in a user namespace as uid 1000 when root runs this.

    Raises:
        OSError: there is no such program or folder.
    """
    parent = os.getpid()

    def prepare() -> None:
        for number in RESET:  # a shell's `&` and nohup leave some ignored
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl could tell
            os._exit(127)

    words = [*UNPRIVILEGED, *command] if unprivileged and os.geteuid() == 0 else list(command)
    child = subprocess.Popen(
        words,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        preexec_fn=prepare,
    )
    child.returncode = 0  # reaped by the caller's waitpid(-1), not by this object
    process = read(child.pid)
    assert process, "nobody else reaps it"
    return process


class Family:
    """Which descendant of ``root`` belongs to which service.

    A process's own tag decides; without one (PostgreSQL writes over its environment) it belongs where its parent does.
    What was once found is kept, since a parent may end. Processes that carry another deployment's tag are not ours.
    """

    FOREIGN = "/"

    def __init__(self, identity: str, root: int) -> None:
        self.identity, self.root = identity, root
        self.known: dict[tuple[int, int], str] = {}

    def scan(self, mains: Mapping[int, str], orphans: str = "") -> dict[str, list[Process]]:
        """Every living descendant by its service.

        Args:
            mains: pid of a process that was started here → its service.
            orphans: the service that untagged orphans seen for the first time belong to: the one that just ended.
        """
        processes = table()
        children: dict[int, list[Process]] = {}
        for process in processes.values():
            children.setdefault(process.parent, []).append(process)
        found: dict[str, list[Process]] = {}
        known: dict[tuple[int, int], str] = {}
        ahead = [(process, "") for process in children.get(self.root, [])]
        while ahead:
            process, inherited = ahead.pop()
            told = self.of_tag(process.pid)  # asked each time: between fork and exec it was the parent's
            service = told or self.known.get(process.key) or mains.get(process.pid) or inherited or orphans
            known[process.key] = service
            found.setdefault(service, []).append(process)
            ahead += [(child, service) for child in children.get(process.pid, [])]
        self.known = known
        found.pop(self.FOREIGN, None)
        return found

    def of_tag(self, pid: int) -> str:
        identity, slash, service = tag(pid).partition("/")
        if not slash:
            return ""
        return service if identity == self.identity else self.FOREIGN


def tagged(identity: str, seen: Iterable[tuple[int, int]] = ()) -> list[Process]:
    """Every living process with the deployment's tag or among ``seen`` (pid, start), this one excepted."""
    before = set(seen)
    return [
        process
        for process in table().values()
        if process.pid != os.getpid() and (process.key in before or tag(process.pid).startswith(f"{identity}/"))
    ]


def sweep(
    identity: str, seen: Iterable[tuple[int, int]] = (), gentle: float = 0.5, limit: float = 10.0
) -> list[Process]:
    """End every process of the deployment: SIGTERM, after ``gentle`` seconds SIGKILL; wait until init has reaped them.

    A server such as PostgreSQL takes the remains of its predecessor for a rival, so they are waited for too, but not
    for ever: in some containers nobody reaps.

    Args:
        seen: processes known to belong to the deployment, dead or alive, whatever their environment says.

    Returns:
        what still lives after ``limit`` seconds; such a process hangs in the kernel.
    """
    victims = set(seen)
    asked: set[tuple[int, int]] = set()
    begin = time.monotonic()
    while (left := tagged(identity, victims)) and (waited := time.monotonic() - begin) < limit:
        victims |= {process.key for process in left}
        for process in left:
            if waited >= gentle:
                send(process, signal.SIGKILL)
            elif process.key not in asked:
                asked.add(process.key)
                send(process, signal.SIGTERM)
        time.sleep(0.02)
    end = time.monotonic() + REAPING
    while any(remains(*victim) for victim in victims) and time.monotonic() < end:
        time.sleep(0.02)
    return left
