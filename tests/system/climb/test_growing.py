"""Growing in place, from persephone to the last implemented tier, loses no data and restarts no service."""

import json
import re

import pytest

from tests.support.climb import BUILT, DATASETS_OF, Climb

pytestmark = pytest.mark.timeout(1800)


def test_no_request_is_lost_while_growing(climb: Climb) -> None:
    assert climb.load.lost == []
    assert climb.load.predictions > 100


@pytest.mark.parametrize("tier", BUILT[1:])
def test_services_of_both_tiers_keep_running(climb: Climb, tier: str) -> None:
    before, after = climb.rungs[tier].pids
    assert before
    if tier == "kraken":  # JupyterHub gets the address of JupyterLab, which goes on at another one
        assert after["jupyter"] != before.pop("jupyter")
    assert {name: after.get(name) for name in before} == before, "the same processes as before"


@pytest.mark.parametrize("tier", BUILT)
def test_every_service_of_a_tier_is_healthy(climb: Climb, tier: str) -> None:
    states = {service["name"]: service["state"] for service in climb.rungs[tier].services}
    assert set(states.values()) <= {"healthy", "completed"}, states


@pytest.mark.parametrize("tier", BUILT[1:])
def test_data_models_runs_and_notebooks_are_kept(climb: Climb, tier: str) -> None:
    rung = climb.rungs[tier]
    assert rung.before
    assert rung.before.items() <= rung.after.items()


@pytest.mark.parametrize("tier", BUILT[1:])
def test_every_version_alias_and_date_is_migrated(climb: Climb, tier: str) -> None:
    before, after = climb.rungs[tier].versions
    assert "robots champion" in before
    assert before == after


def test_from_nemesis_on_models_are_in_s3_and_the_folder_does_not_change(climb: Climb) -> None:
    before, after = (dict(side) for side in (climb.rungs["nemesis"].before, climb.rungs[BUILT[-1]].after))
    folder = {name: digest for name, digest in before.items() if name.startswith("models/")}
    assert folder
    assert folder == {name: digest for name, digest in after.items() if name.startswith("models/")}
    assert "s3://pantheon/models" in climb.pantheon("status").out


@pytest.mark.parametrize("tier", BUILT[1:])
def test_up_first_prints_the_difference_between_the_tiers(climb: Climb, tier: str) -> None:
    said, before = climb.rungs[tier].said, BUILT[BUILT.index(tier) - 1]
    assert f"growing in place: {before} → {tier}" in said
    keeps, adds = ("".join(re.findall(rf"^  {word} .*$", said, flags=re.M)) for word in ("keeps", "adds"))
    assert "button" in keeps
    assert "memory" in said
    new = {s["name"] for s in climb.rungs[tier].services} - {s["name"] for s in climb.rungs[before].services}
    assert all(name in adds for name in new)


@pytest.mark.parametrize("tier", BUILT)
def test_a_run_records_its_tier(climb: Climb, tier: str) -> None:
    for data in climb.rungs[tier].runs:
        assert json.loads((climb.run(tier, data) / "run.json").read_text())["tier"] == tier


@pytest.mark.parametrize("tier", [tier for tier in BUILT if len(DATASETS_OF[tier]) > 1])
def test_concurrent_runs_do_not_affect_each_other(climb: Climb, tier: str) -> None:
    """They ran at the same time, each on its own data; that their figures are right, test_tiers_agree says."""
    spans = {}
    for data in DATASETS_OF[tier][:2]:
        run = climb.run(tier, data)
        assert json.loads((run / "run.json").read_text())["dataset"] == data
        stages = [json.loads(path.read_text()) for path in (run / "stages").glob("*.json")]
        spans[data] = (min(stage["started"] for stage in stages), max(stage["finished"] for stage in stages))
    (begin, end), (other_begin, other_end) = spans.values()
    assert begin < other_end and other_begin < end
