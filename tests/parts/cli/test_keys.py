"""``bin/pantheon keys``: the token is printed once, on standard output alone, and stored nowhere."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pantheon import keys
from pantheon.cli.main import app
from pantheon.errors import PantheonError
from pantheon.files import write_json


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    folder = tmp_path / "pantheon"
    (folder / "state").mkdir(parents=True)
    write_json(folder / "settings.json", {"tier": "persephone", "dataset": "robots", "version": 2})
    return folder


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["keys", *arguments])
    assert done.exit_code == 0, done
    return done.stdout


def test_add_list_and_revoke(state: Path) -> None:
    token = run("add", "shop", "--models", "robots, hours", "--per-minute", "60").strip()
    stored = keys.keys_file(state).read_text()
    assert (token.startswith(keys.PREFIX), token in stored, keys.hash_of(token) in stored) == (True, False, True)
    assert token not in run("list")
    (listed,) = json.loads(run("list", "--json"))["keys"]
    assert (listed["name"], listed["models"], listed["per_minute"]) == ("shop", ["hours", "robots"], 60)
    assert json.loads(run("add", "prometheus", "--metrics", "--json"))["token"].startswith(keys.PREFIX)
    run("add", "plant", "--push")
    assert {key["name"]: key["kind"] for key in json.loads(run("list", "--json"))["keys"]} == {
        "shop": "predict",
        "prometheus": "metrics",
        "plant": "push",
    }
    run("revoke", "plant")
    run("revoke", "shop")
    assert [key.name for key in keys.read(state)] == ["prometheus"]


def test_a_key_is_for_one_purpose(state: Path) -> None:
    done = CliRunner().invoke(app, ["keys", "add", "both", "--metrics", "--push"])
    assert isinstance(done.exception, PantheonError)
    assert not keys.keys_file(state).exists()
