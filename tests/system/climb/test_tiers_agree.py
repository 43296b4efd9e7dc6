"""The same data, parameters and seed give the same labels, and metrics equal to 1e-9, at every tier."""

import json
from typing import Any

import numpy as np
import pytest

from tests.support.agreement import answers, differences, experiments
from tests.support.climb import BUILT, DATASETS, DATASETS_OF, Climb

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module", params=DATASETS)
def results(request: pytest.FixtureRequest, climb: Climb) -> dict[str, Any]:
    """Per tier: the metrics of a run, and the answers of its model to the held-out rows."""
    found = {}
    for tier in BUILT:
        if request.param not in DATASETS_OF[tier]:
            continue
        run = climb.run(tier, request.param)
        found[tier] = {"metrics": json.loads((run / "metrics.json").read_text()), "answers": answers(run)}
    return found


def test_tiers_use_different_runners(climb: Climb) -> None:
    """Five steps, a graph, tasks of Airflow, notebooks, a pipeline: else agreement would say nothing."""
    runners = {tier: json.loads((climb.run(tier, "robots") / "run.json").read_text())["runner"] for tier in BUILT}
    assert (runners["persephone"], runners["daedalus"]) == ("script", "graph")
    ran = {tier: {p.stem for p in (climb.run(tier, "robots") / "notebooks").glob("*.ipynb")} for tier in BUILT[3:]}
    assert "train" in ran["zeus"]
    for tier in BUILT[BUILT.index("nemesis") : BUILT.index("kraken")]:
        assert ran["zeus"] | {"quick_preprocessing"} == ran[tier]
    assert ran["kraken"] == set(), "Kubeflow runs pipelines"
    assert experiments(climb.run("kraken", "robots")), "Katib's Experiments tune"
    recorded = [tier for tier in BUILT if (climb.run(tier, "robots") / "version_control.json").exists()]
    assert recorded == BUILT[BUILT.index("odysseus") :]
    assert not (climb.run("prometheus", "robots") / "notebooks").exists()


def test_metrics_agree_to_1e_9(results: dict[str, Any]) -> None:
    first, *others = results.values()
    for other in others:
        assert list(differences(first["metrics"], other["metrics"])) == []


def test_labels_are_the_same(results: dict[str, Any]) -> None:
    first, *others = (r["answers"] for r in results.values())
    for other in others:
        for one, two in zip(first, other, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-9)


def test_a_different_seed_changes_the_results(results: dict[str, Any]) -> None:
    """The comparison can fail: one changed figure is found."""
    first = next(iter(results.values()))["metrics"]
    changed = json.loads(json.dumps(first))
    name = next(iter(changed["held_out"]))
    changed["held_out"][name] += 1e-6
    assert [place for place, *_ in differences(first, changed)] == [f"/held_out/{name}"]
