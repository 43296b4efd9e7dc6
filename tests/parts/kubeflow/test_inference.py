"""InferenceServices divide the requests of a real endpoint, and their deletion brings back what was before."""

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pantheon.files import write_json
from pantheon.kubeflow.client import Failed
from pantheon.routing import operations
from pantheon.routing import policy as policies
from tests.parts.serving.test_swap import ROW
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint
from tests.support.kubeflow import Service, ended
from tests.support.waiting import until


class Served:
    """Version 1 (the champion) answers 0, version 2 answers 1, version 3 cannot be loaded."""

    def __init__(self, deployment: Deployment, service: Service, asked: Client) -> None:
        self.deployment, self.service, self.asked = deployment, service, asked
        self.store, self.client = deployment.store, service.client
        self.environment = {"ENDPOINT_URL": f"http://127.0.0.1:{asked.port}", "ENDPOINT_PORT": str(asked.port)}

    def apply(self, name: str = "isvc", canary: Any = None, **predictor: Any) -> str:
        spec = {"predictor": predictor} | ({"canary": canary} if canary else {})
        manifest = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
        given = yaml.safe_dump({**manifest, "metadata": {"name": name}, "spec": spec}).encode()
        return self.client.apply(given)[0]["action"]

    def ready(self, name: str = "isvc") -> dict[str, Any]:
        """Wait until the newest spec is served."""

        def served(found: dict[str, Any]) -> bool:
            current = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return current and ended(found, "Ready")

        found = self.client.wait("isvc", name, served, 60)
        assert found, self.client.get("isvc", name)
        return found

    def versions(self, requests: int, **headers: str) -> Counter[str]:
        answers = [self.asked.post("/predict", {"payload": [ROW]}, **headers) for _ in range(requests)]
        assert {answer.status for answer in answers} == {200}
        return Counter(answer.headers["x-model-version"] for answer in answers)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "one", bias=-40))
    deployment.publish(bundle(folder / "two", bias=40), promote=False)
    deployment.publish(bundle(folder / "three", bias=40), promote=False)
    (deployment.folder / "models" / "robots" / "3" / "model.onnx").write_bytes(b"no model")
    settings = {"tier": "kraken", "dataset": "robots", "route": {"answers": "endpoint"}}
    write_json(deployment.folder / "state" / "deployment.json", settings)
    with endpoint(deployment) as (_, asked):
        made = Served(deployment, Service(deployment.folder, "pantheon.kubeflow"), asked)
        made.service.start(**made.environment)
        yield made
        assert made.service.end(signal.SIGTERM) == 0
        assert "Traceback" not in made.service.output


def model(version: str) -> dict[str, Any]:
    return {"modelFormat": {"name": "onnx"}, "storageUri": f"pantheon://robots/{version}"}


def reason(found: dict[str, Any], type: str) -> tuple[str, str]:
    """Return reason and message of a condition; empty texts if the object does not have it yet."""
    conditions = found["status"].get("conditions", [])
    return next(((each["reason"], each["message"]) for each in conditions if each["type"] == type), ("", ""))


