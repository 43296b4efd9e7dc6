"""What the command line says before anything is up: help, and errors that name the cause and the next command."""

import json
from pathlib import Path

import pytest

from tests.conftest import Pantheon

VERBS = [
    "up",
    "run",
    "stage",
    "predict",
    "status",
    "logs",
    "down",
    "destroy",
    "doctor",
    "test",
    "runs",
    "approve",
    "hold",
    "tier",
    "models",
    "ask",
]
NINE = ["persephone", "daedalus", "prometheus", "zeus", "nemesis", "odysseus", "epimetheus", "hephaestus", "kraken"]


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Pantheon:
    return Pantheon(tmp_path_factory.mktemp("nothing"), 0)


def test_help_lists_every_verb(nothing: Pantheon) -> None:
    text = nothing("--help").out
    assert all(f"\n  {verb} " in text for verb in VERBS)


def test_each_verb_has_help(nothing: Pantheon) -> None:
    for verb in VERBS:
        assert "Usage:" in nothing(verb, "--help").out


def test_make_help_names_the_verbs_and_settings(nothing: Pantheon) -> None:
    text = nothing.command(["make", "-s", "help"]).out
    assert all(word in text for word in ["up", "predict", "destroy", "DATA=", "PORT_OFFSET", "make test"])


def test_the_nine_tiers_in_order(nothing: Pantheon) -> None:
    assert [tier["name"] for tier in nothing("tier", "--json").json] == NINE


def test_a_tier_alone_tells_its_story(nothing: Pantheon) -> None:
    assert "the Zeus Zonal" in nothing.command(["make", "-s", "tier-zeus"]).out


def test_a_tier_that_is_not_built_names_the_furthest_that_is(nothing: Pantheon) -> None:
    answer = nothing.command(["make", "-s", "tier-epimetheus", "up"], check=False)
    assert answer.status == 2
    assert answer.message == (
        "the Epimetheus Endpoint (an endpoint and a front end) is not built yet. "
        "The furthest tier today: make tier-odysseus up"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "zues"], "Did you mean zeus?"),
        (["up"], "Say which: make tier-persephone up"),
        (["run"], "Bring one up: make tier-persephone up"),
        (["status"], "Bring one up"),
        (["predict", "--row", "{oops"], "ROW is not JSON"),
        (["predict"], "there is no row"),
        (["up", "persephone", "--name", "envs"], "cannot name a deployment"),
        (["up", "persephone", "--name", "../x"], "cannot name a deployment"),
        (["up", "persephone", "--engine", "kompose"], "there is no engine 'kompose'"),
        (["up", "persephone", "--engine", "helm"], "ENGINE=helm is not built yet"),
        (["up", "persephone", "--approval", "maybe"], "APPROVAL=maybe is not known"),
        (["up", "persephone", "--without", "airflow"], "It has none to leave out"),
        (["up", "zeus", "--without", "airlfow"], "It has: airflow, jupyter"),
        (["up", "zeus", "--variant", "pycaret"], "There are: odysseus: pycaret"),
        (["up", "odysseus", "--variant", "pycaret", "--without", "jupyter"], "works in notebooks"),
        (["up", "nemesis", "--s3-endpoint-url", "s3.example.org"], "is no address of a server"),
        (["up", "zeus", "--schedule", "daily"], "SCHEDULE=daily is no schedule"),
        (["up", "persephone", "--port-offset", "90000"], "PORT_OFFSET=90000"),
        (["frobnicate"], "See: bin/pantheon --help"),
        (["up", "--frobnicate"], "See: bin/pantheon --help"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(nothing: Pantheon, arguments: list[str], says: str) -> None:
    answer = nothing(*arguments, check=False)
    assert answer.status == 2
    assert says in answer.message
    assert list(nothing.home.rglob("*.json")) == [], "a refused command leaves no deployment"


def test_two_tiers_at_once_are_refused(nothing: Pantheon) -> None:
    answer = nothing.command(["make", "-s", "tier-persephone", "tier-daedalus", "up"], check=False)
    assert answer.status == 2
    assert "One tier at a time" in answer.err


def test_every_tier_has_its_diagram() -> None:
    from pantheon.tiers import all_tiers

    for tier in all_tiers():
        path = tier.folder / "diagram.json"
        if path.exists():
            assert json.loads(path.read_text())["edges"], tier.name
        else:
            assert not Path(tier.folder / "compose.yaml").exists(), f"{tier.name} is built and has no diagram"
