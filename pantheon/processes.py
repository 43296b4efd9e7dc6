"""Start, find and end processes with /proc and prctl, so that no process is left behind.

Standard library only, without psutil, so that the supervisor and the launcher of tasks stay small and start fast.
"""

import ctypes
import getpass
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TAG = "PANTHEON_PROCESS"  # DEPLOYMENT/SERVICE, in the environment of every started process
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REAP_SECONDS = 5.0  # how long to wait until init has reaped processes
UNPRIVILEGED = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
prctl = ctypes.CDLL(None, use_errno=True).prctl


@dataclass(frozen=True, slots=True)
class Process:
    """A process in /proc. ``pid`` with ``start`` (clock ticks since boot) is never reused.

    Attributes:
        state: one letter; ``Z`` is a zombie.
    """

    pid: int
    parent: int
    start: int
    state: str

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start


def read(pid: int) -> Process | None:
    """Return the process ``pid``, even if it is a zombie; None if it does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(b")")[2].split()  # the name before it may contain blanks and brackets
    return Process(pid, int(fields[1]), int(fields[19]), fields[0].decode())


def find(pid: int) -> Process | None:
    """Return the running process ``pid``; None if it does not exist or is a zombie."""
    process = read(pid)
    return process if process and process.state not in "ZX" else None


def remains(pid: int, start: int) -> bool:
    """Whether this process is still in the process table, running or as a zombie."""
    process = read(pid)
    return process is not None and process.start == start


def table() -> dict[int, Process]:
    """Return all running processes by pid."""
    processes = (find(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return {process.pid: process for process in processes if process}


def tag(pid: int) -> str:
    """Return the tag in the initial environment of ``pid``; empty for none, or for another user's process."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (OSError, ProcessLookupError):
        return ""
    for entry in environment.split(b"\0"):
        if entry.startswith(b"PANTHEON_PROCESS="):
            return entry[17:].decode(errors="replace")
    return ""


def memory(pids: Iterable[int]) -> int:
    """Return the total proportional set size of ``pids`` in bytes; ended processes count as 0."""
    total = 0
    for pid in pids:
        try:
            with Path(f"/proc/{pid}/smaps_rollup").open("rb") as file:
                total += next((int(line.split()[1]) for line in file if line.startswith(b"Pss:")), 0)
        except (OSError, ProcessLookupError):
            continue
    return total * 1024


def descendants(roots: Iterable[int]) -> list[int]:
    """Return the pids of ``roots`` that run, and of all their descendants."""
    processes = table()
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    ahead = [pid for pid in roots if pid in processes]
    while ahead:
        pid = ahead.pop()
        if pid not in found:
            found.add(pid)
            ahead += children.get(pid, [])
    return sorted(found)


def uptime(process: Process) -> float:
    """Return the seconds since ``process`` started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.start / os.sysconf("SC_CLK_TCK")


def send(process: Process, number: int) -> None:
    """Send a signal to exactly this process, never to another one that reuses its pid."""
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
    """Make orphaned descendants children of this process instead of init."""
    if prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def bind_to_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send ``number`` to this process when ``parent`` ends for any reason.

    If it has ended already, this process exits now. Children that are started later do not inherit this.

    Args:
        parent: the pid of the process that started this one. The signal is sent when the *thread* that started it ends.
    """
    prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call of prctl
        os._exit(127)


