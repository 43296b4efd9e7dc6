"""KServe's InferenceRESTClient and NVIDIA's tritonclient work on the endpoint unmodified, each in its own process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import kserve
from tests.support.bundles import ROBOTS, bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import process

HERE = Path(__file__).parent
PROBABILITIES = [[0.970688, 0.029312], [0.017986, 0.982014]]
ANSWER = {"condition": ["INT64", [0, 1]], "probabilities": ["FP64", PROBABILITIES]}
BOTH = pytest.mark.parametrize("name", ["kserve", "triton"])


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Two versions of the robots' model, and a regression of two numbers."""
    folder = tmp_path_factory.mktemp("clients")
    deployment = Deployment(folder / "deployment")
    deployment.publish(bundle(folder / "one"))
    deployment.publish(bundle(folder / "two", bias=-40), promote=False)
    deployment.store.promote("robots", "2", "challenger")
    deployment.store.publish("hours", bundle(folder / "hours", ROBOTS[:2], "regression"), {})
    deployment.store.promote("hours", "1")
    with process(deployment.folder) as (_, client):
        yield client


@pytest.fixture(scope="module")
def said(endpoint: Client) -> dict[str, dict[str, Any]]:
    """What every call of each client returned or raised."""
    given = {"ADDRESS": f"127.0.0.1:{endpoint.port}", "TOKEN": endpoint.headers["Authorization"].split()[1]}
    return {name: kserve.run(HERE / f"{name}_client.py", **given) for name in ("kserve", "triton")}


@BOTH
def test_health_and_readiness(said: dict[str, Any], name: str) -> None:
    calls = said[name]
    for call in ("live", "ready", "model ready", "version ready"):
        assert calls[call] == {"value": True}, call
    assert calls["no such model ready"] == {"value": False}


def test_metadata(said: dict[str, Any]) -> None:
    assert said["triton"]["server"]["value"]["name"] == "pantheon"
    described = said["triton"]["metadata"]["value"]
    assert (described["name"], described["versions"]) == ("robots", ["1", "2"])
    assert [(each["name"], each["datatype"]) for each in described["inputs"]] == [
        ("robot-age", "FP64"),
        ("rust-level", "FP64"),
        ("battery", "BYTES"),
    ]
    assert [each["name"] for each in described["outputs"]] == ["condition", "probabilities"]


@BOTH
@pytest.mark.parametrize("kind", ["JSON", "binary"])
def test_named_tensors_and_a_matrix(said: dict[str, Any], name: str, kind: str) -> None:
    columns = said[name][f"columns, {kind}"]["value"]
    assert (columns["id"], columns["model"], columns["outputs"]) == ("mine", "robots", ANSWER)
    matrix = said[name][f"matrix, {kind}"]["value"]
    assert (matrix["model"], matrix["outputs"]) == ("hours", {"hours": ["FP64", [11.0, 4.0]]})
    assert matrix["id"], "a request without an id gets one"


@BOTH
def test_a_version_is_named(said: dict[str, Any], name: str) -> None:
    assert said[name]["version"]["value"]["outputs"]["condition"] == ["INT64", [0, 0]]
    if name == "triton":  # KServe's client drops the version from the answer
        assert [said[name][call]["value"]["version"] for call in ("version", "columns, JSON")] == ["2", "1"]


def test_what_only_triton_has(said: dict[str, Any]) -> None:
    """Outputs by name, compressed answers (which may come uncompressed), and requests in the background."""
    assert said["triton"]["one output"]["value"]["outputs"] == {"condition": ANSWER["condition"]}
    assert said["triton"]["compressed"]["value"]["outputs"] == ANSWER
    assert said["triton"]["later"]["value"]["outputs"] == ANSWER


def test_kserves_client_of_version_1(said: dict[str, Any]) -> None:
    calls = said["kserve"]
    assert [calls[call] for call in ("v1 live", "v1 ready")] == [{"value": True}] * 2
    assert calls["v1"] == {"value": {"predictions": [0, 1]}}
    assert calls["v1 explain"] == {"value": 2}
    assert "robot-age" in calls["v1 wrong"]["text"]
    assert "422" in calls["v1 wrong"]["text"]


@BOTH
@pytest.mark.parametrize(
    ("call", "status", "text"),
    [
        ("no key", "401", "This needs an API key."),
        ("wrong key", "401", "This API key is not known"),
        ("no such model", "404", 'There is no model "nobody".'),
        ("wrong columns", "422", 'the model has no input "battery"'),
    ],
)
def test_errors_are_what_each_client_reports(
    said: dict[str, Any], name: str, call: str, status: str, text: str
) -> None:
    error = said[name][call]
    assert error["error"] == {"kserve": "HTTPStatusError", "triton": "InferenceServerException"}[name]
    assert status in error["text"]
    assert text in error["text"]
