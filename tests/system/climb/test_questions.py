"""A running tier can answer exactly the questions that the table in the design promises."""

import getpass
import json
from datetime import datetime
from typing import Any

import pytest

from pantheon.tiers import all_tiers
from tests.support.climb import BUILT, Climb

pytestmark = pytest.mark.timeout(1800)

# As promised; not the table that the button has.
FIRST = {
    "What are the input dimensions, and the output's?": "persephone",
    "Which version serves now, when was it released, on what data was it trained (name, hash)?": "persephone",
    "Which version served at time T?": "nemesis",
    "Can I have that training data, code and parameters back?": "odysseus",
    "Which version answered this request, with what input?": "epimetheus",
    "What did users say about it?": "epimetheus",
    "What were this entity's features at time T?": "hephaestus",
    "Who ran it, who may?": "kraken",
}
ORDER = [tier.name for tier in all_tiers()]


WHEN = ["grown", "run", "rolled back"]
SERVING, SERVED_AT, RESTORE, REQUEST, SAID, FEATURES, WHO = list(FIRST)[1:]


def said(climb: Climb, tier: str, when: str) -> dict[str, dict[str, Any]]:
    return {each["question"]: each for each in climb.rungs[tier].asked[when]["questions"]}


def since(tier: str) -> list[str]:
    return [name for name in BUILT if ORDER.index(name) >= ORDER.index(tier)]


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("tier", BUILT)
def test_a_tier_answers_exactly_the_promised_questions(climb: Climb, tier: str, when: str) -> None:
    answers = said(climb, tier, when)
    assert list(answers) == list(FIRST)
    for question, first in FIRST.items():
        able, found = tier in since(first), answers[question]
        assert found["state"] == ("answered" if able else "cannot"), found
        assert found["first"]["tier"] == first
        assert bool(found["source"]) is able, "an answer says where it came from"
        assert (f"The first tier that can is {first}" in found["answer"]) is not able


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("tier", BUILT)
def test_the_served_model_is_the_one_that_a_run_released(climb: Climb, tier: str, when: str) -> None:
    facts = said(climb, tier, when)[SERVING]["facts"]
    outcomes = {path.parent: json.loads(path.read_text()) for path in climb.pantheon.state.glob("runs/*/outcome.json")}
    (run,) = [r for r, o in outcomes.items() if (o["model"], o["version"]) == (facts["model"], facts["version"])]
    loaded = json.loads((run / "reports" / "load_data.json").read_text())
    assert facts["data"] == {"name": facts["model"], "sha256": loaded["sha256"], "rows": loaded["rows"]}
    assert datetime.fromisoformat(facts["released"]) >= datetime.fromisoformat(facts["made"])


@pytest.mark.parametrize("tier", BUILT)
def test_a_rollback_appears_in_the_answers_immediately(climb: Climb, tier: str) -> None:
    back = said(climb, tier, "rolled back")
    assert back[SERVING]["facts"]["model"] == "robots"
    assert back[SERVING]["facts"]["version"] == climb.rungs[tier].served["rolled back"]


@pytest.mark.parametrize("tier", since("nemesis"))
def test_the_history_contains_the_version_served_before_the_rollback(climb: Climb, tier: str) -> None:
    back = said(climb, tier, "rolled back")
    then, now = back[SERVED_AT]["facts"], back[SERVING]["facts"]
    assert then["until"] == now["released"]
    assert then["version"] == climb.rungs[tier].served["run"] != now["version"]
    assert back[SERVED_AT]["source"].startswith("the object versions of s3://")


@pytest.mark.parametrize("tier", since("odysseus"))
def test_the_inputs_of_a_run_can_be_restored(climb: Climb, tier: str) -> None:
    facts = said(climb, tier, "run")[RESTORE]["facts"]
    assert facts["can"], facts
    assert facts["version"] == said(climb, tier, "run")[SERVING]["facts"]["version"]
    assert facts["objects"] >= 1
    git = climb.pantheon.state / "repositories" / "main.git"
    loose = git / "refs" / "tags" / facts["tag"]
    assert facts["commit"] in (loose if loose.exists() else git / "packed-refs").read_text()


@pytest.mark.parametrize("when", ["grown", "rolled back"])
def test_the_inputs_of_a_model_made_before_odysseus_cannot_be_restored(climb: Climb, when: str) -> None:
    found = said(climb, "odysseus", when)[RESTORE]
    assert found["facts"]["can"] is False
    assert "before this deployment had DVC" in found["answer"]


@pytest.mark.parametrize("tier", since("epimetheus"))
def test_a_request_and_what_was_said_about_it_are_in_the_log(climb: Climb, tier: str) -> None:
    answers = said(climb, tier, "grown")
    assert answers[REQUEST]["facts"]["id"]
    assert answers[SAID]["facts"]["id"] == climb.rungs[tier].judged


def test_who_ran_it_and_who_may(climb: Climb) -> None:
    """A run from before kraken, and one in Kubeflow; ann was added before the last question."""
    grown, run, back = (said(climb, "kraken", when)[WHO]["facts"] for when in WHEN)
    assert grown["by"] == getpass.getuser()
    assert grown["may"]["models.promote"] == ["admin"]
    started = {climb.run("kraken", "robots").name: getpass.getuser(), climb.rungs["kraken"].played: "admin in Airflow"}
    assert run["by"] == started[run["run"]], "of the two runs, the one that ended last"
    assert back["may"]["runs.start"] == ["admin", "ann"]
    assert back["may"]["models.promote"] == ["admin"]
    assert back["released_by"] == getpass.getuser()


@pytest.mark.parametrize("tier", since("hephaestus"))
def test_an_entitys_features_are_known_from_the_first_run_on(climb: Climb, tier: str) -> None:
    if tier == "hephaestus":
        assert said(climb, tier, "grown")[FEATURES]["answer"].startswith("Nothing is known yet")
    facts = said(climb, tier, "run")[FEATURES]["facts"]
    known = {row["view"].split("_engineered_")[0]: row["features"] for row in facts["rows"] if row["state"] == "known"}
    assert facts["entity"] and "robot_age" in known["robots"], facts
