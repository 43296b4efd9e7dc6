"""`up` names the folders with code that containers could write before this machine runs it."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pantheon.cli.main import app
from pantheon.deployment import trust
from pantheon.deployment import up as starting
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.tiers import find

ZEUS = find("zeus")


@pytest.fixture
def contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment in containers, with an extension and a notebook that JupyterLab's container wrote."""
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / "home"))
    made = Deployment("d1")
    made.update(tier="zeus", engine="compose")
    for name in ("extensions/mine.py", "notebooks/jobs/a.ipynb", "volumes/jupyter/.ipython/startup.py"):
        (made.state / name).parent.mkdir(parents=True, exist_ok=True)
        (made.state / name).write_text("")
    (made.state / "volumes" / "button").mkdir()
    return made


def test_moving_out_of_containers_names_the_folders_that_they_wrote(contained: Deployment) -> None:
    folders = ["extensions", "notebooks", "volumes/jupyter"]
    assert trust.code_of_containers(contained, ZEUS, "local") == folders
    assert trust.code_of_containers(contained, ZEUS, "") == [], "it stays in containers"
    contained.update(engine="local")
    assert trust.code_of_containers(contained, ZEUS, "compose") == []
    assert trust.code_of_containers(contained, ZEUS, "local") == []


def test_changed_definitions_of_features_are_code_and_the_template_is_not(contained: Deployment) -> None:
    shutil.copytree(trust.TEMPLATE, contained.state / "feast", dirs_exist_ok=True)
    assert "feast" not in trust.code_of_containers(contained, ZEUS, "local")
    with (contained.state / "feast" / "definitions.py").open("a") as file:
        file.write("print('planted')")
    assert "feast" in trust.code_of_containers(contained, ZEUS, "local")


def test_up_needs_a_confirmation_for_it(contained: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def up(deployment: Deployment, *_: object) -> None:
        begun.append(deployment.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "up", up)
    command = ["up", "--name", "d1", "--engine", "local"]
    refused = CliRunner().invoke(app, command).exception
    assert isinstance(refused, PantheonError)
    assert refused.cause == (
        "After this move, code that containers could write runs on this machine as you: see extensions, notebooks, "
        f"volumes/jupyter in {contained.state}."
    )
    assert refused.cure == "To confirm: `make tier-zeus up ENGINE=local CONFIRM=yes NAME=d1`"
    assert begun == []
    CliRunner().invoke(app, [*command, "--confirm", "yes"])
    assert begun == ["d1"]
