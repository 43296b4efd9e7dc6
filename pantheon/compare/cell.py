"""Measure one cell: one tier on one engine, in a deployment that is made for it and destroyed afterwards."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pantheon.compare import facts, kills, load, machine, probes, usage
from pantheon.compare.facts import Making
from pantheon.compare.plan import Cell
from pantheon.components import read as read_components
from pantheon.deployment import inside
from pantheon.deployment.calling import Commands
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine, ports, sizes
from pantheon.errors import PantheonError

FIRST_OFFSET, LAST_OFFSET = 8000, 20000  # below the ports that the system gives to clients
CLIENTS = {1: "predict", 16: "predict16"}  # by number: how their figures begin
WARM_UP_SECONDS, LOAD_SECONDS = 0.5, 2.0
IDLE_SECONDS = 4.0

Progress = Callable[[str], None]


def measure(cell: Cell, commands: Commands, making: Making, taken: set[int], progress: Progress) -> dict[str, Any]:
    """Return the figures of a cell, by the names of ``figures`` and more; see docs/comparing.md.

    Args:
        commands: for a deployment that does not exist yet.
        taken: port offsets of other deployments.
        progress: called with what is done next.

    Raises:
        PantheonError: a step failed; the deployment may be left, see ``calling.destroy``.
    """
    begin = time.monotonic()
    found: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "busy_percent": machine.busy(),
    }
    progress("measuring the environments")
    offset = free_offset(cell, commands.name, taken)
    found |= software(cell, commands.name, making)

    progress("start from nothing")
    chosen = ["--engine", cell.engine, "--port-offset", str(offset), "--no-run", *cell.data.options()]
    found["start_s"], _ = commands("up", cell.tier.name, *chosen)
    deployment = Deployment(commands.name)
    engine = deployment.engine(cell.tier)
    progress("one run of the workflow")
    found |= run(commands, deployment, engine)
    progress("up, already up")
    found["up_again_s"], _ = commands("up", cell.tier.name, "--no-run")
    progress("waiting until it is idle")
    found |= idle(engine, deployment)
    found |= parts(cell, deployment, engine)
    progress("predictions")
    ready = probes.Probes(deployment, cell.tier, engine)
    for clients, name in CLIENTS.items():
        found |= predictions(ready, clients, name)
    progress("questions")
    found["questions"] = [{key: answer[key] for key in ("question", "state")} for answer in ready.ask()]
    found["questions_answered"] = sum(each["state"] == "answered" for each in found["questions"])
    found |= kills.kill_each(ready, commands, killed_before(cell, commands.name), progress)
    found["kills_before"] = cell.before.name if cell.before else ""

    progress("down")
    found["down_s"], _ = commands("down")
    progress("start from down")
    found["from_down_s"], _ = commands("up", cell.tier.name, "--no-run")
    return rounded(found | {"seconds": time.monotonic() - begin})


def free_offset(cell: Cell, name: str, taken: set[int]) -> int:
    """Return a port offset at which all ports of the cell are free, and that no other deployment has."""
    wanted = [port for plan in Deployment(name).engine(cell.tier, cell.engine).planned() for port in plan.ports]
    offset = FIRST_OFFSET
    while FIRST_OFFSET <= (offset := ports.free_offset(wanted, offset)) <= LAST_OFFSET:
        if offset not in taken:
            return offset
        offset += ports.STEP
    raise PantheonError(
        f"no PORT_OFFSET from {FIRST_OFFSET} to {LAST_OFFSET} has all ports of {cell.tier.name} free.",
        "Stop other deployments: `down`",
        1,
    )


def killed_before(cell: Cell, name: str) -> set[str]:
    """Return the services that are killed in the cell of an earlier tier."""
    if cell.before is None:
        return set()
    return {plan.name for plan in Deployment(name).engine(cell.before, cell.engine).planned()}


def software(cell: Cell, name: str, making: Making) -> dict[str, Any]:
    """Prepare the environments or images, and return their sizes and the time that making them takes."""
    deployment = Deployment(name)
    engine = deployment.engine(cell.tier, cell.engine)
    left = set(deployment.left_out(cell.tier))
    names = [plan.environment for plan in engine.planned()]
    names += [each for part in deployment.components(cell.tier) if part.name not in left for each in part.environments]
    names = list(dict.fromkeys(names))
    begin = time.monotonic()
    engine.prepare(names)
    prepared = time.monotonic() - begin
    by_name, total = engine.sizes(names)
    made = {each: making.seconds(each) for each in names} if engine.on_host else {}
    known = [seconds for seconds in made.values() if seconds is not None]
    return {
        "software": [
            {"name": each, "mb": round(size / 1e6), "made_s": made.get(each)} for each, size in by_name.items()
        ],
        "software_mb": total / 1e6,
        "software_made_s": sum(known) if known else None,
        "prepare_s": prepared,
        "packages": facts.packages(names),
    }


def run(commands: Commands, deployment: Deployment, engine: Engine) -> dict[str, Any]:
    """Run the workflow once; return its time, by stage too, its metrics, and the highest memory meanwhile."""
    with usage.peak(engine) as peak:
        took, outcome = commands("run", accept=(0, 1))  # 1: the gate refused the model
    if not outcome or not outcome.get("version"):
        why = outcome["reason"] if outcome else commands.last_line()
        raise PantheonError(
            f"the run deployed no model, so nothing can be measured: {why}", f"The log: {commands.log}", 1
        )
    stages = inside.look(deployment, engine, outcome["run"]).stages
    return {
        "run_s": took,
        "stages": {name: round(record.seconds, 3) for name, record in stages.items()},
        "memory_peak_mb": max(peak.mb, usage.memory_mb(engine)),
        "metrics": inside.models(deployment, engine, "metrics", outcome["model"], version=outcome["version"]),
    }


def idle(engine: Engine, deployment: Deployment) -> dict[str, Any]:
    """Return what the deployment uses while nobody asks for anything."""
    memory = usage.settled(engine)
    services = [status for status in engine.status() if status.state in kills.UP]
    return {
        "memory_idle_mb": memory,
        "cpu_idle_percent": usage.processor(engine, IDLE_SECONDS),
        "services": len(services),
        "service_list": [{"name": each.name, "memory_mb": round(each.memory / 1e6, 1)} for each in services],
        "state_mb": sum(sizes.of_files(deployment.state).values()) / 1e6,
    }


def parts(cell: Cell, deployment: Deployment, engine: Engine) -> dict[str, Any]:
    """Return of how many parts the deployment is made."""
    open_ports = usage.ports(engine)
    return {
        "processes": len(engine.processes()) or None,
        "ports": len(open_ports),
        "ports_outside": sum(open_ports.values()),
        "port_list": list(open_ports),
        "ports_inside": usage.ports_inside(engine),
        "secrets": len(deployment.components(cell.tier).secrets),
        "components": [part.name for part in read_components(cell.tier.compose_file)],
        **facts.lines(cell.tier),
    }


def predictions(ready: probes.Probes, clients: int, name: str) -> dict[str, Any]:
    """Return latencies and requests a second of the page's ``POST /predict`` for one row."""
    sent = load.request(ready.page, "/predict", ready.body)
    load.send(ready.page, sent, clients, WARM_UP_SECONDS)
    done = load.send(ready.page, sent, clients, LOAD_SECONDS)
    if done.wrong:
        raise PantheonError(f"{done.wrong} of {len(done.latencies)} predictions were refused under load.", "", 1)
    return {
        f"{name}_p50_ms": done.quantile_ms(0.5),
        f"{name}_p99_ms": done.quantile_ms(0.99),
        f"{name}_per_s": done.per_second,
    }


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures without digits that say nothing; ``metrics`` stay whole."""
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()} | {
        "disk_mb": round(found["software_mb"] + found["state_mb"])
    }
