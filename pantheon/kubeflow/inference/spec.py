"""What an InferenceService may say here: KServe's v1beta1 with ``spec.canary`` (KServe 0.20).

KServe serves each InferenceService by pods of its own. Here one server has all models of the store, so fields about
pods are refused; which versions answer, and in which shares, is the same.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.kubeflow import validation
from pantheon.kubeflow.contract import Object, Refused
from pantheon.state import is_model_name
from pantheon.store.records import is_alias, is_version

FORMATS = ("onnx",)  # every model of the store has this form
PROTOCOLS = ("v1", "v2")
ON_CLUSTERS = {  # fields of KServe about pods and runtimes; the most frequent ones
    *(
        "minReplicas",
        "maxReplicas",
        "scaleTarget",
        "scaleMetric",
        "scaleMetricType",
        "autoScaling",
        "containerConcurrency",
    ),
    *("timeout", "batcher", "logger", "resources", "containers", "initContainers", "volumes", "serviceAccountName"),
    *("nodeSelector", "tolerations", "affinity", "imagePullSecrets", "deploymentStrategy", "workerSpec", "labels"),
    *(
        "annotations",
        "transformer",
        "explainer",
        "runtime",
        "runtimeVersion",
        "env",
        "args",
        "command",
        "image",
        "storage",
    ),
    *("storageUris", "securityContext", "priorityClassName"),
}
FRAMEWORKS = {
    "sklearn",
    "xgboost",
    "lightgbm",
    "pytorch",
    "tensorflow",
    "triton",
    "onnx",
    "paddle",
    "pmml",
    "huggingface",
}
USE = "Use pantheon://MODEL/VERSION, such as pantheon://robots/7 or pantheon://robots/champion."


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base class of what a manifest says."""


class Format(Strict, frozen=True):
    name: str
    version: str | None = None


class Model(Strict, frozen=True):
    model_format: Format
    storage_uri: str
    protocol_version: str | None = None
    name: str | None = None


class Predictor(Strict, frozen=True):
    model: Model
    name: str | None = None
    canary_traffic_percent: int | None = None


class Canary(Strict, frozen=True):
    predictor: Predictor
    traffic_percent: int


class Spec(Strict, frozen=True):
    predictor: Predictor
    canary: list[Canary] = []


@dataclass(frozen=True)
class Source:
    """A version in the model store.

    Attributes:
        model: its name.
        target: the version's number, or an alias, which is followed when it moves.
        where: the store that the address names; empty: the deployment's, whatever it is.
    """

    model: str
    target: str
    where: str = ""


def read(spec: Any) -> Spec:
    """Return the spec of a manifest.

    Raises:
        Refused: it is not valid.
    """
    if isinstance(spec, dict):
        _elsewhere(spec, "spec")
        _predictor(spec.get("predictor"), "spec.predictor")
        canaries = spec.get("canary")
        for place, each in enumerate(canaries if isinstance(canaries, list) else []):
            if isinstance(each, dict):
                _predictor(each.get("predictor"), f"spec.canary[{place}].predictor")
    found = validation.convert(spec, Spec, "spec")
    stable = _check(found.predictor, "spec.predictor")
    percent = found.predictor.canary_traffic_percent
    if percent is not None and not 0 <= percent <= 100:
        raise Refused("spec.predictor.canaryTrafficPercent", f"must be 0 to 100, not {percent}.")
    if percent is not None and found.canary:
        cause = "and spec.canary are two ways to say the same."
        raise Refused("spec.predictor.canaryTrafficPercent", cause, "Remove one of them.")
    _canaries(found, stable)
    return found


