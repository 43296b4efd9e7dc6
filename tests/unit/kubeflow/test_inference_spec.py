"""What an InferenceService may say, and how traffic follows from it."""

from typing import Any

import pytest

from pantheon.errors import PantheonError
from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.inference import spec as specs
from pantheon.kubeflow.inference.controller import Share, divided
from pantheon.kubeflow.inference.traffic import wanted
from pantheon.routing.policy import HeaderRule, Policy
from pantheon.routing.shares import owned


def predictor(version: str = "1", **more: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "onnx"}, "storageUri": f"pantheon://robots/{version}"}
    return {"model": model, **more}


def canary(name: str, version: str, percent: Any) -> dict[str, Any]:
    return {"predictor": predictor(version, name=name), "trafficPercent": percent}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "spec.predictor: is missing."),
        ({"predictor": {}}, "spec.predictor.model: is missing."),
        (
            {"predictor": predictor(), "transformer": {}},
            "spec.transformer: KServe on a cluster has this field, but here",
        ),
        ({"predictor": predictor(minReplicas=1)}, "spec.predictor.minReplicas: KServe on a cluster has this field"),
        (
            {"predictor": {"sklearn": {"storageUri": "x"}}},
            "spec.predictor.sklearn: KServe's old form of a model is not",
        ),
        (
            {"predictor": predictor(canaryTraficPercent=1)},
            "spec.predictor.canaryTraficPercent: there is no such field. Did you mean canaryTrafficPercent?",
        ),
        ({"predictor": predictor(canaryTrafficPercent=101)}, "spec.predictor.canaryTrafficPercent: must be 0 to 100"),
        (
            {"predictor": predictor(canaryTrafficPercent=1), "canary": [canary("a", "2", 1)]},
            "spec.predictor.canaryTrafficPercent: and spec.canary are two ways",
        ),
        ({"predictor": predictor(name="Big")}, "spec.predictor.name: 'Big' is not a valid name."),
        ({"predictor": predictor(), "canary": {}}, "spec.canary: must be a list, not a mapping."),
        (
            {"predictor": predictor(), "canary": [{"predictor": predictor("2"), "trafficPercent": 1}]},
            "spec.canary[0].predictor.name: is missing.",
        ),
        (
            {"predictor": predictor(), "canary": [{"predictor": predictor("2", name="a")}]},
            "spec.canary[0].trafficPercent: is missing.",
        ),
        (
            {"predictor": predictor(), "canary": [canary("a", "2", 1), canary("a", "3", 1)]},
            "spec.canary[1].predictor.name: 'a' is another",
        ),
        (
            {"predictor": predictor(), "canary": [canary("a", "2", "1")]},
            "spec.canary[0].trafficPercent: must be a whole number, not a string.",
        ),
        (
            {"predictor": predictor(), "canary": [canary("a", "2", -1)]},
            "spec.canary[0].trafficPercent: must be 0 to 100",
        ),
        (
            {"predictor": predictor(), "canary": [canary("a", "2", 60), canary("b", "3", 41)]},
            "spec.canary: the sum of trafficPercent is 101",
        ),
        (
            {"predictor": predictor(), "canary": [canary("a", "1", 1)]},
            "spec.canary[0].predictor.model.storageUri: names 1 of robots, as spec.predictor does.",
        ),
        (
            {
                "predictor": predictor(),
                "canary": [
                    {
                        "predictor": {
                            "name": "a",
                            "model": {"modelFormat": {"name": "onnx"}, "storageUri": "pantheon://other/1"},
                        },
                        "trafficPercent": 1,
                    }
                ],
            },
            "spec.canary[0].predictor.model.storageUri: is of the model other",
        ),
        (
            {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "pantheon://a/1"}}},
            "spec.predictor.model.modelFormat.name: 'sklearn' is not served here.",
        ),
        (
            {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "gs://a/b"}}},
            "spec.predictor.model.storageUri: models are not fetched from gs.",
        ),
        (
            {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "pantheon://a/b/c"}}},
            "spec.predictor.model.storageUri: 'pantheon://a/b/c' is not a version",
        ),
        (
            {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "pantheon://../1"}}},
            "spec.predictor.model.storageUri: '..' is not the name",
        ),
    ],
)
def test_each_field_is_refused_with_its_path(spec: Any, said: str) -> None:
    with pytest.raises(Refused) as refused:
        specs.read(spec)
    assert str(refused.value).startswith(said)


def test_addresses_of_versions() -> None:
    for uri, where in [
        ("pantheon://robots/7", ""),
        ("s3://mine/models/robots/7/", "s3://mine/models"),
        ("pvc://models/robots/7", "pvc"),
    ]:
        found = specs.source(uri, "")
        assert (found.model, found.target, found.where) == ("robots", "7", where)
    specs.here(specs.source("s3://mine/models/robots/7", ""), "s3://mine/models")
    with pytest.raises(PantheonError, match="are at s3://mine/models, not at pvc"):
        specs.here(specs.source("pvc://models/robots/7", ""), "s3://mine/models")
    with pytest.raises(PantheonError, match="are in the folder models, not at s3://mine/models"):
        specs.here(specs.source("s3://mine/models/robots/7", ""), "/state/models")


def test_shares() -> None:
    plain = specs.read({"predictor": predictor("champion"), "canary": [canary("a", "2", 30), canary("b", "3", 0)]})
    assert divided(plain, "champion", "1") == [Share("", "champion", 70), Share("a", "2", 30), Share("b", "3", 0)]
    latest = specs.read({"predictor": predictor("2", canaryTrafficPercent=10)})
    assert divided(latest, "2", "1") == [Share("", "2", 10), Share("prev", "1", 90)]
    assert divided(latest, "2", "") == [Share("", "2", 100)], "there is nothing before the first"
    assert divided(latest, "2", "2") == [Share("", "2", 100)]


def test_a_policy_keeps_what_is_not_about_shares() -> None:
    rule = HeaderRule("x-beta", "yes", "2")
    before = Policy("robots", headers=(rule,), split=((10_000, "champion"),), sticky="key", shadows=("3",))
    split = wanted("robots", {"1": 70, "2": 30, "3": 0}, before)
    assert owned(split.split) == {"1": 7000, "2": 3000}
    assert (split.headers, split.sticky, split.shadows, split.pin) == ((rule,), "key", ("3",), "")
    pinned = wanted("robots", {"1": 0, "2": 100}, split)
    assert (pinned.pin, pinned.split, pinned.sticky) == ("2", (), "")
    wider = wanted("robots", {"1": 50, "2": 50}, split)
    assert sum(abs(wider_end - end) for (wider_end, _), (end, _) in zip(wider.split, split.split, strict=False)) > 0
