"""Engines are discovered by their folders: a third engine only needs a folder."""

import re
from pathlib import Path

import pytest

from pantheon import engines
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Options, default_engine, engine_names, open_engine
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, find
from tests.support.command_line import Pantheon
from tests.support.engines import FIXTURE

MORE = FIXTURE / "more_engines"
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a third engine stands beside those of ours."""
    monkeypatch.setattr(engines, "__path__", [*engines.__path__, str(MORE)])


def test_engines_are_discovered_by_their_folders() -> None:
    assert engine_names() == ["compose", "local", "helm"]


def test_the_error_for_an_unknown_engine_lists_the_engines(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match=r"there is no engine 'nomad'. The engines: compose, local, helm"):
        open_engine("nomad", Options("test", tmp_path, find("persephone").compose_file, ROOT))


def test_a_new_deployment_gets_the_engine_that_this_machine_can_use() -> None:
    assert default_engine(NO_DOCKER) == ("local", "processes of this machine, since no Docker engine answers here")


def test_a_third_engine_is_opened_by_its_folders_name(third: None, tmp_path: Path) -> None:
    assert engine_names() == ["paper", "compose", "local", "helm"]
    engine = open_engine("paper", Options("test", tmp_path, find("persephone").compose_file, ROOT))
    engine.up()
    assert [status.state for status in engine.status()] == ["healthy"]
    assert engine.address("button") == "http://127.0.0.1:8080"
    assert engine.address("button", inside=True) == "http://button:8080"
    with pytest.raises(PantheonError, match=r"There is no service 'airflow'. Services: button."):
        engine.address("airflow")
    with pytest.raises(PantheonError, match="the engine paper has no command line of its own"):
        engine.prepare_by_hand(tmp_path / ".env")


def test_a_third_engine_is_the_default_if_it_is_available_and_has_the_highest_rank(third: None) -> None:
    assert default_engine(NO_DOCKER | {"PAPER": "A4"}) == ("paper", "paper and pencil")
    why = "processes of this machine, since there is no paper and no Docker engine answers here"
    assert default_engine(NO_DOCKER) == ("local", why)


def test_a_deployment_runs_on_a_third_engine(
    third: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pantheon: Pantheon
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    deployment = Deployment("test")
    engine = deployment.engine(find("persephone"), "paper")
    assert deployment.address(engine, "button") == "http://127.0.0.1:8080"
    assert deployment.why_engine("paper") == "engine: paper, set by ENGINE=paper"


def test_no_code_above_the_engines_compares_an_engines_name() -> None:
    names = "|".join(engine_names())
    compared = re.compile(rf"""(==|!=|\bin)\s*[(\[{{]?[^#]*["']({names})["']""")
    for path in [*(ROOT / "pantheon").rglob("*.py"), *(ROOT / "serving").rglob("*.py")]:
        if ROOT / "pantheon" / "engines" not in path.parents:
            matches = [line for line in path.read_text().splitlines() if compared.search(line)]
            assert not matches, f"{path}: {matches}"
