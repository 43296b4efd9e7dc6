"""Convert states of containers to the states of services that all engines use."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pantheon import durations
from pantheon.engines import ServiceStatus
from pantheon.engines.definition.model import COMPLETED, HEALTHY, STARTED
from pantheon.processes import ended

LABEL = "com.docker.compose.service"
NEVER = "0001-01-01T00:00:00Z"
OUT_OF_MEMORY = 137


def service_of(container: Mapping[str, Any]) -> str:
    return str(container["Config"]["Labels"].get(LABEL, ""))


def moment(text: str) -> datetime:
    """Parse a timestamp of Docker, which has nanoseconds; Python's parser does not accept them."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")


def seconds_since(text: str) -> float:
    return max((datetime.now(UTC) - moment(text)).total_seconds(), 0.0)


def last_probe(health: Mapping[str, Any]) -> str:
    """Return the last line of the last health check's output."""
    log = health.get("Log") or []
    lines = str(log[-1].get("Output") or "").strip().splitlines() if log else []
    return lines[-1][:200] if lines else ""


def how_it_ended(state: Mapping[str, Any]) -> str:
    if state.get("Error"):
        return f"cannot be started: {state['Error']}"
    if state.get("OOMKilled"):
        return "used more memory than its mem_limit and was killed"
    return ended(_signed(int(state["ExitCode"])))


def _signed(code: int) -> int:
    """Convert 128 + N, which means signal N, to -N for ``ended``."""
    return 128 - code if 128 < code < 160 else code


def state_of(container: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return ``(state, why, since)`` of a container: state is one of ``pantheon.engines.STATES``, since is ISO 8601."""
    state = container["State"]
    status, health = state["Status"], state.get("Health") or {}
    policy = (container["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no"
    finished = state["FinishedAt"] if state["FinishedAt"] != NEVER else container["Created"]
    if status == "created":
        return (
            ("failed", how_it_ended(state), container["Created"])
            if state.get("Error")
            else ("waiting", "", container["Created"])
        )
    if status == "restarting":
        times = container.get("RestartCount", 0)
        how = f"{how_it_ended(state)}; restarted {_times(times)}; Docker tries again within a minute"
        return "restarting", how, finished
    if status in ("running", "paused"):
        restarted = int(container.get("RestartCount") or 0)
        return _alive(state, health, f"restarted {_times(restarted)}" if restarted else "")
    if policy in ("always", "unless-stopped") and not state.get("Error"):
        return "stopped", how_it_ended(state), finished
    if int(state["ExitCode"]) == 0:
        return "completed", "", finished
    return "failed", how_it_ended(state), finished


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _alive(state: Mapping[str, Any], health: Mapping[str, Any], restarted: str) -> tuple[str, str, str]:
    begun = str(state["StartedAt"])
    checked = (health.get("Log") or [{}])[-1].get("End", begun)
    if state["Status"] == "paused":
        return "stopped", "paused", begun
    if not health or health.get("Status") == "none":
        return "running", restarted, begun
    output = last_probe(health)
    if health["Status"] == "healthy":
        return "healthy", restarted, begun
    if health["Status"] == "unhealthy":
        return (
            "failed",
            f"unhealthy, {health['FailingStreak']} probes failed; the last one: {output or 'no output'}",
            checked,
        )
    so_far = f"{durations.words(seconds_since(begun))} so far"
    return "starting", "; ".join(filter(None, (so_far, restarted, output and f"health check says: {output}"))), begun


def waits_for(depends_on: Mapping[str, Mapping[str, Any]], states: Mapping[str, tuple[str, str]]) -> str:
    """Describe what a container waits for that was created but not started.

    Args:
        depends_on: Compose's mapping of its service.
        states: state and reason of every service that has a container.
    """
    for name, entry in depends_on.items():
        state, why = states.get(name, ("waiting", ""))
        condition = entry.get("condition", STARTED)
        met = {HEALTHY: ("healthy",), COMPLETED: ("completed",)}.get(condition, ("healthy", "running", "completed"))
        if state not in met and not (condition == STARTED and state == "starting"):
            to = {HEALTHY: "be healthy", COMPLETED: "complete"}.get(condition, "start")
            return f"waits for {name} to {to}" + (f", which {state}: {why}" if state == "failed" else "")
    return ""


def status(container: Mapping[str, Any], address: str, memory: int) -> ServiceStatus:
    """Return the current status of one service."""
    state, why, since = state_of(container)
    running = container["State"]["Status"] == "running"
    return ServiceStatus(
        name=service_of(container),
        state=state,
        why=why,
        address=address,
        pid=int(container["State"].get("Pid") or 0) if running else 0,
        memory=memory,
        since=moment(since).isoformat(timespec="milliseconds"),
        uptime=seconds_since(container["State"]["StartedAt"]) if running else 0.0,
        restarts=int(container.get("RestartCount") or 0),
        crashes=int(container.get("RestartCount") or 0) if state == "restarting" else 0,
    )
