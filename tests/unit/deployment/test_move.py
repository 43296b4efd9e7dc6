"""Between engines that share folders of this machine and those that do not, a deployment moves by a backup."""

from pathlib import Path
from typing import Any

import pytest

from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.tiers import find


class Fake:
    def __init__(self, name: str) -> None:
        self.name, self.shares_folders = name, name != "helm"


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    made = Deployment("demo")
    made.update(tier="zeus", port_offset=200)
    monkeypatch.setattr(Deployment, "engine", lambda self, tier, choice="", **_: Fake(choice))
    return made


@pytest.mark.parametrize(("old", "new"), [("local", "helm"), ("compose", "helm"), ("helm", "local")])
def test_the_refusal_names_both_commands(deployment: Deployment, old: str, new: str) -> None:
    deployment.settings.engine = old
    (deployment.state / "runs" / "1").mkdir(parents=True)
    engine: Any = Fake(new)
    with pytest.raises(PantheonError) as error:
        deployment.check_move(engine, find("zeus"))
    assert error.value.cause == f"demo runs on {old}; its data cannot move to {new} in place."
    assert error.value.cure == (
        "Make a copy there: `make tier-zeus backup FILE=demo.zip NAME=demo`, then "
        f"`make tier-zeus restore FILE=demo.zip ENGINE={new} PORT_OFFSET=300 NAME=demo-2`"
    )


def test_a_deployment_without_data_and_one_on_a_similar_engine_move_in_place(deployment: Deployment) -> None:
    engine: Any = Fake("helm")
    deployment.settings.engine = "local"
    deployment.check_move(engine, find("zeus"))
    (deployment.state / "runs" / "1").mkdir(parents=True)
    engine = Fake("compose")
    deployment.check_move(engine, find("zeus"))