def bound_to_me(number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return ``bind_to_parent`` for a child, as its ``preexec_fn``."""
    parent = os.getpid()
    return lambda: bind_to_parent(parent, number)


def ended(code: int) -> str:
    """Describe how a process ended, such as ``exited with 1`` or ``was killed by SIGKILL``.

    Args:
        code: its exit status, or minus the signal that killed it.
    """
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def whoami() -> str:
    """Return the user's name; of a user that has none, the number."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def boot() -> str:
    """Return the id of the current boot, during which a pid with its start time is never reused."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def service_environment(base: Mapping[str, str], own: Mapping[str, str], bin: str, mark: str) -> dict[str, str]:
    """Return the environment of a service: ``base``, its virtual environment, its ``own`` variables, the tag."""
    ours = {"PATH": f"{bin}:{SYSTEM_PATH}", "VIRTUAL_ENV": str(Path(bin).parent), "PYTHONUNBUFFERED": "1"}
    return {**base, **ours, **own, TAG: mark}


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    output: int,
    errors: int,
    unprivileged: bool = False,
    input: int = subprocess.DEVNULL,
    passed: Sequence[int] = (),
) -> Process:
    """Start ``command`` in a new session; the kernel kills it when this process dies for any reason.

    Call it from the main thread: the parent-death signal is sent when the thread that started the process ends.

    Args:
        output: the descriptor of its standard output.
        errors: the descriptor of its standard error.
        unprivileged: run in a user namespace as uid 1000, if this process runs as root.
        input: the descriptor of its standard input; default: empty.
        passed: more descriptors that it inherits, with the same numbers.

    Raises:
        OSError: the program or folder does not exist.
    """
    parent = os.getpid()

    def prepare() -> None:
        for number in RESET:  # a shell's `&` and nohup make processes ignore some
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        bind_to_parent(parent)

    line = [*UNPRIVILEGED, *command] if unprivileged and os.geteuid() == 0 else list(command)
    child = subprocess.Popen(
        line,
        env=dict(environment),
        cwd=folder,
        stdin=input,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        pass_fds=passed,
        preexec_fn=prepare,
    )
    child.returncode = 0  # reaped by the caller's waitpid(-1), not by this object
    process = read(child.pid)
    assert process, "nobody else reaps it"
    return process


class Family:
    """Assigns the descendants of ``root`` to services.

    A process's tag decides; without one (PostgreSQL overwrites its environment), it belongs to its parent's service.
    The result is remembered, since the parent may end. Processes with another deployment's tag are ignored.
    """

    FOREIGN = "/"

    def __init__(self, identity: str, root: int) -> None:
        self.identity, self.root = identity, root
        self.owners: dict[tuple[int, int], str] = {}

    def scan(self, mains: Mapping[int, str], orphans: str = "") -> dict[str, list[Process]]:
        """Return all running descendants by service.

        Args:
            mains: pid of a directly started process → its service.
            orphans: the service of new untagged orphans: the service that has just ended.
        """
        processes = table()
        children: dict[int, list[Process]] = {}
        for process in processes.values():
            children.setdefault(process.parent, []).append(process)
        services: dict[str, list[Process]] = {}
        owners: dict[tuple[int, int], str] = {}
        ahead = [(process, "") for process in children.get(self.root, [])]
        while ahead:
            process, inherited = ahead.pop()
            tagged = self.of_tag(process.pid)  # read every time: between fork and exec it is that of the parent
            service = tagged or self.owners.get(process.key) or mains.get(process.pid) or inherited or orphans
            owners[process.key] = service
            services.setdefault(service, []).append(process)
            ahead += [(child, service) for child in children.get(process.pid, [])]
        self.owners = owners
        services.pop(self.FOREIGN, None)
        return services

    def of_tag(self, pid: int) -> str:
        identity, slash, service = tag(pid).partition("/")
        if not slash:
            return ""
        return service if identity == self.identity else self.FOREIGN


def tagged(identity: str, seen: Iterable[tuple[int, int]] = (), tasks: bool = True) -> list[Process]:
    """Return all running processes with the deployment's tag or in ``seen`` (pid, start), except this one.

    Args:
        tasks: also those of tasks, whose tag has further parts after the service.
    """
    before = set(seen)

    def belongs(process: Process) -> bool:
        owner = tag(process.pid)
        return owner.startswith(f"{identity}/") and (tasks or owner.count("/") == 1)

    others = (process for process in table().values() if process.pid != os.getpid())
    return [process for process in others if process.key in before or belongs(process)]


def sweep(
    identity: str,
    seen: Iterable[tuple[int, int]] = (),
    gentle: float = 0.5,
    limit: float = 10.0,
    tasks: bool = True,
) -> list[Process]:
    """End all processes of the deployment: SIGTERM, after ``gentle`` seconds SIGKILL; wait until init has reaped them.

    A server such as PostgreSQL mistakes a zombie of its predecessor for a running server, so zombies are waited for
    too, with a limit: in some containers, init does not reap them.

    Args:
        seen: further processes of the deployment, running or not, whatever their tag.
        tasks: also end tasks, which do not depend on the supervisor.

    Returns:
        Processes that still run after ``limit`` seconds; they hang in the kernel.
    """
    victims = set(seen)
    signalled: set[tuple[int, int]] = set()
    begin = time.monotonic()
    while (left := tagged(identity, victims, tasks)) and (waited := time.monotonic() - begin) < limit:
        victims |= {process.key for process in left}
        for process in left:
            if waited >= gentle:
                send(process, signal.SIGKILL)
            elif process.key not in signalled:
                signalled.add(process.key)
                send(process, signal.SIGTERM)
        time.sleep(0.02)
    end = time.monotonic() + REAP_SECONDS
    while any(remains(*victim) for victim in victims) and time.monotonic() < end:
        time.sleep(0.02)
    return left
