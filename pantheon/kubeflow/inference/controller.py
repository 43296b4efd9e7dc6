"""The controller of InferenceServices: sets the routing policy of a model, and watches the endpoint follow it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.kubeflow.contract import BY, Job, Kind, Object, Refused
from pantheon.kubeflow.inference import spec as specs
from pantheon.kubeflow.inference import traffic
from pantheon.kubeflow.inference.spec import Spec
from pantheon.kubeflow.inference.traffic import Changed, Owner, Taken
from pantheon.kubeflow.objects import condition, is_true
from pantheon.state import published
from pantheon.store import ModelStore, open_store
from pantheon.store.records import is_version
from pantheon.web.client import Client

POLL_SECONDS, SLOW_SECONDS = 0.5, 5.0  # between two looks, before and after it is ready
RETRY_SECONDS = 2.0  # for an S3 that does not answer; the next look tries again
TIMEOUT = 5.0  # seconds to wait for the endpoint
ROLLED = "rolled.json"


@dataclass(frozen=True)
class Share:
    """A version and its share of the traffic.

    Attributes:
        name: of the canary; empty: the stable predictor; ``prev``: the one before, with ``canaryTrafficPercent``.
        target: version or alias.
    """

    name: str
    target: str
    percent: int


def columns(found: Object) -> dict[str, str]:
    """Return KServe's columns."""
    split = ((found["status"].get("components") or {}).get("predictor") or {}).get("traffic") or []
    latest: Object = next((each for each in split if each.get("latestRevision")), {})
    before: Object = next((each for each in split if each.get("tag") == "prev"), {})
    return {
        "URL": found["status"].get("url", ""),
        "READY": (condition(found, "Ready") or {}).get("status", "Unknown"),
        "PREV": str(before.get("percent", "")),
        "LATEST": str(latest.get("percent", "")),
        "PREVROLLEDOUTREVISION": before.get("revisionName", ""),
        "LATESTREADYREVISION": latest.get("revisionName", ""),
    }


class InferenceServices:
    """See ``contract.Controller``."""

    kind = Kind("InferenceService", ("serving.kserve.io/v1beta1",), "inferenceservices", ("isvc",), columns)
    finished = ()  # it is served until it is deleted
    actions = ()

    def check(self, manifest: Object, old: Object | None) -> None:
        specs.read(manifest["spec"])

    def act(self, manifest: Object, action: str) -> Object:
        raise Refused("", "an InferenceService has no actions.")

    def clear(self, job: Job) -> None:
        traffic.restore(_store(job.state), _owner(job))

    def run(self, job: Job) -> None:
        spec = specs.read(job.object["spec"])
        stable = specs.source(spec.predictor.model.storage_uri, "spec.predictor.model.storageUri")
        store, owner, endpoint = _store(job.state), _owner(job), Endpoint(job.state)
        while not job.stopping.is_set():
            try:
                endpoint.check()
                specs.here(stable, store.where)
                shares = divided(spec, stable.target, _rolled(job.folder, stable.model))
                set_now = traffic.ensure(store, stable.model, {each.target: each.percent for each in shares}, owner)
                versions = {each.target: _version(store, stable.model, each.target) for each in shares}
                self.report(job, stable.model, shares, versions, endpoint.look(stable.model), set_now.token)
            except PantheonError as error:
                self.refuse(job, error)
            ready = is_true(job.object, "Ready")
            if ready and spec.predictor.canary_traffic_percent in (None, 100):
                _roll(job.folder, stable.model, stable.target)
            job.stopping.wait(SLOW_SECONDS if ready else POLL_SECONDS)

    def report(
        self,
        job: Job,
        model: str,
        shares: list[Share],
        versions: Mapping[str, str],
        health: Mapping[str, Any],
        token: str,
    ) -> None:
        """Set status and conditions by what the endpoint says about the model; see ``serving.inference.status``."""
        url = f"{Endpoint.public()}/v2/models/{model}"
        follows = health.get("policy") == token
        loaded, refused = set(health.get("loaded") or ()), dict(health.get("refused") or {})
        states = {each.target: _state(versions[each.target], each.percent, loaded, refused) for each in shares}
        first, *rest = shares
        canaries = [each for each in shares if each.name not in ("", "prev")]
        job.status(
            url=url,
            address={"url": f"{url}/infer"},
            deploymentMode="Standard",
            components={
                "predictor": {
                    "url": url,
                    "latestReadyRevision": f"{model}-{versions[first.target]}",
                    "traffic": [
                        {
                            "latestRevision": each is first,
                            "percent": each.percent,
                            "revisionName": f"{model}-{versions[each.target]}",
                            **({"tag": each.name} if each.name else {}),
                        }
                        for each in (first, *rest)
                    ],
                }
            },
            modelStatus=_model_status(states[first.target]),
            canaryStatuses=[
                {
                    "name": each.name,
                    "ready": states[each.target][0] in ("Loaded", "Standby"),
                    "trafficPercent": each.percent,
                    "modelStatus": _model_status(states[each.target]),
                }
                for each in canaries
            ]
            or None,
        )
        good = True
        for type, some in (
            ("PredictorReady", [each for each in shares if each not in canaries]),
            ("CanaryPredictorReady", canaries),
        ):
            if not some and condition(job.object, type) is None:
                continue
            bad = [states[each.target] for each in some if states[each.target][0] not in ("Loaded", "Standby")]
            good = good and not bad
            message = bad[0][1] if bad else "It can answer." if some else "There is no canary."
            _set(job, type, not bad, "Ready" if not bad else bad[0][0], message)
        problems = [str(each) for each in health.get("problems") or ()]
        said = (
            problems[0] if problems else "The endpoint divides the requests." if follows else "The endpoint reads it."
        )
        routed = follows and not problems
        _set(job, "IngressReady", routed, "Ready" if routed else "Problem" if problems else "Waiting", said)
        _set(
            job,
            "Ready",
            good and routed,
            "Ready" if good and routed else "NotReady",
            said if good else "A model cannot answer yet.",
        )

    def refuse(self, job: Job, error: PantheonError) -> None:
        """Set conditions by an error, which may pass: the next look tries again."""
        reason = "Changed" if isinstance(error, Changed) else "Taken" if isinstance(error, Taken) else "Unavailable"
        _set(job, "IngressReady", False, reason, str(error))
        _set(job, "Ready", False, reason, str(error))


