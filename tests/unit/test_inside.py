"""What commands ask of a deployment is answered where its files are, in JSON."""

import json
from pathlib import Path

import pytest

from pantheon import inside
from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.state import StageRecord
from pantheon.store import open_store
from pantheon.workflow.run import Params, Run
from tests.support.bundles import bundle


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    for number in range(1, 4):
        open_store(folder).publish("robots", bundle(tmp_path / str(number)), {"run": f"run-{number}"})
    return folder


def ask(state: Path, question: str, **given: object) -> object:
    """The answer as a command gets it: through JSON."""
    return json.loads(json.dumps(inside.answer(state, question, json.loads(json.dumps(given)))))


def test_models_are_listed_described_and_verified(state: Path) -> None:
    listed = ask(state, "models.list", model="robots")
    assert [each["version"] for each in listed["versions"]] == ["3", "2", "1"]  # type: ignore[index]
    described = ask(state, "models.show", model="robots", version="2")
    assert (described["version"], described["run"]) == ("2", "run-2")  # type: ignore[index]
    verified = ask(state, "models.verify", model="robots", version="all")
    assert [each["problems"] for each in verified["versions"]] == [[], [], []]  # type: ignore[index]


def test_an_alias_is_moved_and_moved_back(state: Path) -> None:
    for version in ("1", "2"):
        ask(state, "models.promote", model="robots", version=version, alias="champion", by="me", note="")
    assert ask(state, "models.show", model="robots", version="champion")["version"] == "2"  # type: ignore[index]
    back = ask(state, "models.rollback", model="robots", to="", by="me", note="")
    assert (back["version"], back["before"]["version"]) == ("1", "2")  # type: ignore[index]
    aliases = ask(state, "models.aliases", model="robots")
    assert {name: each["version"] for name, each in aliases.items()} == {"champion": "1"}  # type: ignore[attr-defined]


def test_a_damaged_version_is_not_promoted(state: Path) -> None:
    (state / "models" / "robots" / "2" / "model.onnx").write_bytes(b"x")
    with pytest.raises(PantheonError, match="version 2 of robots is damaged"):
        ask(state, "models.promote", model="robots", version="2", alias="champion", by="me", note="")


def test_old_versions_are_removed_by_plan(state: Path) -> None:
    plan = ask(state, "models.plan", model="robots", keep=1, older_than="")
    assert [each["version"] for each in plan["remove"]] == ["1", "2"]  # type: ignore[index]
    assert ask(state, "models.remove", found=plan)["removed"] == ["1", "2"]  # type: ignore[index]
    assert [v.version for v in open_store(state).list("robots")] == ["3"]


def test_runs_are_listed_and_looked_at(state: Path) -> None:
    assert ask(state, "runs") == []
    run = Run.create(state, "", "robots", Params(), tier="persephone", runner="script")
    run.mark(StageRecord("load_data", "done", seconds=1.0, summary={"rows": 3}))
    assert [each["id"] for each in ask(state, "runs")] == [run.id]  # type: ignore[attr-defined]
    look = ask(state, "runs.look", run="latest")
    assert look["stages"]["load_data"]["summary"] == {"rows": 3}  # type: ignore[index]
    assert look["outcome"] is None  # type: ignore[index]
    write_json(run.path("outcome.json"), {"decision": "refused", "model": "robots", "version": None, "reason": "worse"})
    assert ask(state, "runs.look", run=run.id)["outcome"]["decision"] == "refused"  # type: ignore[index]
    assert [each["state"] for each in ask(state, "runs")] == ["done"]  # type: ignore[attr-defined]
    with pytest.raises(PantheonError, match="there is no run"):
        ask(state, "runs.look", run="20260101-000000-abcd")


def test_an_unknown_question_is_refused(state: Path) -> None:
    with pytest.raises(PantheonError, match="there is no query"):
        ask(state, "models.destroy")


def test_an_address_in_s3_is_not_a_path(tmp_path: Path) -> None:
    text = {"where": "s3://pantheon/models", "file": "/pantheon/runs/1", "why": "in /pantheon/models: x"}
    here = {"where": "s3://pantheon/models", "file": "/home/d/runs/1", "why": "in /home/d/models: x"}
    assert inside.translated(text, "/pantheon", "/home/d") == here
