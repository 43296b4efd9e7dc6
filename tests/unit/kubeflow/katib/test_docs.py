"""docs/experiments.md: its manifests are valid, and its table of algorithms is complete."""

import copy
import re

import pytest
import yaml

from pantheon.kubeflow.katib.algorithms import ALGORITHMS, MEDIANSTOP, ON_A_CLUSTER
from pantheon.kubeflow.katib.controller import Experiments
from pantheon.kubeflow.katib.plan import MOST_PARALLEL, MOST_TRIALS
from pantheon.kubeflow.validation import manifest
from tests.support import ROOT

PAGE = (ROOT / "docs" / "experiments.md").read_text()


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_ENVIRONMENT", "/opt/workflow")
    monkeypatch.setenv("TRAINER_SLOTS", "4")


def test_its_manifests_are_taken() -> None:
    whole, part = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    kind = Experiments.kind
    Experiments().check(manifest(copy.deepcopy(whole), [kind])[1], None)
    whole["spec"] |= part
    whole["spec"]["parameters"] = [{"name": "depth", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "9"}}]
    Experiments().check(manifest(whole, [kind])[1], None)


def test_it_names_every_algorithm_with_its_settings() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", PAGE, re.MULTILINE))
    for name, settings in ALGORITHMS.items():
        said = rows["tpe" if rows[name] == "the same" else name]
        for setting in settings.keys() - {"random_state"}:
            assert f"`{setting}`" in said, (name, setting)
    for name in (*ON_A_CLUSTER, *MEDIANSTOP):
        assert f"`{name}`" in PAGE
    assert f"at most {MOST_TRIALS:,}, of which {MOST_PARALLEL} run at once" in PAGE
