"""The chart runs what the compose files define: the last tier and its variants, service by service.

Pods of earlier tiers are the same ones (test_tiers.py). helm/differences.yaml lists what differs on purpose.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.components import read as read_components
from pantheon.durations import seconds
from pantheon.engines import Options
from pantheon.engines.definition.resolve import Definition
from tests.support import ROOT, helm
from tests.support.helm import TIERS, Object, containers, of_kind, pods

DIFFERENCES = yaml.safe_load((ROOT / "helm" / "differences.yaml").read_text())
STATE = Path("/deployment")
VARIANTS: dict[str, dict[str, Any]] = {
    "": {"settings": {"monitor_report": "evidently"}},  # a service that runs only if it is asked for
    "kserve": {"kserve": {"enabled": True}},
    "pycaret": {"pycaret": {"enabled": True}},
}


@cache
def model(variant: str) -> dict[str, Any]:
    """The compose services of the last tier, resolved."""
    without = () if variant == "" else ("evidently",)
    options = Options("demo", STATE, TIERS[-1].definition(variant), ROOT, without=without)
    # in Compose, a container of another name keeps the endpoint's port; a Service does that in Kubernetes
    own = {"PATH": os.environ["PATH"]}
    services: dict[str, Any] = Definition(options, lambda _: {"ENDPOINT_HOST": "endpoint"}, own).resolve().services
    return services


@cache
def objects(variant: str) -> list[Object]:
    return helm.render(8, **VARIANTS[variant])


def found(variant: str, service: str) -> tuple[Object, Object]:
    """The pod that runs a compose service, and its container."""
    pod = pods(objects(variant))[DIFFERENCES["init"].get(service, service)]
    return pod, containers(pod)[service]


def secret_files(variant: str, service: dict[str, Any]) -> set[str]:
    """The secrets that a compose service reads, by their names in the folder `secrets`."""
    declared = read_components(TIERS[-1].definition(variant)).secrets
    names = {each["source"] for each in service.get("secrets") or []}
    for bind in binds(service):
        if bind["source"].startswith(f"{STATE}/secrets/"):
            folder = bind["source"].removeprefix(f"{STATE}/secrets/")
            names |= {name for name in declared if name.startswith(f"{folder}/")}
    used = {f"/run/secrets/{name}" for name in DIFFERENCES["unused"]} & set(service["environment"].values())
    return {name for name in names if name not in DIFFERENCES["unused"] or f"/run/secrets/{name}" in used}


def binds(service: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in service.get("volumes") or [] if each["type"] == "bind"]


def mebibytes(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([KMG]i)?", text).groups()  # type: ignore[union-attr]
    return float(number) * {None: 2**-20, "Ki": 2**-10, "Mi": 1, "Gi": 2**10}[unit]


class Seen:
    """What the chart says about one compose service, in the compose file's terms."""

    def __init__(self, variant: str, name: str) -> None:
        self.name, self.objects = name, objects(variant)
        self.pod, self.container = found(variant, name)

    def volumes(self, *kinds: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Pairs of a mount of this container and its volume."""
        volumes = {volume["name"]: volume for volume in self.pod["spec"]["volumes"]}
        for mount in self.container["volumeMounts"]:
            if set(kinds) & set(volumes[mount["name"]]):
                yield mount, volumes[mount["name"]]

    def folders(self) -> set[tuple[str, str, bool]]:
        found = set()
        for mount, _ in self.volumes("persistentVolumeClaim"):
            folder = mount["subPath"] if mount["name"] == "data" else f"volumes/{mount['name']}"
            found.add((f"{STATE}/{folder}", mount["mountPath"], "readOnly" in mount))
        return found

    def secrets(self) -> set[str]:
        projected = [volume["projected"]["sources"] for _, volume in self.volumes("projected")]
        names = {source["secret"]["items"][0]["path"] for sources in projected for source in sources}
        private = [mount for mount in self.container["volumeMounts"] if mount["name"] == "private"]
        if private:
            script = containers(self.pod)["prepare"]["command"][2]
            copied = set(re.findall(r"cat /run/secrets/(\S+)", script))
            used = " ".join(each["value"] for each in self.container["env"])
            names |= {name for name in copied if f"/run/private/{name}" in used}
        return names

    def tmpfs(self) -> dict[str, float]:
        return {
            mount["mountPath"]: mebibytes(volume["emptyDir"]["sizeLimit"])
            for mount, volume in self.volumes("emptyDir")
            if mount["name"] != "private"
        }

    def ports(self) -> list[int]:
        service = of_kind(self.objects, "Service").get(self.name)
        inside = {each["containerPort"] for each in self.container.get("ports") or []}
        ports = [each["port"] for each in service["spec"]["ports"]] if service else []
        assert inside == set(ports), "the Service leads to the container's ports"
        return sorted(ports)

    def waits(self) -> list[str]:
        script = (containers(self.pod).get("prepare") or {"command": ["", "", ""]})["command"][2]
        return sorted(re.findall(r"[\w-]+:\d+", script))

    def health(self) -> dict[str, Any] | None:
        live = self.container.get("livenessProbe")
        if not live:
            return None
        start = self.container["startupProbe"]
        assert start["periodSeconds"] == 1
        http = live.get("httpGet")
        limit, every = live["failureThreshold"], live["periodSeconds"]
        return {
            "check": [http["port"], http["path"]] if http else live["exec"]["command"],
            "limit": limit,
            "interval": every,
            "timeout": live["timeoutSeconds"],
            "start_period": start["failureThreshold"] - limit * every,
        }


def address(needed: dict[str, Any], name: str) -> str:
    """HOST:PORT by which a service waits for another one: the port that its health check asks."""
    local = str((needed.get("x-local") or {}).get("health_url", ""))
    port = re.search(r":(\d+)/", local) or re.search(r"(\d+)", str(needed["expose"]))
    assert port
    return f"{name}:{port[1]}"


def health_of(service: dict[str, Any]) -> dict[str, Any] | None:
    check = service.get("healthcheck")
    if not check:
        return None
    url = re.fullmatch(r"http://[^:]+:(\d+)(/.*)", str((service.get("x-local") or {}).get("health_url")))
    assert check["test"][2].endswith("health.sh"), "Kubernetes counts failures itself"
    return {
        "check": [int(url[1]), url[2]] if url else check["test"][4:],
        "limit": int(check["test"][3]),
        **{key: seconds(check[key]) for key in ("interval", "timeout", "start_period")},
    }


def differences(variant: str, name: str) -> dict[str, tuple[Any, Any]]:
    """What differs between a compose service and the chart: by key, the compose file's value and the chart's."""
    service, seen = model(variant)[name], Seen(variant, name)
    root, state = str(ROOT / "compose"), f"{STATE}/"
    files = {(Path(b["source"]).name, b["target"]) for b in binds(service) if b["source"].startswith(root)}
    scripts = {Path(target).name for source, target in files if source != "health.sh"}
    mounted = {m["mountPath"] for m, v in seen.volumes("configMap") if v["name"] == "scripts"}
    depends = service.get("depends_on") or {}
    one_offs = [each for each, entry in depends.items() if entry["condition"] == "service_completed_successfully"]
    grace = int(seconds(service["stop_grace_period"])) if "stop_grace_period" in service else 10
    drain = (seen.container.get("lifecycle") or {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    variables = {str(each["name"]): each["value"] for each in seen.container["env"]}
    pairs: dict[str, tuple[Any, Any]] = {
        "image": (service["image"], seen.container["image"]),
        "entrypoint": (service.get("entrypoint"), seen.container.get("command")),
        "command": (service.get("command"), seen.container.get("args")),
        "working_dir": (service.get("working_dir"), seen.container.get("workingDir")),
        "volumes": (
            {
                (bind["source"], bind["target"], bind.get("read_only", False))
                for bind in binds(service)
                if bind["source"].startswith(state) and not bind["source"].startswith(f"{state}secrets/")
            },
            seen.folders(),
        ),
        "scripts": (bool(scripts), mounted == {"/app/compose"}),
        "secrets": (secret_files(variant, service), seen.secrets()),
        "tmpfs": (
            {p: mebibytes(re.search(r"size=(\d+[mg])", o)[1].upper() + "i") for p, _, o in parts(service)},  # type: ignore[index]
            seen.tmpfs(),
        ),
        "healthcheck": (health_of(service), seen.health()),
        "mem_limit": (int(service["mem_limit"]) / 2**20, mebibytes(seen.container["resources"]["limits"]["memory"])),
    }
    for variable in sorted({*service["environment"], *variables}):
        pairs[f"environment.{variable}"] = (service["environment"].get(variable), variables.get(variable))
    if name not in DIFFERENCES["init"]:  # these belong to the pod
        labels = {label.removeprefix("pantheon/") for label in seen.pod["metadata"]["labels"] if "pantheon/" in label}
        ports = {int(each["target"]) for each in service.get("ports") or []}
        pairs |= {
            "networks": (set(service["networks"]), labels - {"data"}),
            "ports": (sorted(ports | {int(port) for port in service.get("expose") or []}), seen.ports()),
            "stop_grace_period": (grace + drain, seen.pod["spec"]["terminationGracePeriodSeconds"]),
            "deploy": ("deploy" in service, bool(drain)),
            "depends_on": (waited(variant, name, one_offs), seen.waits()),
        }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def waited(variant: str, name: str, one_offs: list[str]) -> list[str]:
    """What a service waits for, also by its one-offs if they are init containers of its pod."""
    services = model(variant)
    needs = set(services[name].get("depends_on") or {}) - set(one_offs)
    for each in one_offs:
        if DIFFERENCES["init"].get(each) == name:
            needs |= set(services[each].get("depends_on") or {})
        else:
            needs.add(each)
    return sorted(address(services[each], each) if each not in one_offs else each for each in needs)


def parts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [each.partition(":") for each in service.get("tmpfs") or []]


def test_the_chart_runs_the_services_of_the_compose_files() -> None:
    for variant in VARIANTS:
        every = pods(objects(variant))
        ours = {"prepare", "settings", "files", "test"}
        running = {name for pod in every.values() for name in containers(pod)} - ours
        assert running == set(model(variant))
        for name, service in model(variant).items():
            kind = "CronJob" if service.get("profiles") else "Job" if service.get("x-one-off") else None
            if kind and name not in DIFFERENCES["init"]:
                assert name in of_kind(objects(variant), kind)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_service_is_as_in_the_compose_files(variant: str) -> None:
    unexpected, stale = {}, {}
    for name in model(variant):
        given = DIFFERENCES["services"].get(name, {}) | DIFFERENCES["services"].get(f"{name}#wait", {})
        seen = differences(variant, name)
        unexpected |= {f"{name}: {key}": pair for key, pair in seen.items() if key not in given}
        for key, difference in given.items():
            assert len(difference["reason"]) > 5, name
            if key not in seen or seen[key][1] != difference["chart"]:
                stale[f"{name}: {key}"] = difference["chart"]
    assert not unexpected, "the compose file's value, then the chart's"
    assert not stale, "helm/differences.yaml says so"


def test_no_key_of_the_compose_files_is_forgotten() -> None:
    compared = {"image", "entrypoint", "command", "working_dir", "volumes", "secrets", "tmpfs", "healthcheck"}
    compared |= {"mem_limit", "networks", "environment", "ports", "expose", "stop_grace_period", "depends_on"}
    used = {key for variant in VARIANTS for service in model(variant).values() for key in service}
    assert used <= compared | set(DIFFERENCES["keys"]), used - compared - set(DIFFERENCES["keys"])
    assert set(DIFFERENCES["keys"]) - {"build", "extends"} <= used, "stale"
