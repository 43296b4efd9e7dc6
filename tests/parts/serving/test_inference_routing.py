"""Routing over HTTP: policies take effect without a lost request, and a shadow changes nothing for anybody."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pantheon.predictions.ids import new_id
from pantheon.predictions.service import Service
from pantheon.routing.bandit import shares
from pantheon.routing.choose import Chooser
from pantheon.routing.policy import Bandit, HeaderRule, Policy, as_json, read
from pantheon.store import ANY, StoredPolicy
from serving.inference import shadows
from serving.inference.service import Endpoint
from tests.parts.serving.test_inference_log import answers as logged_answers
from tests.parts.serving.test_swap import ROW
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, spool_of
from tests.support.waiting import until


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Iterator[tuple[Deployment, Endpoint, Client]]:
    """Version 1 answers 0 (the champion), version 2 answers 1 (the challenger), version 3 is named by nothing."""
    deployment.publish(bundle(tmp_path / "one", bias=-40))
    deployment.publish(bundle(tmp_path / "two", bias=40), promote=False)
    deployment.publish(bundle(tmp_path / "three", bias=40), promote=False)
    deployment.store.promote("robots", "2", "challenger")
    with endpoint(deployment) as (service, client):
        yield deployment, service, client


def route(deployment: Deployment, **policy: Any) -> None:
    new = Policy("robots", **policy).checked()
    deployment.store.swap_policy("robots", StoredPolicy.new(as_json(new), new.versions), ANY)


def versions(client: Client, requests: int = 1, **headers: str) -> Counter[str]:
    answers = [client.post("/predict", {"payload": [ROW]}, **headers) for _ in range(requests)]
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.headers["x-model-version"] for answer in answers)


def test_a_pinned_version_is_loaded_and_takes_effect(
    served: tuple[Deployment, Endpoint, Client],
) -> None:
    deployment, _, client = served
    assert versions(client) == {"1": 1}
    route(deployment, pin="3")
    until(lambda: versions(client) == {"3": 1})
    deployment.store.swap_policy("robots", None, ANY)
    until(lambda: versions(client) == {"1": 1})


def test_headers_and_weights(served: tuple[Deployment, Endpoint, Client]) -> None:
    deployment, _, client = served
    route(deployment, headers=(HeaderRule("x-customer", "new", "challenger"),))
    until(lambda: versions(client, x_customer="new") == {"2": 1})
    assert versions(client, x_customer="old") == {"1": 1}
    route(deployment, split=((5_000, "champion"), (10_000, "challenger")))
    until(lambda: versions(client, 20).keys() == {"1", "2"})
    assert 50 < versions(client, 200)["2"] < 150  # seven sigma


def test_a_policy_that_cannot_be_read_leaves_the_champion(served: tuple[Deployment, Endpoint, Client]) -> None:
    deployment, _, client = served
    route(deployment, pin="2")
    until(lambda: versions(client) == {"2": 1})
    (deployment.folder / "models" / "robots" / "policy.json").write_text("{")
    until(lambda: versions(client) == {"1": 1})
    assert "policy" in client.get("/healthz").json["models"][0]["refused"]


def test_what_a_policy_names_that_cannot_answer_is_a_problem(served: tuple[Deployment, Endpoint, Client]) -> None:
    deployment, _, client = served
    assert client.get("/healthz").json["models"][0]["problems"] == []
    route(deployment, pin="99")
    until(lambda: client.get("/healthz").json["models"][0]["problems"])
    (problem,) = client.get("/healthz").json["models"][0]["problems"]
    assert problem.startswith("The policy names version 99, which does not exist")
    assert versions(client) == {"1": 1}


def test_the_service_of_the_log_lets_feedback_divide_the_traffic(served: tuple[Deployment, Endpoint, Client]) -> None:
    deployment, _, client = served
    route(deployment, bandit=Bandit(("champion", "challenger")))
    until(lambda: versions(client, 20).keys() == {"1", "2"})
    answers = [client.post("/predict", {"payload": [ROW]}) for _ in range(60)]
    right = [(answer.headers["x-request-id"], answer.headers["x-model-version"] == "2") for answer in answers]
    first, (id, good) = right[0], right[-1]
    for known, correct in [*right, first, (new_id(), True), (id, not good), (id, good)]:  # doubled, forged, corrected
        assert client.post("/feedback", {"id": known, "correct": correct}).status == 200
    said: list[str] = []
    service = Service(deployment.folder, spool_of(deployment.folder), None, said.append)
    until(lambda: service.look() and said, 90)
    assert said == ["The bandit of robots has new shares, which follow the feedback."]
    judged = Counter(answer.headers["x-model-version"] for answer in answers)
    counts = {"1": (0, judged["1"]), "2": (judged["2"], 0)}
    stored = deployment.store.policy("robots")
    assert stored
    bandit = read(stored, "robots").bandit
    assert bandit
    assert bandit.counts == counts
    assert bandit.shares == shares({"champion": "1", "challenger": "2"}, counts)
    ids = [new_id() for _ in range(10_000)]
    chosen = lambda: Counter(client_chooser(served).choose(id, {}, "").version for id in ids)  # noqa: E731
    until(lambda: chosen()["1"] < 0.03 * len(ids))  # only the floor is left to version 1


def client_chooser(served: tuple[Deployment, Endpoint, Client]) -> Chooser:
    return served[1].models.hosted["robots"].chooser


def test_a_shadow_whose_process_is_killed_changes_no_answer(
    served: tuple[Deployment, Endpoint, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadows, "AGAIN_SECONDS", 0.05)
    deployment, service, client = served
    route(deployment, shadows=("challenger",))
    until(lambda: service.models.hosted["robots"].policy)
    seen = 0
    for _ in range(2):
        until(lambda: versions(client) == {"1": 1} and service.metrics.events["shadow answered"] > seen)  # noqa: B023
        assert service.shadows._process
        service.shadows._process.kill()
        assert versions(client, 50) == {"1": 50}
        until(lambda: service.metrics.events["shadow failed"] or not service.shadows._waiting)
        seen = service.metrics.events["shadow answered"]
    until(lambda: versions(client) == {"1": 1} and service.metrics.events["shadow answered"] > seen)
    logged = Counter((record.version, record.shadow) for record in (e.record for e in logged_answers(deployment)))
    assert set(logged) == {("1", False), ("2", True)}
    assert logged["2", True] >= service.metrics.events["shadow answered"]


def test_a_shadow_that_answers_nan_changes_nothing(served: tuple[Deployment, Endpoint, Client], tmp_path: Path) -> None:
    deployment, service, client = served
    deployment.publish(overflowing(tmp_path / "four"), promote=False)
    route(deployment, shadows=("4",))
    until(lambda: "4" in service.models.hosted["robots"].loaded)
    answers = [client.predict({"robot-age": 60}) for _ in range(20)]
    assert {(answer.status, answer.json["prediction"][0]) for answer in answers} == {(200, 0)}
    until(lambda: service.metrics.events["shadow refused"] == 20)
    refused = [entry.record for entry in logged_answers(deployment) if entry.record.shadow]
    assert {(record.version, record.status) for record in refused} == {("4", 422)}
    assert "no finite answer" in refused[0].error


def overflowing(folder: Path) -> Path:
    """A bundle whose model answers NaN for large ages."""
    path = bundle(folder) / "model.onnx"
    model = onnx.load(str(path))
    (weights,) = (each for each in model.graph.initializer if each.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(2e37), "weights"))
    onnx.save(model, str(path))
    return folder
