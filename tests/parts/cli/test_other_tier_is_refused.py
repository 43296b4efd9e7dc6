"""Every verb except `up` rejects a deployment that is not at the tier on the command line."""

import re
from pathlib import Path

import pytest

from pantheon.deployment.commands import GOALS
from pantheon.deployment.deployment import Deployment
from tests.support.command_line import ROOT, Pantheon, unbuilt

# `up` changes the tier, `restore` makes a deployment; images belong to a tier
OF_NO_DEPLOYMENT = {"up", "restore", "images", "images-save", "images-load", "bundle"}
VERBS = sorted(GOALS - OF_NO_DEPLOYMENT)
MODELS = ("list", "show", "promote", "rollback", "verify", "gc", "publish", "checkout")
GIVEN = {"predict": ["ROW={}"]}


@pytest.fixture(scope="module")
def zeus(tmp_path_factory: pytest.TempPathFactory) -> Pantheon:
    """A deployment `d1` that is at zeus, by its settings; nothing of it runs."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PANTHEON_HOME", str(home))
        Deployment("d1").update(tier="zeus", engine="local")
    return Pantheon(home, 0, {"PANTHEON_NAME": "d1"})


def test_a_new_goal_of_make_is_tested_here() -> None:
    text = (ROOT / "Makefile").read_text()
    goals = re.search(r"^VERBS := (.*)$", text, flags=re.M)
    assert goals
    assert {*goals[1].split(), "models", "rollback", "backup", "restore", "test"} == GOALS


@pytest.mark.parametrize("verb", VERBS)
def test_a_deployment_at_another_tier_is_rejected(zeus: Pantheon, verb: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in zeus.home.rglob("*")}
    answer = zeus.command(["make", "-s", "tier-persephone", verb, *GIVEN.get(verb, [])], check=False)
    assert answer.status == 2
    assert "deployment 'd1' is at the tier zeus, not at persephone." in answer.message
    used = "bin/pantheon models" if verb in ("models", "rollback") else f"make tier-zeus {verb} NAME=d1"
    assert f"Use `{used}" in answer.message
    assert "`make tier-persephone up NAME=d1`" in answer.message
    assert {path: path.stat().st_mtime_ns for path in zeus.home.rglob("*")} == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_tier_that_is_not_implemented_is_rejected(zeus: Pantheon, verb: str, tmp_path: Path) -> None:
    tiers = str(unbuilt(tmp_path))
    answer = zeus.command(["make", "-s", "tier-atlas", verb, *GIVEN.get(verb, [])], check=False, PANTHEON_TIERS=tiers)
    assert answer.status == 2
    assert "the Atlas (a sky) is not built yet." in answer.message


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"doctor", "prepare", "models", "rollback", "backup"}))
def test_a_deployment_that_does_not_exist_is_created_at_that_tier(tmp_path: Path, verb: str) -> None:
    nothing = Pantheon(tmp_path, 0)
    given = ["--row={}"] if verb == "predict" else []
    answer = nothing(verb, "zeus", *given, check=False)
    assert answer.status == 2
    assert answer.message == "deployment 'pantheon' does not exist. Create it: `make tier-zeus up`"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", MODELS)
def test_model_commands_check_the_tier(zeus: Pantheon, verb: str) -> None:
    words = {"promote": ["1"], "publish": ["model.onnx"]}.get(verb, [])
    answer = zeus("models", verb, *words, "--tier", "nemesis", check=False)
    assert answer.status == 2
    assert "is at the tier zeus, not at nemesis." in answer.message
