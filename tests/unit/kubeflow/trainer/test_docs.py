"""The manifests in docs/train-jobs.md are valid, and its table of runtimes is complete."""

import re

import pytest
import yaml

from pantheon.kubeflow.contract import Object
from pantheon.kubeflow.trainer.controller import TrainJobs
from pantheon.kubeflow.trainer.plan import RESERVED
from pantheon.kubeflow.trainer.runtimes import priorities, runtimes
from pantheon.kubeflow.validation import manifest
from tests.support import ROOT

PAGE = (ROOT / "docs" / "train-jobs.md").read_text()
MANIFESTS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("given", MANIFESTS, ids=[each["metadata"]["name"] for each in MANIFESTS])
def test_a_manifest_is_taken(monkeypatch: pytest.MonkeyPatch, given: Object) -> None:
    monkeypatch.setenv("WORKFLOW_ENVIRONMENT", "/opt/workflow")
    monkeypatch.delenv("TRAINER_SLOTS", raising=False)
    jobs = TrainJobs()
    jobs.check(manifest(given, [jobs.kind])[1], None)


def test_the_page_names_every_runtime_priority_and_variable() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == [
        "plainml-distributed",
        "pantheon-workflow",
        "torch-distributed",
        "jax-distributed",
        "xgboost-distributed",
    ]
    assert len(runtimes()) == 5
    assert "# low, normal or high" in PAGE
    assert set(priorities()) == {"low", "normal", "high"}
    for name in [name for names in RESERVED.values() for name in names]:
        assert f"`{name}`" in PAGE
    for name, times in [("plainml-distributed", 3), ("pantheon-workflow", 1)]:
        policy = runtimes()[name].failure_policy
        assert policy is not None
        assert policy.max_restarts == times
    assert runtimes()["torch-distributed"].backoff_limit == 6