def test_a_canary_from_first_request_to_deletion(served: Served) -> None:
    store, client = served.store, served.client
    operations.header(store, "robots", "x-beta", "yes", "2", "a person")
    before = store.policy("robots")
    canary = {"predictor": {"name": "next", "model": model("2")}, "trafficPercent": 20}
    assert served.apply(name="isvc", canary=[canary], model=model("champion")) == "created"
    found = served.ready()
    counted = served.versions(400)
    assert 30 < counted["2"] < 140, "20 % of 400; six sigma"
    assert served.versions(3, x_beta="yes") == {"2": 3}, "rules for headers stay"
    status = found["status"]
    assert status["url"] == f"http://127.0.0.1:{served.asked.port}/v2/models/robots"
    assert status["components"]["predictor"]["traffic"] == [
        {"latestRevision": True, "percent": 80, "revisionName": "robots-1"},
        {"latestRevision": False, "percent": 20, "revisionName": "robots-2", "tag": "next"},
    ]
    assert [(each["name"], each["ready"]) for each in status["canaryStatuses"]] == [("next", True)]
    assert {each["type"] for each in status["conditions"] if each["status"] == "True"} == {
        *("PredictorReady", "CanaryPredictorReady", "IngressReady", "Ready")
    }
    row = client.table("isvc")["rows"][0]["columns"]
    assert (row["READY"], row["LATEST"], row["LATESTREADYREVISION"]) == ("True", "80", "robots-1")

    assert served.apply(name="second", model=model("1")) == "created"
    taken = client.wait("isvc", "second", lambda found: reason(found, "Ready") != ("", ""), 60)
    assert taken
    assert reason(taken, "Ready") == (
        "Taken", "robots is served by the InferenceService default/isvc. A model has one: change or delete that."
    )  # fmt: skip
    client.delete("isvc", "second")
    assert client.gone("isvc", taken, 60)

    assert served.service.end(signal.SIGKILL) == -9
    token = store.policy("robots").token  # type: ignore[union-attr]
    operations.weights(store, "robots", {"2": 50}, "a person")
    served.service.start(**served.environment)
    changed = client.wait("isvc", "isvc", lambda found: reason(found, "Ready")[0] == "Changed", 60)
    assert changed
    assert "was changed by a person since" in reason(changed, "IngressReady")[1]
    now = store.policy("robots")
    assert now
    assert (now.by, now.token != token) == ("a person", True), "what a person set stays"

    assert served.apply(name="isvc", model=model("2")) == "configured"  # the canary becomes the predictor
    assert served.ready()["status"]["components"]["predictor"]["traffic"][0]["revisionName"] == "robots-2"
    assert served.versions(10) == {"2": 10}
    client.delete("isvc", "isvc")
    assert client.gone("isvc", changed, 60)
    restored = store.policy("robots")
    assert restored
    assert before
    assert restored == before
    assert policies.read(restored, "robots").headers
    until(lambda: served.versions(1) == {"1": 1}, what="the champion answers again")


def test_a_share_for_the_latest_with_the_one_before(served: Served) -> None:
    assert served.apply(name="rollout", model=model("1")) == "created"
    served.ready("rollout")
    served.apply(name="rollout", canaryTrafficPercent=10, model=model("2"))
    found = served.ready("rollout")
    assert served.client.table("isvc")["rows"][0]["columns"]["PREV"] == "90"
    assert [each["revisionName"] for each in found["status"]["components"]["predictor"]["traffic"]] == [
        "robots-2", "robots-1"
    ]  # fmt: skip
    assert 5 < served.versions(300)["2"] < 65, "10 % of 300; six sigma"
    served.apply(name="rollout", model=model("2"))
    served.ready("rollout")
    assert served.versions(10) == {"2": 10}
    canary = {"predictor": {"name": "x", "model": model("3")}, "trafficPercent": 1}
    served.apply(name="rollout", canary=[canary], model=model("2"))

    def is_broken(found: dict[str, Any]) -> bool:
        return reason(found, "CanaryPredictorReady")[0] == "FailedToLoad"

    broken = served.client.wait("isvc", "rollout", is_broken, 60)
    assert broken
    assert reason(broken, "CanaryPredictorReady")[1].startswith("Version 3 cannot be loaded: ")
    assert broken["status"]["canaryStatuses"][0]["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    served.client.delete("isvc", "rollout")
    assert served.client.gone("isvc", broken, 60)


@pytest.mark.parametrize(
    ("predictor", "why"),
    [
        ({"model": model("99")}, "99"),
        ({"model": {**model("1"), "storageUri": "s3://elsewhere/models/robots/1"}}, "in the folder models, not at s3://elsewhere/models"),
        ({"model": {**model("1"), "storageUri": "pantheon://nothing/1"}}, "nothing"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_ready_with_the_reason(served: Served, predictor: dict[str, Any], why: str) -> None:
    before = served.store.policy("robots")
    served.apply(name="wrong", **predictor)
    found = served.client.wait("isvc", "wrong", lambda found: reason(found, "Ready") != ("", ""), 60)
    assert found
    assert (reason(found, "Ready")[0], why in reason(found, "Ready")[1]) == ("Unavailable", True), reason(
        found, "Ready"
    )
    assert served.store.policy("robots") == before
    served.client.delete("isvc", "wrong")
    assert served.client.gone("isvc", found, 60)


def test_fields_are_refused_with_their_path(served: Served) -> None:
    with pytest.raises(
        Failed, match=r"^spec\.canary\[0\]\.predictor\.model\.storageUri: names 2 of robots, as spec\.pr"
    ):
        served.apply(canary=[{"predictor": {"name": "a", "model": model("2")}, "trafficPercent": 1}], model=model("2"))
    with pytest.raises(Failed, match=r"^spec\.predictor\.minReplicas: KServe on a cluster has this field"):
        served.apply(minReplicas=2, model=model("1"))
