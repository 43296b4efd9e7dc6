"""Describe the machine that a comparison ran on, and how busy it is."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

BUSY_PERCENT = 25.0  # of one core: other programs that use more distort the figures


def describe() -> dict[str, Any]:
    """Return the processor, its cores, the memory in MB, the operating system and Python."""
    import psutil

    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "os": _system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{names[0] if names else 'unknown'} ({platform.machine()})"


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def busy(seconds: float = 1.0) -> float:
    """Return how much of one core all programs use now, in percent, measured over ``seconds``."""
    before = _used()
    time.sleep(seconds)
    return round((_used() - before) / seconds * 100, 1)


def _used() -> float:
    import psutil

    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - getattr(times, "guest_nice", 0.0))


def others(home: Path) -> list[str]:
    """Return the deployments below ``home`` that are up: their work adds to the machine's."""
    from pantheon import state

    found = []
    for folder in sorted(home.glob("*/state")):
        try:
            services = state.read_services(folder.parent).services
        except (OSError, PantheonError):
            continue
        if any(service.state in ("healthy", "running", "starting", "restarting") for service in services):
            found.append(folder.parent.name)
    return found
