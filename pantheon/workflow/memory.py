"""The memory that the workflow may use: a limit on its process, so that a file that is too large ends only the run."""

import os
import re
import resource
from pathlib import Path

from pantheon.errors import PantheonError

SETTING = "WORKFLOW_MEMORY"
IN_SERVICE = "WORKFLOW_IN_SERVICE"  # set if a service starts this process: a new setting needs an `up`
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
OF_CONTAINER, OF_MACHINE = 0.9, 0.5
"""Shares that a process may use: the rest of a container is for its files, that of a machine for other programs."""
UNLIMITED = 1 << 60  # bytes from which a limit of a control group is none
GROUPS = Path("/sys/fs/cgroup")


_command = ""


def repeat_with(command: str) -> None:
    """Set the command that repeats or continues what this process does, for the messages of ``too_large``."""
    global _command
    _command = command


def limit() -> int:
    """Return the limit in bytes: ``WORKFLOW_MEMORY``, within a container at most its share of the container's memory.

    Raises:
        PantheonError: the setting is not a size.
    """
    container = container_limit()
    text = os.environ.get(SETTING, "").strip().lower()
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text)
    if text and not (size and float(size[1])):
        raise PantheonError(f"{SETTING}={text} is not a size.", f"For example: {SETTING}=8g")
    limits = [OF_CONTAINER * container] if container else []
    limits += [float(size[1]) * UNITS[size[2]] if size else OF_MACHINE * machine_memory()]
    return int(min(limits))


def apply() -> None:
    """Limit the memory of this process and of those that it starts: beyond it, an allocation fails."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = limit()
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def machine_memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def container_limit() -> int:
    """Return the smallest limit of this process's control groups in bytes; 0 for none."""
    found = []
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        root = GROUPS / "memory" if controllers else GROUPS
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        group = root / path.lstrip("/")
        for folder in (group, *group.parents, root):  # in a container, `path` may be that of the host
            if folder.is_relative_to(root) and (folder / name).is_file():
                text = (folder / name).read_text(encoding="utf-8").strip()
                found += [int(text)] if text.isdecimal() and int(text) < UNLIMITED else []
    return min(found, default=0)


def shown(size: float) -> str:
    """Return a size as text, such as ``3.6 GB``."""
    return f"{size / (1 << 30):,.1f} GB" if size >= 1 << 30 else f"{size / (1 << 20):,.0f} MB"


def allowed() -> str:
    """Return how much memory this process may use, such as ``3.6 GB``; empty if ``apply`` did not limit it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return "" if soft == resource.RLIM_INFINITY else shown(soft)


def more(need: float = 0.0) -> str:
    """Return the command of ``repeat_with`` with more memory, in backquotes.

    Args:
        need: bytes that are needed at least; 0 if it is not known.

    Returns:
        Empty if this process has no limit or no command, or the machine does not have so much memory.
    """
    size = max(2 * (container_limit() or limit()), 2 * need)
    if not allowed() or need > machine_memory():
        return ""
    return with_setting(f"{SETTING}={-int(-size // UNITS['g'])}g")


def with_setting(setting: str) -> str:
    """Return the command of ``repeat_with`` with a setting before it, in backquotes; empty if there is none."""
    if not _command:
        return ""
    return f"`{setting} up`, then `{_command}`" if os.environ.get(IN_SERVICE) else f"`{setting} {_command}`"


def exhausted(where: str) -> PantheonError:
    """Return the error for an allocation that failed; ``where`` is its place, for the beginning of the sentence."""
    limited = f": it may use {allowed()}." if allowed() else "."
    return too_large(f"{where}: the workflow ran out of memory{limited}", "Use fewer rows or columns")


def too_large(cause: str, cure: str, need: float = 0.0) -> PantheonError:
    """Return an error whose cure, a sentence without its period, may also be more memory; ``need`` as in ``more``."""
    command = more(need)
    return PantheonError(cause, f"{cure}, or allow more memory: {command}" if command else f"{cure}.", 1)