def _canaries(spec: Spec, stable: Source) -> None:
    names: list[str | None] = [spec.predictor.name]
    seen = {stable.target: "spec.predictor"}
    total = 0
    for place, each in enumerate(spec.canary):
        path = f"spec.canary[{place}]"
        if each.predictor.name is None:
            raise Refused(f"{path}.predictor.name", "is missing.", "Every canary has a name.")
        if each.predictor.name in names:
            raise Refused(f"{path}.predictor.name", f"{each.predictor.name!r} is another predictor's name.")
        names.append(each.predictor.name)
        if each.predictor.canary_traffic_percent is not None:
            cure = f"Write {path}.trafficPercent."
            raise Refused(f"{path}.predictor.canaryTrafficPercent", "is not for canaries.", cure)
        if not 0 <= each.traffic_percent <= 100:
            raise Refused(f"{path}.trafficPercent", f"must be 0 to 100, not {each.traffic_percent}.")
        total += each.traffic_percent
        source, uri = _check(each.predictor, f"{path}.predictor"), f"{path}.predictor.model.storageUri"
        if source.model != stable.model:
            cause = f"is of the model {source.model}, and spec.predictor of {stable.model}."
            raise Refused(uri, cause, "A canary is another version of the same model.")
        if source.target in seen:
            raise Refused(uri, f"names {source.target} of {source.model}, as {seen[source.target]} does.")
        seen[source.target] = path
    if total > 100:
        raise Refused("spec.canary", f"the sum of trafficPercent is {total}, and must not exceed 100.")


def _check(predictor: Predictor, path: str) -> Source:
    model = predictor.model
    if predictor.name is not None:
        validation.label(predictor.name, f"{path}.name")
    if model.model_format.name not in FORMATS:
        cause = f"{model.model_format.name[:40]!r} is not served here."
        raise Refused(f"{path}.model.modelFormat.name", cause, f"The store's models are {', '.join(FORMATS)}.")
    if model.protocol_version not in (None, *PROTOCOLS):
        cause = f"{model.protocol_version!r} is not spoken here."
        raise Refused(f"{path}.model.protocolVersion", cause, f"Use {' or '.join(PROTOCOLS)}.")
    return source(model.storage_uri, f"{path}.model.storageUri")


def source(uri: str, path: str) -> Source:
    """Return the version that an address names: ``pantheon://MODEL/VERSION``, or where the model store keeps it:
    ``s3://BUCKET/models/MODEL/VERSION``, ``pvc://models/MODEL/VERSION``.

    Raises:
        Refused: it is another address.
    """
    found = re.fullmatch(r"(pantheon:/|s3://[^/]+/models|pvc://models)/([^/]+)/([^/]+?)/?", uri)
    if not found:
        scheme = uri.partition("://")[0] if "://" in uri else ""
        cause = f"{uri[:100]!r} is not a version of the model store."
        if scheme not in ("pantheon", "s3", "pvc"):
            cause = f"models are not fetched from {scheme[:20] or 'a path'}."
        raise Refused(path, cause, USE)
    place, model, target = found.groups()
    if not is_model_name(model):
        raise Refused(path, f"{model[:60]!r} is not the name of a model.", USE)
    if not (is_version(target) or is_alias(target)):
        raise Refused(path, f"{target[:60]!r} is not a version's number or an alias.", USE)
    return Source(model, target, "" if place == "pantheon:/" else "pvc" if place.startswith("pvc") else place)


def here(wanted: Source, where: str) -> None:
    """Check that the store of the deployment is the one that an address names.

    Args:
        where: of the store: a folder, or ``s3://BUCKET/models``.

    Raises:
        PantheonError: it is another one.
    """
    own = where if where.startswith("s3://") else "pvc"
    if wanted.where and wanted.where != own:
        named = "in the folder models" if own == "pvc" else f"at {where}"
        raise PantheonError(f"the models of this deployment are {named}, not at {wanted.where}.", USE)


def _elsewhere(given: Object, path: str) -> None:
    for name in given:
        if name in ON_CLUSTERS:
            cause = "KServe on a cluster has this field, but here one server has all models."
            raise Refused(f"{path}.{name}", cause, "Remove it here.")


def _predictor(given: Any, path: str) -> None:
    if isinstance(given, dict):
        for name in FRAMEWORKS & given.keys():
            cure = "Write model: {modelFormat: {name: onnx}, storageUri: …}."
            raise Refused(f"{path}.{name}", "KServe's old form of a model is not taken here.", cure)
        _elsewhere(given, path)
        if isinstance(given.get("model"), dict):
            _elsewhere(given["model"], f"{path}.model")
