"""Growing in place, from persephone to the last tier that is built: nothing is lost, nothing is restarted."""

import json
import re

import pytest

from .conftest import BUILT, DATASETS_OF, Climb

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_no_request_is_lost_on_the_way(climb: Climb) -> None:
    assert climb.load.lost == []
    assert climb.load.predictions > 100


@pytest.mark.parametrize("tier", BUILT[1:])
def test_what_both_tiers_run_goes_on(climb: Climb, tier: str) -> None:
    before, after = climb.rungs[tier].pids
    assert before
    assert {name: after.get(name) for name in before} == before, "the same processes as before"


@pytest.mark.parametrize("tier", BUILT)
def test_everything_is_healthy(climb: Climb, tier: str) -> None:
    states = {service["name"]: service["state"] for service in climb.rungs[tier].services}
    assert set(states.values()) <= {"healthy", "completed"}, states


@pytest.mark.parametrize("tier", BUILT[1:])
def test_data_models_runs_and_notebooks_are_kept(climb: Climb, tier: str) -> None:
    rung = climb.rungs[tier]
    assert rung.before
    assert rung.before.items() <= rung.after.items()


@pytest.mark.parametrize("tier", BUILT[1:])
def test_every_version_alias_and_date_goes_along(climb: Climb, tier: str) -> None:
    before, after = climb.rungs[tier].versions
    assert "robots champion" in before
    assert before == after


def test_from_nemesis_on_models_are_in_s3_and_the_folder_stays_as_it_was(climb: Climb) -> None:
    before, after = (dict(side) for side in (climb.rungs["nemesis"].before, climb.rungs[BUILT[-1]].after))
    folder = {name: digest for name, digest in before.items() if name.startswith("models/")}
    assert folder
    assert folder == {name: digest for name, digest in after.items() if name.startswith("models/")}
    assert "s3://pantheon/models" in climb.pantheon("status").out


@pytest.mark.parametrize("tier", BUILT[1:])
def test_the_difference_is_said_first(climb: Climb, tier: str) -> None:
    said, before = climb.rungs[tier].said, BUILT[BUILT.index(tier) - 1]
    assert f"growing in place: {before} → {tier}" in said
    keeps, adds = ("".join(re.findall(rf"^  {word} .*$", said, flags=re.M)) for word in ("keeps", "adds"))
    assert "button" in keeps
    assert "memory" in said
    new = {s["name"] for s in climb.rungs[tier].services} - {s["name"] for s in climb.rungs[before].services}
    assert all(name in adds for name in new)


@pytest.mark.parametrize("tier", BUILT)
def test_each_tier_says_that_it_led_the_run(climb: Climb, tier: str) -> None:
    for data in climb.rungs[tier].runs:
        assert json.loads((climb.run(tier, data) / "run.json").read_text())["tier"] == tier


@pytest.mark.parametrize("tier", [tier for tier in BUILT if len(DATASETS_OF[tier]) > 1])
def test_two_runs_at_once_do_not_disturb_each_other(climb: Climb, tier: str) -> None:
    """They ran at the same time, each on its own data; that their figures are right, test_tiers_agree says."""
    spans = {}
    for data in DATASETS_OF[tier][:2]:
        run = climb.run(tier, data)
        assert json.loads((run / "run.json").read_text())["dataset"] == data
        stages = [json.loads(path.read_text()) for path in (run / "stages").glob("*.json")]
        spans[data] = (min(stage["started"] for stage in stages), max(stage["finished"] for stage in stages))
    (begin, end), (other_begin, other_end) = spans.values()
    assert begin < other_end and other_begin < end
