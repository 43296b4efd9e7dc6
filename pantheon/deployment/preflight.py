"""``doctor``: check whether this machine, or the cluster, meets the requirements of a tier, and how to fix it."""

import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pantheon.components import Component, Components
from pantheon.deployment.deployment import Deployment
from pantheon.engines.findings import Finding
from pantheon.errors import PantheonError
from pantheon.tiers import Tier

SLACK = 0.85  # a "16 GB" machine reports 15.6: the minimum must accept it


def memory(needed_mb: int) -> Finding:
    import psutil

    free = psutil.virtual_memory().available // 2**20
    return Finding(
        "memory",
        free >= needed_mb * SLACK,
        f"{free:,} MB free, {needed_mb:,} MB needed",
        "Close other programs, or use a smaller tier. This does not stop up.",
    )


def disk(folder: Path, needed_mb: int) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free // 2**20
    return Finding(
        "disk",
        free >= needed_mb * SLACK,
        f"{free:,} MB free, {needed_mb:,} MB needed",
        f"Free some space on the disk of {folder}.",
        fatal=free < 200,
    )


def python() -> Finding:
    version = platform.python_version()
    return Finding(
        "python",
        (3, 11) <= sys.version_info[:2] <= (3, 13),
        version,
        "Python 3.11, 3.12 or 3.13 is needed: rm -r .pantheon/envs, then run the command again.",
    )


def machine() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    fit = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
    return Finding(
        "machine", fit, system, "The local engine runs on Linux x86-64 and arm64.", fatal=platform.system() != "Linux"
    )


def ports(wanted: dict[int, str], ours: bool, offset: int) -> list[Finding]:
    """Return one finding per port: free, in use by this deployment, or by which process, and a free ``PORT_OFFSET``.

    Args:
        wanted: service name by port, including the offset.
        ours: this deployment is up, so it may use the ports.
    """
    from pantheon.engines.ports import free_offset, who_holds

    found = []
    for port, service in wanted.items():
        holder = None if ours else who_holds(port)
        cure = f"Stop it, or use other ports: PORT_OFFSET={free_offset([p - offset for p in wanted])}" if holder else ""
        text = f"in use by {holder}" if holder else ("in use by this deployment" if ours else "free")
        found.append(Finding(f"port {port} ({service})", holder is None, text, cure, fatal=True))
    return found


def tool(name: str, component: Component) -> Finding:
    path = shutil.which(name)
    instead = "" if component.required else f", or leave it out: WITHOUT={component.name}"
    cure = f"{component.title or component.name} needs it. Install it: apt-get install {name}{instead}."
    return Finding(name, path is not None, path or "not installed", cure, fatal=True)


def look(
    parts: Components,
    state: Path,
    wanted: dict[int, str],
    ours: bool,
    offset: int,
    tools: Mapping[str, Component] | None = None,
    here: bool = True,
) -> list[Finding]:
    """Check everything that ``up`` needs of this machine.

    Args:
        parts: the deployment's components.
        wanted: service name by port, including the offset.
        ours: this deployment is up.
        tools: host programs that components need, by name, with a component that needs it.
        here: services run on this machine, and need its memory and disk.
    """
    found = [python(), *([machine()] if here else [])]
    found += [tool(name, component) for name, component in (tools or {}).items()]
    room = [memory(parts.memory_mb), disk(state, parts.disk_mb)] if here else []
    return [*found, *room, *ports(wanted, ours, offset)]


def doctor(deployment: Deployment, tier: Tier, engine_name: str) -> list[Finding]:
    """Run ``look`` for a deployment at ``tier``; an empty ``engine_name`` is the deployment's engine."""
    engine = deployment.engine(tier, engine_name)
    elsewhere = engine.findings()
    if any(each.fatal and not each.ok for each in elsewhere):  # its services cannot be asked for
        return [python(), *elsewhere]
    ours = any(s.state not in ("stopped", "waiting") for s in engine.status())
    wanted = {port: each.name for each in engine.planned() if not each.task for port in each.ports}
    tools = deployment.tools(tier, engine)
    parts, offset, here = deployment.components(tier), deployment.settings.port_offset, engine.shares_folders
    return [*elsewhere, *look(parts, deployment.state, wanted, ours, offset, tools, here)]


def refuse_if_unfit(findings: list[Finding]) -> list[Finding]:
    """Return the findings to warn about.

    Raises:
        PantheonError: a fatal check failed.
    """
    for finding in findings:
        if finding.fatal and not finding.ok:
            raise PantheonError(f"{finding.what}: {finding.found}.", finding.cure)
    return [f for f in findings if not f.ok]


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    return [asdict(f) for f in findings]
