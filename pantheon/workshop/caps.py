"""Caps on the memory and the processor time of one person's processes, with control groups (cgroups) of Linux.

Both versions are used, without systemd: version 2 by root, and version 1 below the control group of this command. Where
neither can be written, people's processes get a lower priority instead, and are the first to be killed when memory runs
out: ``Caps.why_not`` says so.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "pantheon-workshop-"  # of the names of groups
PERIOD = 100_000  # µs, in which a group may use its share of the processors
NICE, FIRST_TO_KILL = 10, 500
GONE_SECONDS = 5.0


@dataclass(frozen=True)
class Root:
    """A folder of the cgroup file system below which groups are made.

    Attributes:
        controllers: ``memory`` and ``cpu``, or one of them.
    """

    folder: Path
    version: int
    controllers: tuple[str, ...]


@dataclass
class Caps:
    """The groups of one workshop.

    Attributes:
        roots: empty: groups cannot be made.
        why_not: why not, as the end of a sentence.
    """

    name: str
    memory: int
    cpus: float
    roots: list[Root] = field(default_factory=list)
    why_not: str = ""

    def group(self, person: str) -> list[Path]:
        """Return the folders of a person's group, which are made if they are missing."""
        found = []
        for root in self.roots:
            folder = root.folder / self.name / person
            folder.mkdir(parents=True, exist_ok=True)
            if root.version == 2:
                for above in (root.folder, folder.parent):
                    _write(above / "cgroup.subtree_control", " ".join(f"+{each}" for each in root.controllers))
            for name, value in limits(root, self.memory, self.cpus).items():
                _write(folder / name, value)
            found.append(folder)
        return found

    def take(self, person: str, pid: int) -> None:
        """Put a process, and all that it will start, into the person's group; without groups, lower its priority."""
        with suppress(ProcessLookupError, FileNotFoundError):  # it has ended
            for folder in self.group(person):
                _write(folder / "cgroup.procs", str(pid))
            if not self.roots:
                os.setpriority(os.PRIO_PROCESS, pid, max(NICE, os.getpriority(os.PRIO_PROCESS, pid)))
                _write(Path(f"/proc/{pid}/oom_score_adj"), str(FIRST_TO_KILL))

    def remove(self, people: Iterable[str]) -> None:
        """Remove the groups. Processes that are still in them, such as shells of people, go on without caps."""
        end = time.monotonic() + GONE_SECONDS
        names = list(people)
        for root in self.roots:
            top = root.folder / self.name
            for folder in (*(top / name for name in names), top):
                _empty(folder, root.folder)
                while folder.is_dir() and time.monotonic() < end:
                    with suppress(OSError):
                        folder.rmdir()
                        break
                    _empty(folder, root.folder)
                    time.sleep(0.05)


def open_caps(workshop: Path, memory: int, cpus: float) -> Caps:
    """Return caps for the workshop in the folder ``workshop``; tries out which version of cgroups can be used.

    Args:
        memory: bytes; 0: no limit.
        cpus: processors; 0: no limit.
    """
    caps = Caps(f"{PREFIX}{hashlib.sha256(str(workshop).encode()).hexdigest()[:8]}", memory, cpus)
    wanted = {name for name, value in (("memory", memory), ("cpu", cpus)) if value}
    if not wanted:
        return caps
    trouble = "this machine has no cgroups"
    for roots in candidates(wanted):
        caps.roots = roots
        try:
            caps.group("trial")
        except OSError as error:
            trouble = f"cgroups cannot be made ({error.strerror or error})"
            caps.remove(["trial"])
        else:
            for root in roots:
                (root.folder / caps.name / "trial").rmdir()
            return caps
    caps.roots, caps.why_not = [], trouble
    return caps


def candidates(wanted: set[str], mounts: str = "", own: str = "") -> list[list[Root]]:
    """Return the roots that could be used, the best first.

    Args:
        wanted: controllers.
        mounts, own: the content of ``/proc/self/mountinfo`` and ``/proc/self/cgroup``; empty: this process's.
    """
    mounts = mounts or Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    own = own or Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    paths = {names: path for _, names, path in (line.split(":", 2) for line in own.splitlines())}
    second: list[list[Root]] = []
    first: dict[str, Root] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mounted, kind = Path(before.split()[4]), after.split()[0]
        if kind == "cgroup2" and (has := _controllers(mounted)) >= wanted:
            second.append([Root(mounted, 2, tuple(sorted(wanted & has)))])
        elif kind == "cgroup":
            options = set(after.split()[-1].split(","))
            for controller in wanted & options:
                path = next((path for names, path in paths.items() if controller in names.split(",")), "/")
                path = path.partition(f"/{PREFIX}")[0]  # this shell may be in somebody's group
                first[controller] = Root(mounted / path.lstrip("/"), 1, (controller,))
    return [*second, *([list(first.values())] if first.keys() >= wanted else [])]


def _empty(folder: Path, target: Path) -> None:
    """Move the processes of a group to the one above all."""
    with suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split():
            _write(target / "cgroup.procs", pid)


def _controllers(folder: Path) -> set[str]:
    try:
        return set((folder / "cgroup.controllers").read_text(encoding="ascii").split())
    except OSError:
        return set()


def limits(root: Root, memory: int, cpus: float) -> dict[str, str]:
    """Return the files of a group and their values."""
    quota = f"{round(cpus * PERIOD)}"
    of_version = {
        (1, "memory"): {"memory.limit_in_bytes": f"{memory}"},
        (1, "cpu"): {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": quota},
        (2, "memory"): {"memory.max": f"{memory}"},
        (2, "cpu"): {"cpu.max": f"{quota} {PERIOD}"},
    }
    return {name: value for each in root.controllers for name, value in of_version[root.version, each].items()}


def _write(file: Path, text: str) -> None:
    with file.open("w", encoding="ascii") as opened:  # not with a temporary file: the kernel's files cannot be replaced
        opened.write(text)
