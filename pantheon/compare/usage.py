"""What a deployment's processes use: memory, processor time and ports, from /proc."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pantheon.engines import Engine
from pantheon.processes import memory

LISTENING = "0A"
SAMPLE_SECONDS = 1.0
SETTLED_MB, SETTLE_SECONDS, SETTLE_STEP = 4.0, 12.0, 1.5
LOOPBACK_4, LOOPBACK_6 = "7F", "0" * 24 + "01000000"  # the kernel writes 127.0.0.1 as 0100007F


class Peak:
    """The highest memory seen, in MB."""

    def __init__(self) -> None:
        self.mb = 0.0


def memory_mb(engine: Engine) -> float:
    """Return the proportional set size of all processes of a deployment; else what the engine says its services use."""
    found = memory(engine.processes()) or sum(status.memory for status in engine.status())
    return found / 1e6


@contextmanager
def peak(engine: Engine) -> Iterator[Peak]:
    """Watch a deployment's memory during the block."""
    seen, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            seen.mb = max(seen.mb, memory_mb(engine))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def settled(engine: Engine) -> float:
    """Return the memory in MB once it no longer falls, or after ``SETTLE_SECONDS``."""
    last, end = memory_mb(engine), time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        time.sleep(SETTLE_STEP)
        now = memory_mb(engine)
        if abs(now - last) < SETTLED_MB:
            return now
        last = now
    return last


def processor(engine: Engine, seconds: float) -> float | None:
    """Return how much of one core a deployment uses over ``seconds``, in percent; None if its processes are unknown.

    Short-lived processes, such as those of health checks, count through the parents that waited for them.
    """
    before = _ticks(engine.processes())
    if not before:
        return None
    begin = time.monotonic()
    time.sleep(seconds)
    after = _ticks(engine.processes())
    used = sum(ticks - before[pid] for pid, ticks in after.items() if pid in before)
    used += sum(own for pid, own in after.items() if pid not in before)
    return max(used, 0) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin) * 100


def _ticks(pids: Iterable[int]) -> dict[int, int]:
    """Return the processor time of processes and of their children that ended, in clock ticks."""
    found = {}
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        found[pid] = sum(map(int, stat.rpartition(b")")[2].split()[11:15]))
    return found


def ports(engine: Engine) -> dict[int, bool]:
    """Return the TCP ports of this machine on which a deployment accepts connections, and whether other machines can
    connect, by number.

    Of containers, these are the published ports; see ``ports_inside`` for the others.
    """
    here = _space("self")
    inodes = _sockets(engine.processes()).get(here, set())
    published = {port for plan in engine.planned() if not plan.task for port in plan.ports}
    found: dict[int, bool] = {}
    for port, inode, outside in _listening("self"):
        if inode in inodes or port in published:
            found[port] = found.get(port, False) or outside
    return dict(sorted(found.items()))


def ports_inside(engine: Engine) -> int:
    """Return on how many ports processes accept connections in network namespaces of their own: those of containers."""
    pids = engine.processes()
    spaces = _sockets(pids)
    of_space = {_space(str(pid)): pid for pid in pids}
    count = 0
    for space, inodes in spaces.items():
        if space != _space("self"):
            count += len({port for port, inode, _ in _listening(str(of_space[space])) if inode in inodes})
    return count


def _space(process: str) -> str:
    try:
        return str(Path(f"/proc/{process}/ns/net").readlink())
    except OSError:  # it has ended, or is another user's
        return ""


def _sockets(pids: Sequence[int]) -> dict[str, set[str]]:
    """Return the inodes of the sockets of processes, by their network namespace."""
    inodes: dict[str, set[str]] = {}
    for pid in pids:
        found = inodes.setdefault(_space(str(pid)), set())
        with suppress(OSError):  # it has ended, or is another user's
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # it was closed meanwhile
                    target = str(descriptor.readlink())
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return inodes


def _listening(process: str) -> list[tuple[int, str, bool]]:
    found = []
    for table in ("tcp", "tcp6"):
        try:
            found += listening(Path(f"/proc/{process}/net/{table}").read_text(encoding="ascii"))
        except OSError:
            continue
    return found


def listening(text: str) -> list[tuple[int, str, bool]]:
    """Return port, inode and whether other machines can connect, of the listening sockets in ``/proc/net/tcp``."""
    found = []
    for words in (line.split() for line in text.splitlines()[1:]):
        address, _, port = words[1].partition(":")
        if words[3] == LISTENING:
            loopback = address == LOOPBACK_6 or address.endswith(LOOPBACK_4)
            found.append((int(port, 16), words[9], not loopback))
    return found