class Endpoint:
    """The endpoint of the deployment, which answers by routing policies.

    Args:
        state: the deployment's state folder.
    """

    def __init__(self, state: Path) -> None:
        self.state = state

    @staticmethod
    def public() -> str:
        """Return its address on this machine."""
        return f"http://127.0.0.1:{os.environ.get('ENDPOINT_PORT') or 8085}"

    def check(self) -> None:
        """Raise PantheonError if the deployment has none."""
        if published(self.state).route.answers != "endpoint":
            raise PantheonError(
                "this deployment has no endpoint, which serves InferenceServices.",
                "It comes with `make tier-epimetheus up`.",
                1,
            )

    def look(self, model: str) -> dict[str, Any]:
        """Return what ``/healthz`` says about a model; empty if it does not have it yet.

        Raises:
            PantheonError: it does not answer.
        """
        cure = "Look at it: `bin/pantheon status`, `bin/pantheon logs --service endpoint`."
        client = Client(os.environ.get("ENDPOINT_URL") or self.public(), "the endpoint", cure, timeout=TIMEOUT)
        answer = client.send("GET", "/healthz")
        if not answer.ok:
            raise PantheonError(f"the endpoint answered with status {answer.status}.", cure, 1)
        models: list[dict[str, Any]] = answer.json()["models"]
        return next((each for each in models if each["model"] == model), {})


def divided(spec: Spec, target: str, rolled: str) -> list[Share]:
    """Return who gets which share of the traffic, the predictor of the spec first.

    Args:
        rolled: who had all of it before; empty: nobody.
    """
    percent = spec.predictor.canary_traffic_percent
    if percent is not None and rolled and rolled != target:
        return [Share("", target, percent), Share("prev", rolled, 100 - percent)]
    canaries = [
        Share(
            each.predictor.name or "", specs.source(each.predictor.model.storage_uri, "").target, each.traffic_percent
        )
        for each in spec.canary
    ]
    return [Share("", target, 100 - sum(each.percent for each in canaries)), *canaries]


def _state(version: str, percent: int, loaded: set[str], refused: Mapping[str, str]) -> tuple[str, str]:
    """Return KServe's state of a model, and a sentence."""
    if version in refused:
        return "FailedToLoad", f"Version {version} cannot be loaded: {refused[version]}"
    if version in loaded:
        return "Loaded", f"Version {version} can answer."
    if not percent:
        return "Standby", f"Version {version} is loaded when it is asked."
    return "Loading", f"Version {version} is being loaded."


def _model_status(state: tuple[str, str]) -> dict[str, Any]:
    name, message = state
    status: dict[str, Any] = {
        "transitionStatus": {"FailedToLoad": "BlockedByFailedLoad", "Loading": "InProgress"}.get(name, "UpToDate"),
        "states": {"activeModelState": name, "targetModelState": name},
    }
    if name == "FailedToLoad":
        status["lastFailureInfo"] = {"reason": "ModelLoadFailed", "message": message}
    return status


def _set(job: Job, type: str, status: bool, reason: str, message: str) -> None:
    """Set a condition if it differs: each change is written to disk."""
    old = condition(job.object, type)
    new = ("True" if status else "False", reason, message)
    if not old or (old["status"], old["reason"], old["message"]) != new:
        job.condition(type, status, reason, message)


def _store(state: Path) -> ModelStore:
    return open_store(state, retry_seconds=RETRY_SECONDS)


def _owner(job: Job) -> Owner:
    metadata = job.object["metadata"]
    by = (metadata.get("annotations") or {}).get(BY, "")
    return Owner(f"{metadata['namespace']}/{metadata['name']}", job.folder, metadata["generation"], by)


def _version(store: ModelStore, model: str, target: str) -> str:
    return target if is_version(target) else store.resolve(model, target).version


def _rolled(folder: Path, model: str) -> str:
    try:
        found = json.loads((folder / ROLLED).read_bytes())
    except FileNotFoundError:
        return ""
    return str(found["target"]) if found["model"] == model else ""


def _roll(folder: Path, model: str, target: str) -> None:
    if _rolled(folder, model) != target:
        files.write_json(folder / ROLLED, {"model": model, "target": target}, fsync=True)
