"""A new model takes over while requests come in; a broken one does not."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pantheon.files import write_json
from serving.model import champion
from tests.support.bundles import ROBOTS, bundle
from tests.support.button import Client, Deployment, serving
from tests.support.waiting import until

ROW = {"robot-age": 20}


def version_of(client: Client) -> Any:
    return client.get("/healthz").json["version"]


def test_the_first_model_is_detected(deployment: Deployment, tmp_path: Path) -> None:
    with serving(deployment) as (_, client):
        assert client.predict(ROW).status == 503
        deployment.publish(bundle(tmp_path / "b"))
        until(lambda: version_of(client) == "1")
        assert client.predict(ROW).json == {"prediction": [0]}
        assert client.get("/healthz").json["since"] == deployment.store.resolve("robots").since


def swap_under_load(
    deployment: Deployment, folder: Path, client: Client, serving_version: Callable[[], Any]
) -> list[tuple[int, str, bytes]]:
    """Publish versions 2 to 5 while four clients send requests; return the status, version and body of each answer."""
    answers: list[tuple[int, str, bytes]] = []
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            answer = client.predict(ROW)
            answers.append((answer.status, answer.headers.get("x-model-version", ""), answer.body))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: answers)
        for number in range(2, 6):
            deployment.publish(bundle(folder / str(number), bias=-40 if number % 2 == 0 else 40))
            until(lambda number=number: serving_version() == str(number))  # type: ignore[misc]
            until(lambda number=number: answers[-1][1] == str(number))  # type: ignore[misc]
        until(lambda: len(answers) > 100)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    return answers


def check_swaps(answers: list[tuple[int, str, bytes]]) -> None:
    """Odd and even versions answer the row differently: every answer is that of the version that its header names."""
    assert {status for status, _, _ in answers} == {200}
    assert {version for _, version, _ in answers} == {"1", "2", "3", "4", "5"}
    for _, version, body in answers:
        assert body == (b'{"prediction":[0]}' if int(version) % 2 == 0 else b'{"prediction":[1]}')


def test_swaps_under_load_lose_no_request(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "odd", bias=40))
    with serving(deployment) as (_, client):
        check_swaps(swap_under_load(deployment, tmp_path, client, lambda: version_of(client)))


def test_an_open_page_keeps_the_pictures_of_its_version(deployment: Deployment, tmp_path: Path) -> None:
    """A browser asks for them as they come into view, maybe after the swap."""
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (_, client):
        seen = client.get("/plots/1/roc.svg").body
        assert client.get("/plots/2/roc.svg").status == 404
        deployment.publish(bundle(tmp_path / "two", bias=40))
        until(lambda: version_of(client) == "2")
        assert client.get("/plots/1/roc.svg").body == seen
        assert client.get("/plots/2/roc.svg").status == 200
        deployment.model = "other"  # another model's version 1 is not this one's
        deployment.publish(bundle(tmp_path / "other"))
        until(lambda: version_of(client) == "1")
        assert client.get("/plots/2/roc.svg").status == 404


def test_a_version_with_a_wrong_checksum_is_rejected_and_the_old_one_keeps_serving(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (_, client):
        deployment.publish(bundle(tmp_path / "two"), promote=False)
        with (deployment.folder / "models" / "robots" / "2" / "model.onnx").open("ab") as file:
            file.write(b"tampered")
        deployment.store.promote("robots", "2")
        until(lambda: client.get("/healthz").json["refused"])
        health = client.get("/healthz").json
        assert (health["version"], health["refused"]["version"]) == ("1", "2")
        assert "checksum" in health["refused"]["why"]
        assert client.predict(ROW).json == {"prediction": [0]}
        assert "Version 2 cannot be served" in client.get("/").text
        assert "checksum" in client.get("/parts/status").text


def test_a_broken_version_is_rejected_until_a_good_one_is_published(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    broken = bundle(tmp_path / "two")
    (broken / "model.onnx").write_bytes(b"no model")
    with serving(deployment) as (_, client):
        deployment.publish(broken)
        until(lambda: client.get("/healthz").json["refused"])
        assert client.predict(ROW).headers["x-model-version"] == "1"
        deployment.publish(bundle(tmp_path / "three"))
        until(lambda: version_of(client) == "3")
        assert client.get("/healthz").json["refused"] is None


def test_a_rejected_version_is_tried_again(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(champion, "RETRY_SECONDS", 0.1)
    deployment.publish(bundle(tmp_path / "one"))
    model = deployment.folder / "models" / "robots" / "1" / "model.onnx"
    away = model.rename(tmp_path / "away.onnx")
    with serving(deployment) as (_, client):
        assert "model.onnx is missing" in client.get("/healthz").json["refused"]["why"]
        assert client.predict(ROW).status == 503
        assert "cannot be served" in client.predict(ROW).error["message"]
        away.rename(model)
        until(lambda: version_of(client) == "1")


def test_an_unreadable_alias_is_reported_and_polling_continues(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    deployment.publish(bundle(tmp_path / "two"), promote=False)
    alias = deployment.folder / "models" / "robots" / "aliases" / "champion.json"
    with serving(deployment) as (_, client):
        alias.write_text('{"version": 2, "since": "2026-11-22T10:00:00+00:00"}')
        until(lambda: client.get("/healthz").json["refused"])
        assert f"{alias} is damaged: its version is 2" in client.get("/healthz").json["refused"]["why"]
        assert client.predict(ROW).headers["x-model-version"] == "1"
        alias.unlink()
        deployment.store.promote("robots", "2")
        until(lambda: version_of(client) == "2")
        assert client.get("/healthz").json["refused"] is None


def test_an_unexpected_error_is_reported_once_and_polling_continues(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (button, client):
        looks = []

        def fails(*_: Any) -> None:
            looks.append(1)
            raise KeyError("colour")

        with monkeypatch.context() as broken:
            broken.setattr(button.champion._store, "alias", fails)  # not of other buttons in this process
            until(lambda: len(looks) >= 2)
            refusal = button.champion.refusal
            assert refusal is not None
            assert refusal.why == "KeyError: 'colour'"
        assert client.predict(ROW).headers["x-model-version"] == "1"
        deployment.publish(bundle(tmp_path / "two"))
        until(lambda: version_of(client) == "2")
        assert client.get("/healthz").json["refused"] is None
    assert capsys.readouterr().err.count("KeyError: 'colour'; version 1 keeps serving") == 1


def test_another_dataset_takes_over_without_a_restart(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "robots"))
    with serving(deployment) as (_, client):
        deployment.model = "churn"
        deployment.publish(bundle(tmp_path / "churn", ROBOTS[:1], "regression"))
        until(lambda: client.get("/healthz").json["model"] == "churn")
        assert client.predict({"robot-age": 10}).json == {"prediction": [9.0]}
        assert client.predict({"robot-age": 10, "battery": "low"}).status == 422


def test_growing_needs_no_restart(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (_, client):
        assert "The Persephone Protocol" in client.get("/").text
        write_json(deployment.folder / "state" / "deployment.json", {"tier": "daedalus", "dataset": "robots"})
        page = client.get("/").text
        assert "The Daedalus Dataflow" in page
        assert 'data-node="hyperparameter_tuning"' in page
