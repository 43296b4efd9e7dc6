"""``bin/pantheon route``: from the command line through the workflow's environment into the store, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pantheon.cli.main import app
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.store import FolderStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    """Return the store of the deployment ``pantheon``, with a champion (1) and a challenger (2)."""
    home = tmp_path_factory.mktemp("home")
    bundle = home / "bundle"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(b"onnx")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PANTHEON_HOME", str(home))
        Deployment("pantheon").update(tier="persephone", engine="local", dataset="robots")
    store = FolderStore(home / "pantheon" / "models")
    for alias in ("champion", "challenger"):
        store.promote("robots", store.publish("robots", bundle, {}), alias)
    return store


@pytest.fixture
def home(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANTHEON_HOME", str(store.root.parent.parent))
    return store.root


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["route", *arguments])
    if isinstance(done.exception, PantheonError):
        raise done.exception
    assert done.exit_code == 0, done
    return done


def asked(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_every_verb_sets_its_part_and_shows_the_result(home: Path) -> None:
    assert asked("show")["traffic"][0]["version"] == "1"
    shares = {each["arm"]: each["share"] for each in asked("weights", "challenger=10")["traffic"]}
    assert shares == {"champion": 0.9, "challenger": 0.1}
    assert asked("sticky", "X-Customer")["sticky"] == "x-customer"
    assert asked("header", "X-Beta", "yes", "2")["headers"][0]["version"] == "2"
    assert asked("shadow", "challenger", "--note", "try")["shadows"] == [{"to": "challenger", "version": "2"}]
    shown = run("show").output
    for text in ("90 %", "10 %", "x-beta: yes", "a copy", "value of the header x-customer", ": try"):
        assert text in shown
    assert asked("bandit", "champion", "challenger", "--floor", "5")["bandit"]["floor"] == 0.05
    assert asked("pin", "2")["traffic"] == [{"arm": "2", "version": "2", "share": 1.0, "reason": "pin"}]
    assert asked("shadow", "none")["shadows"] == []
    assert asked("clear")["set"] is False


def test_the_test_says_a_sentence(home: Path) -> None:
    assert "nobody has judged an answer of version 1 or 2 yet" in " ".join(run("test").output.split())
    assert asked("test", "2")["verdict"] == "undecided"


def test_errors_of_the_store_reach_the_command_line(home: Path) -> None:
    with pytest.raises(PantheonError, match="no version 9 of model 'robots'"):
        run("pin", "9")
    (home / "robots" / "policy.json").write_text("{")
    assert "policy.json is damaged" in " ".join(run("show").output.split())
    with pytest.raises(PantheonError, match="is damaged") as error:
        run("pin", "2")
    assert "route clear --model robots" in error.value.cure
    assert asked("clear")["trouble"] == ""


@pytest.mark.parametrize("text", ["challenger", "=10", "challenger=x", "challenger=101", "challenger=nan"])
def test_what_is_no_percentage_is_refused(home: Path, text: str) -> None:
    with pytest.raises(PantheonError, match="is not a version and its percentage"):
        run("weights", text)
