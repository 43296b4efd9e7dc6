"""What KServe's answers mean to the endpoint, and what VARIANT=kserve adds to the tier."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import json
from urllib3 import HTTPResponse

from pantheon import components, tiers
from pantheon.errors import PantheonError
from serving.inference.kserve import Away, Forwarded, Kserve, outputs
from serving.model.predictor import BrokenBundle, TooSlow
from serving.problems import Problem
from tests.support.bundles import bundle

LABELS, SHARES = np.array([0, 1], dtype=np.int64), np.array([[0.75, 0.25], [0.1, 0.9]], dtype=np.float32)
ROWS = [{"robot-age": 5}, {"robot-age": 6}]


def answer(*tensors: tuple[str, str, Any]) -> HTTPResponse:
    """A response with binary tensors."""
    said = [{"name": name, "datatype": kind, "shape": list(value.shape)} for name, kind, value in tensors]
    text = json.encode({"outputs": said})
    body = text + b"".join(value.tobytes() for _, _, value in tensors)
    return HTTPResponse(body, {"Inference-Header-Content-Length": str(len(text))}, 200)


def error(status: int, **value: str) -> HTTPResponse:
    return HTTPResponse(json.encode(value), status=status)


GOOD = answer(("probabilities", "FP32", SHARES), ("label", "INT64", LABELS))


def forwarded(folder: Path, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[Forwarded, list[str]]:
    """A version whose KServe loads it, and then gives these answers; the paths that it was asked."""
    kserve, left, asked = Kserve("http://127.0.0.1:1", "token"), [HTTPResponse(b"", status=200), *answers], []

    def send(method: str, path: str, *_: Any) -> HTTPResponse:
        asked.append(path)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(kserve, "_send", send)
    return Forwarded(kserve, bundle(folder / "bundle"), "robots", "3"), asked


def test_tensors_are_found_by_name() -> None:
    labels, shares = outputs(GOOD, ["label", "probabilities"])
    assert labels.tolist() == [0, 1]
    assert shares.tolist() == SHARES.tolist()


@pytest.mark.parametrize(
    "given",
    [
        HTTPResponse(b"{}", status=200),
        answer(("label", "INT64", LABELS)),
        answer(("label", "TEXT", LABELS), ("probabilities", "FP32", SHARES)),
        HTTPResponse(b'{"outputs": 5}', {"Inference-Header-Content-Length": "14"}, 200),
        HTTPResponse(b"no JSON", {"Inference-Header-Content-Length": "7"}, 200),
    ],
)
def test_an_answer_without_the_tensors_is_503(given: HTTPResponse) -> None:
    with pytest.raises(Problem, match="KServe's answer cannot be read") as refused:
        outputs(given, ["label", "probabilities"])
    assert refused.value.status == 503


def test_a_version_predicts_what_kserve_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version, asked = forwarded(tmp_path, monkeypatch, GOOD)
    found = version.predict(ROWS)
    assert (found.prediction, found.probabilities) == ([0, 1], [[0.75, 0.25], [0.1, 0.9]])
    assert asked == ["/v2/repository/models/robots-3/load", "/v2/models/robots-3/infer"]


def test_a_version_that_kserve_has_dropped_is_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version, asked = forwarded(tmp_path, monkeypatch, error(404, error="gone"), error(200), GOOD)
    assert version.predict(ROWS).prediction == [0, 1]
    assert [path.rpartition("/")[2] for path in asked] == ["load", "infer", "load", "infer"]


@pytest.mark.parametrize(
    ("given", "status", "text"),
    [
        ([Away("Connection refused")], 503, "KServe does not answer: Connection refused."),
        ([error(422, detail="The model fails.")], 422, "The model fails."),
        ([error(500, error="a fault")], 503, "KServe: a fault"),
        ([HTTPResponse(b"<html>", status=502)], 503, "KServe: status 502"),
        ([error(404, error="gone"), error(503, detail="damaged")], 503, "KServe cannot load version 3: damaged"),
        ([error(504, detail="late")], 503, "had no prediction after"),
    ],
)
def test_errors_are_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[Any], status: int, text: str
) -> None:
    version, _ = forwarded(tmp_path, monkeypatch, *given)
    with pytest.raises(Problem) as refused:
        version.predict(ROWS)
    assert refused.value.status == status
    assert text in refused.value.message


def test_no_request_is_sent_after_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version, asked = forwarded(tmp_path, monkeypatch)
    with pytest.raises(TooSlow):
        version.predict(ROWS, deadline=0.0)
    assert len(asked) == 1, "only that it was loaded"


def test_a_version_that_kserve_cannot_load_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kserve = Kserve("http://127.0.0.1:1", "token")
    monkeypatch.setattr(kserve, "load", lambda *_: "no ONNX graph")
    with pytest.raises(BrokenBundle, match="KServe: no ONNX graph"):
        Forwarded(kserve, bundle(tmp_path / "bundle"), "robots", "3")


@pytest.mark.parametrize("address", ["kserve:8087", "https://127.0.0.1:8087", "http://"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(PantheonError, match="ENDPOINT_KSERVE"):
        Kserve(address, "token")


def test_only_the_variant_has_kserve() -> None:
    tier = tiers.find("epimetheus")
    usual, variant = components.read(tier.compose_file), components.read(tier.definition("kserve"))
    assert [each.name for each in variant if each.name not in {other.name for other in usual}] == ["kserve"]
    assert variant.owners["endpoint"] == "endpoint"
    assert "kserve" not in usual.owners
    assert "pantheon/kserve" not in "".join(file.read_text() for file in components.files(tier.compose_file))
    assert {"endpoint", "kserve"} <= variant.left_out(["endpoint"])
