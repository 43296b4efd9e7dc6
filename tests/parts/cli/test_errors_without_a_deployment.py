"""The command line without a deployment: help, and errors with the cause and the next command."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.command_line import Pantheon, unbuilt

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


def test_a_plain_locale_few_files_and_a_strict_umask_are_enough(nothing: Pantheon) -> None:
    limits = 'umask 077; ulimit -n 64; LC_ALL=C exec "$@"'
    answer = nothing.command(["sh", "-c", limits, "sh", "bin/pantheon", "tier", "zeus"])
    assert "Zeus Zonal" in answer.out


def test_help_lists_every_verb(nothing: Pantheon) -> None:
    text = nothing("--help").out
    assert all(f"\n  {verb} " in text for verb in VERBS)


def test_every_verb_has_help(nothing: Pantheon) -> None:
    for verb in VERBS:
        assert "Usage:" in nothing(verb, "--help").out


def test_a_group_without_a_command_prints_its_help(nothing: Pantheon) -> None:
    answer = nothing("keys", check=False)
    assert (answer.status, answer.err.partition(" ")[0]) == (2, "Usage:")
    assert "revoke" in answer.err


def test_make_help_names_the_verbs_and_settings(nothing: Pantheon) -> None:
    text = nothing.command(["make", "-s", "help"]).out
    assert all(word in text for word in ["up", "predict", "destroy", "DATA=", "PORT_OFFSET", "make test"])


def test_tiers_are_listed_in_order(nothing: Pantheon) -> None:
    assert [tier["name"] for tier in nothing("tier", "--json").json] == NINE


def test_a_tier_without_a_verb_is_described(nothing: Pantheon) -> None:
    assert "the Zeus Zonal" in nothing.command(["make", "-s", "tier-zeus"]).out


def test_a_tier_that_is_not_implemented_names_the_highest_that_is(nothing: Pantheon, tmp_path: Path) -> None:
    answer = nothing.command(["make", "-s", "tier-atlas", "up"], check=False, PANTHEON_TIERS=str(unbuilt(tmp_path)))
    assert answer.status == 2
    assert answer.message == "the Atlas (a sky) is not built yet. The highest tier so far: `make tier-kraken up`"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "zues"], "Did you mean zeus?"),
        (["up"], "Choose one: `make tier-persephone up`, `make tier-daedalus up`"),
        (["run"], "Create it: `make tier-persephone up`"),
        (["status", "--name", "d1"], "deployment 'd1' does not exist. Create it: `make tier-persephone up NAME=d1`"),
        (["predict", "--row", "{oops"], "ROW is not valid JSON"),
        (["predict"], "predict needs ROW=."),
        (["up", "persephone", "--name", "envs"], "is not a valid name for a deployment"),
        (["up", "persephone", "--name", "../x"], "is not a valid name for a deployment"),
        (["up", "persephone", "--engine", "kompose"], "there is no engine 'kompose'"),
        (["up", "persephone", "--engine", "nomad"], "there is no engine 'nomad'. The engines: compose, local, helm."),
        (["up", "persephone", "--approval", "maybe"], "APPROVAL=maybe is not valid. Use APPROVAL=auto"),
        (["up", "persephone", "--without", "airflow"], "This tier has no optional components"),
        (["up", "zeus", "--without", "airlfow"], "Use one of: airflow, jupyter"),
        (["up", "zeus", "--variant", "pycaret"], "Available: odysseus: pycaret"),
        (["up", "odysseus", "--variant", "pycaret", "--without", "jupyter"], "needs jupyter, which is left out"),
        (["up", "nemesis", "--s3-endpoint-url", "s3.example.org"], "is not a valid server address"),
        (["up", "zeus", "--schedule", "daily"], "SCHEDULE=daily is not a valid schedule. Use cron"),
        (["up", "zeus", "--schedule", "61 * * * *"], "SCHEDULE=61 * * * * is not a valid schedule"),
        (["up", "persephone", "--port-offset", "90000"], "PORT_OFFSET must be between 0 and 40000, not '90000'"),
        (["doctor", "persephone", "--port-offset", "some"], "PORT_OFFSET must be between 0 and 40000, not 'some'"),
        (["up", "persephone", "--trials", "0"], "TRIALS must be between 1 and 10000"),
        (["up", "persephone", "--data", "nonesuch.csv"], "nonesuch.csv does not exist."),
        (["up", "persephone", "--target", "y"], "TARGET=y needs DATA=."),
        (["frobnicate"], "See `bin/pantheon --help`"),
        (["up", "--frobnicate"], "See `bin/pantheon --help`"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(nothing: Pantheon, arguments: list[str], says: str) -> None:
    answer = nothing(*arguments, check=False)
    assert answer.status == 2
    assert says in answer.message
    assert list(nothing.home.rglob("*.json")) == [], "a refused command leaves no deployment"


def test_two_tiers_at_once_are_rejected(nothing: Pantheon) -> None:
    answer = nothing.command(["make", "-s", "tier-persephone", "tier-daedalus", "up"], check=False)
    assert answer.status == 2
    assert "One tier at a time" in answer.err


def test_every_tier_has_a_diagram() -> None:
    from pantheon.tiers import all_tiers

    for tier in all_tiers():
        path = tier.folder / "diagram.json"
        if path.exists():
            assert json.loads(path.read_text())["edges"], tier.name
        else:
            assert not Path(tier.folder / "compose.yaml").exists(), f"{tier.name} is built and has no diagram"


def test_make_prints_no_warning() -> None:
    done = subprocess.run(["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
