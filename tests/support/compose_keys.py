"""How a container shows that the engine honours a key of the compose model, for every key that our tiers use."""

from collections.abc import Callable
from typing import Any

from pantheon.durations import seconds

Inspected = dict[str, Any]
NANOSECONDS = 1e9
FOLDERS = {  # mounted as volumes
    f"/run/secrets/{name}"
    for name in (
        "button",
        "s3",
        "s3_owner",
        "endpoint",
        "endpoint_keys",
        "frontend",
        "alerts",
        "features",
        "kubeflow",
        "oidc",
        "orders",
    )
}


def nanoseconds(text: str) -> int:
    return round(seconds(text) * NANOSECONDS)


def health(found: Inspected, wanted: dict[str, Any]) -> bool:
    check = found["Config"]["Healthcheck"]
    times = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start_period": "StartPeriod",
        "start_interval": "StartInterval",
    }
    same = all(check[name] == nanoseconds(wanted[key]) for key, name in times.items() if key in wanted)
    return same and check["Test"] == wanted["test"] and check["Retries"] == wanted["retries"]


def mounts(found: Inspected, wanted: list[dict[str, Any]]) -> bool:
    seen = {(m["Source"], m["Destination"], m["RW"]) for m in found["Mounts"]}
    return {(w["source"], w["target"], not w.get("read_only", False)) for w in wanted} <= seen


def ports(found: Inspected, wanted: list[dict[str, Any]]) -> bool:
    return all(
        found["HostConfig"]["PortBindings"][f"{w['target']}/tcp"]
        == [{"HostIp": w["host_ip"], "HostPort": w["published"]}]
        for w in wanted
    )


def ours(found: Inspected) -> bool:
    return str(found["Config"]["Image"]).startswith("pantheon/")


HONOURED: dict[str, Callable[[Inspected, Any], bool]] = {
    "build": lambda found, _: ours(found),
    "cap_drop": lambda found, wanted: found["HostConfig"]["CapDrop"] == wanted,
    "command": lambda found, wanted: found["Config"]["Cmd"] == wanted,
    "depends_on": lambda found, wanted: (
        set(found["Config"]["Labels"]["com.docker.compose.depends_on"].split(","))
        == {f"{name}:{entry['condition']}:false" for name, entry in wanted.items()}
    ),
    "entrypoint": lambda found, wanted: found["Config"]["Entrypoint"] == wanted,
    "environment": lambda found, wanted: {f"{k}={v}" for k, v in wanted.items()} <= set(found["Config"]["Env"]),
    "expose": lambda found, wanted: {f"{port}/tcp" for port in wanted} <= set(found["Config"]["ExposedPorts"]),
    "healthcheck": health,
    "image": lambda found, wanted: found["Config"]["Image"] == wanted,
    "init": lambda found, wanted: found["HostConfig"]["Init"] is wanted,
    "logging": lambda found, wanted: (
        found["HostConfig"]["LogConfig"] == {"Type": wanted["driver"], "Config": wanted["options"]}
    ),
    "mem_limit": lambda found, wanted: found["HostConfig"]["Memory"] == int(wanted),
    "networks": lambda found, wanted: (
        {n.partition("_")[2] for n in found["NetworkSettings"]["Networks"]} == set(wanted)
    ),
    "pids_limit": lambda found, wanted: found["HostConfig"]["PidsLimit"] == wanted,
    "ports": ports,
    "pull_policy": lambda found, wanted: (wanted == "missing" or ours(found)) and bool(found["Image"]),
    "read_only": lambda found, wanted: found["HostConfig"]["ReadonlyRootfs"] is wanted,
    "restart": lambda found, wanted: found["HostConfig"]["RestartPolicy"]["Name"] == wanted,
    "secrets": lambda found, wanted: (
        {w.get("target") or f"/run/secrets/{w['source']}" for w in wanted}
        == {m["Destination"] for m in found["Mounts"] if m["Destination"].startswith("/run/secrets/")} - FOLDERS
    ),
    "security_opt": lambda found, wanted: found["HostConfig"]["SecurityOpt"] == wanted,
    "shm_size": lambda found, wanted: found["HostConfig"]["ShmSize"] == int(wanted),
    "stop_grace_period": lambda found, wanted: found["Config"]["StopTimeout"] == seconds(wanted),
    "stop_signal": lambda found, wanted: found["Config"]["StopSignal"] == wanted,
    "tmpfs": lambda found, wanted: {f"{k}:{v}" for k, v in found["HostConfig"]["Tmpfs"].items()} == set(wanted),
    "user": lambda found, wanted: found["Config"]["User"] == wanted,
    "volumes": mounts,
    "working_dir": lambda found, wanted: found["Config"]["WorkingDir"] == wanted,
}
