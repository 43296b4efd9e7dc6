"""``doctor``: is this machine fit for a tier? Each finding comes with what to do about it."""

import platform
import shutil
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.tiers import Tier

SLACK = 0.85  # a "16 GB" machine shows 15.6: a minimum that refuses it is wrong


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``cure`` says what to do where it is not ``ok``; only ``fatal`` ones stop ``up``."""

    what: str
    ok: bool
    found: str
    cure: str = ""
    fatal: bool = False


def memory(needed_mb: int) -> Finding:
    import psutil

    free = psutil.virtual_memory().available // 2**20
    return Finding(
        "memory",
        free >= needed_mb * SLACK,
        f"{free:,} MB free, {needed_mb:,} MB needed",
        "Close something, or take a smaller tier; `up` goes on all the same.",
    )


def disk(folder: Path, needed_mb: int) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free // 2**20
    return Finding(
        "disk",
        free >= needed_mb * SLACK,
        f"{free:,} MB free, {needed_mb:,} MB needed",
        f"Free some room on the disk of {folder}.",
        fatal=free < 200,
    )


def python() -> Finding:
    version = platform.python_version()
    return Finding(
        "python", sys.version_info[:2] == (3, 11), version, "Python 3.11 is needed: rm -r .pantheon/envs and run again."
    )


def machine() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    fit = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
    return Finding(
        "machine", fit, system, "The local engine runs on Linux x86-64 and arm64.", fatal=platform.system() != "Linux"
    )


def ports(wanted: dict[int, str], ours: bool, offset: int) -> list[Finding]:
    """One finding a port: free, ours, or taken by whom, and which ``PORT_OFFSET`` is free.

    Args:
        wanted: service name by port, offset included.
        ours: this deployment is up, so a holder may be ourselves.
    """
    from pantheon.engines.ports import free_offset, who_holds

    found = []
    for port, service in wanted.items():
        holder = None if ours else who_holds(port)
        cure = (
            f"Stop it, or choose other ports: PORT_OFFSET={free_offset([p - offset for p in wanted])}" if holder else ""
        )
        text = f"held by {holder}" if holder else ("in use by this deployment" if ours else "free")
        found.append(Finding(f"port {port} ({service})", holder is None, text, cure, fatal=True))
    return found


def git() -> Finding:
    found = shutil.which("git")
    return Finding(
        "git", found is not None, found or "not found", "DVC needs it: apt-get install git, or WITHOUT=dvc.", fatal=True
    )


def look(
    tier: Tier, state: Path, wanted: dict[int, str], ours: bool, offset: int, tools: Collection[str] = ()
) -> list[Finding]:
    """Everything that ``up`` needs of the machine; ``tools``: ``git``, where processes of this machine call it."""
    found = [python(), machine(), *([git()] if "git" in tools else [])]
    return [*found, memory(tier.memory_mb), disk(state, tier.disk_mb), *ports(wanted, ours, offset)]


def refuse_if_unfit(findings: list[Finding]) -> list[Finding]:
    """The findings to warn about.

    Raises:
        PantheonError: one of them makes `up` impossible.
    """
    for finding in findings:
        if finding.fatal and not finding.ok:
            raise PantheonError(f"{finding.what}: {finding.found}.", finding.cure)
    return [f for f in findings if not f.ok]


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    return [asdict(f) for f in findings]
