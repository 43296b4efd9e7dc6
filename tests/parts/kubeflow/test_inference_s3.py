"""InferenceServices of a model store in S3: its addresses, a canary, an S3 that is away, and the deletion."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from pantheon.files import write_json
from tests.parts.serving.test_s3_swap import ROW, deployment, store_of
from tests.support import s3_servers as servers
from tests.support.bundles import bundle
from tests.support.button import Client
from tests.support.endpoint import process
from tests.support.kubeflow import Service
from tests.support.waiting import until


def manifest(uri: str, canary: str = "") -> bytes:
    def model(place: str) -> dict[str, Any]:
        return {"model": {"modelFormat": {"name": "onnx"}, "storageUri": place}}

    spec: dict[str, Any] = {"predictor": model(uri)}
    if canary:
        spec["canary"] = [{"predictor": {"name": "next", **model(canary)}, "trafficPercent": 30}]
    given = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "shop"}}
    return yaml.safe_dump({**given, "spec": spec}).encode()


def answers(asked: Client, requests: int) -> Counter[str]:
    found = [asked.post("/predict", {"payload": [ROW]}) for _ in range(requests)]
    assert {answer.status for answer in found} == {200}
    return Counter(answer.headers["x-model-version"] for answer in found)


def test_an_inferenceservice_of_a_store_in_s3(tmp_path: Path) -> None:
    (tmp_path / "weed").mkdir()
    with servers.weed(tmp_path / "weed") as seaweed:
        state = deployment(tmp_path / "state-folder", seaweed)
        store = store_of(state, tmp_path)
        for number, bias in (("1", -40), ("2", 40)):
            store.publish("robots", bundle(tmp_path / number, bias=bias), {})
        store.promote("robots", "1")
        settings = {"tier": "kraken", "dataset": "robots", "route": {"answers": "endpoint"}}
        write_json(state / "state" / "deployment.json", settings)
        given = {"AWS_SHARED_CREDENTIALS_FILE": str(state / "secrets" / "s3" / "credentials")}
        bucket = store.where.removeprefix("s3://").partition("/")[0]
        with process(state, **given) as (_, asked):
            service = Service(state, "pantheon.kubeflow")
            client = service.start(
                **given, ENDPOINT_URL=f"http://127.0.0.1:{asked.port}", ENDPOINT_PORT=str(asked.port)
            )

            def said(type: str) -> dict[str, str]:
                found = client.get("isvc", "shop")
                current = found["status"].get("observedGeneration") == found["metadata"]["generation"]
                conditions = found["status"].get("conditions", []) if current else []
                return next((each for each in conditions if each["type"] == type), {"status": "", "message": ""})

            client.apply(manifest(f"s3://{bucket}/models/robots/1", canary="pantheon://robots/2"))
            until(lambda: said("Ready")["status"] == "True", what="both versions are loaded from S3")
            assert 20 < answers(asked, 200)["2"] < 110, "30 % of 200; six sigma"
            seaweed.kill()
            until(lambda: "does not answer" in said("Ready")["message"], what="it says that S3 is away")
            assert said("Ready")["status"] == "False"
            assert sum(answers(asked, 20).values()) == 20, "the endpoint goes on"
            client.apply(manifest(f"s3://{bucket}/models/robots/2"))
            seaweed.start()
            until(lambda: said("Ready")["status"] == "True", what="the change is made when S3 is back")
            assert answers(asked, 10) == {"2": 10}
            client.apply(manifest("s3://elsewhere/models/robots/2"))
            until(lambda: "elsewhere" in said("Ready")["message"], what="another bucket is refused")
            assert f"s3://{bucket}" in said("Ready")["message"], "it names the right one"
            found = client.delete("isvc", "shop")
            assert client.gone("isvc", found, 60)
            until(lambda: answers(asked, 1) == {"1": 1}, what="the champion answers again")
            assert service.end(signal.SIGTERM) == 0
            assert "Traceback" not in service.output, service.output
