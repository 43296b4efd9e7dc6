"""``doctor`` for a cluster: ask it what the checks judge (``checks.py``)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pantheon.components import Loader
from pantheon.engines.findings import Finding
from pantheon.engines.helm import checks, images, needs, nodes
from pantheon.engines.helm.kube import Forbidden, Kube, Missing, Refused
from pantheon.engines.helm.needs import Object
from pantheon.errors import PantheonError


def look(connect: Callable[[], Kube], chart: Path, values: Mapping[str, Any]) -> list[Finding]:
    """Check everything that the chart needs of the cluster. Changes nothing.

    Args:
        connect: returns the deployment's namespace.
        chart: the chart's folder.
        values: all values for the tier.

    Raises:
        PantheonError: the chart refuses the values.
    """
    try:
        kube = connect()
        versions = kube.check()
        cluster = ".".join(map(str, versions.cluster))
        context = images.context_of(kube)
    except PantheonError as error:
        return [Finding("cluster", False, error.cause.rstrip("."), error.cure, fatal=True)]
    programs = f"helm {'.'.join(map(str, versions.helm))}, kubectl {'.'.join(map(str, versions.kubectl))}"
    found = [Finding("programs", True, programs), Finding("cluster", True, f"Kubernetes {cluster}, context {context}")]
    wanted = needs.of(rendered(kube, chart, values))
    space = _namespace(kube)
    asked = [*checks.reviews(wanted), ("create", "", "namespaces")]
    answers = _reviewed(kube, asked)
    found.append(checks.namespace(kube.namespace, space, bool(answers[-1].get("status", {}).get("allowed"))))
    found.append(checks.permissions(asked[:-1], answers[:-1], kube.namespace))
    found.append(checks.pod_security(space))
    claims, quotas, ranges, pods = _in_namespace(kube)
    found.append(checks.storage(_allowed(kube, "storageclasses"), claims, wanted))
    found += checks.quota(checks.Limits(quotas, ranges, pods), wanted, claims)
    there = _allowed(kube, "nodes")
    found += [checks.capacity(there, wanted), pull(kube, context, there or [], values.get("images") or {})]
    return [*found, *_optional(kube, values)]


def rendered(kube: Kube, chart: Path, values: Mapping[str, Any]) -> list[Object]:
    """Return the objects that the chart makes with these values."""
    command = kube.helm("template", "pantheon", str(chart), "-f", "-")
    try:
        text = kube.run(command, input=yaml.safe_dump(values).encode())
    except Refused as error:
        why = error.said.removeprefix("Error: ")
        raise PantheonError(f"The chart refuses the values: {why}", "See helm/pantheon/README.md.") from None
    return [each for each in yaml.load_all(text, Loader=Loader) if each]


def _optional(kube: Kube, values: Mapping[str, Any]) -> Iterator[Finding]:
    expose = values.get("expose") or {}
    if expose.get("by") == "ingress":
        yield checks.ingress(_allowed(kube, "ingressclasses"), expose.get("className") or "")
    if expose.get("by") == "gateway":
        yield checks.gateways(expose.get("gateways") or [], lambda name, place: _gateway(kube, name, place))
    scaled = (values.get("endpoint") or {}).get("autoscaler") or {}
    if scaled.get("enabled"):
        yield checks.metrics(_answers(kube, "/apis/metrics.k8s.io/v1beta1"))


def pull(kube: Kube, context: str, there: Sequence[Object], given: Mapping[str, Any]) -> Finding:
    """Return how images come to the nodes, and whether the Secrets for it are there."""
    for name in given.get("pullSecrets") or []:
        if not any(each["metadata"]["name"] == name for each in _allowed(kube, "secrets", name) or []):
            command = f"kubectl create secret docker-registry {name} -n {kube.namespace} --docker-server=HOST"
            cure = f"Make it: `{command} --docker-username=NAME --docker-password=…`"
            return Finding("images", False, f"images.pullSecrets names the Secret {name}, which is missing", cure)
    if registry := images.Registry.of(kube.environment):
        return Finding("images", True, f"pushed to {registry.address}; nodes pull them from {registry.in_cluster}")
    try:
        way = nodes.recognise(context, there, kube.environment)
        way.check()
    except PantheonError as error:
        return Finding("images", False, error.cause.rstrip("."), error.cure)
    return Finding(
        "images", True, f"{'shared with' if way.shared else 'loaded into'} {way.kind}; no registry is needed"
    )


def _in_namespace(kube: Kube) -> tuple[list[Object], list[Object], list[Object], list[Object]]:
    """Return the claims, quotas, limits and pods that do not end; none of those that the user may not read."""
    kinds = {"PersistentVolumeClaim": "persistentvolumeclaims", "ResourceQuota": "resourcequotas"}
    kinds |= {"LimitRange": "limitranges", "Pod": "pods"}
    every: Sequence[Object] | None = _allowed(kube, ",".join(kinds.values()))  # one command is faster than four
    if every is None:
        every = [each for kind in kinds.values() for each in _allowed(kube, kind) or []]
    claims, quotas, ranges, pods = ([each for each in every if each["kind"] == kind] for kind in kinds)
    return claims, quotas, ranges, [each for each in pods if each["status"].get("phase") in ("Running", "Pending")]


def _allowed(kube: Kube, kind: str, *names: str) -> list[dict[str, Any]] | None:
    """Return the objects of a kind; None if the user may not read them, none if there is no such object or kind."""
    try:
        return [kube.json("get", kind, *names)] if names else kube.items(kind)
    except Forbidden:
        return None
    except Missing:
        return []


def _namespace(kube: Kube) -> Object | None:
    try:
        found: Object = kube.json("get", "namespace", kube.namespace)
    except Missing:
        return None
    except Forbidden:
        return {}
    return found


def _reviewed(kube: Kube, asked: Sequence[checks.Review]) -> list[Object]:
    items = [checks.review(one, kube.namespace) for one in asked]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    printed = kube.run(kube.kubectl("create", "-f", "-", "--validate=false", "-o", "json"), input=text)
    return documents(printed)


def documents(text: str) -> list[Object]:
    """Return the JSON objects that follow each other in ``text``, and those of a List."""
    found: list[Object] = []
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        found += value["items"] if value.get("kind") == "List" else [value]
        position += len(text[position:]) - len(text[position:].lstrip())
    return found


def _gateway(kube: Kube, name: str, place: str) -> bool | None:
    try:
        kube.json("get", "gateways.gateway.networking.k8s.io", name, *(["-n", place] if place else []))
    except Missing:
        return False
    except Refused as error:
        if "the server doesn't have a resource type" in error.said:
            return None
        raise
    return True


def _answers(kube: Kube, path: str) -> bool:
    try:
        kube.run(kube.kubectl("get", "--raw", path))
    except Refused:
        return False
    return True
