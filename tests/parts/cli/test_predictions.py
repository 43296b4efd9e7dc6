"""``bin/pantheon predictions`` and ``forget``: from the command line through the workflow's environment to the log."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pantheon.cli.main import app
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.predictions.place import spool_of
from tests.support.predictions import answered, said, segment


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    Deployment("pantheon").update(tier="persephone", engine="local", dataset="robots")
    return tmp_path / "pantheon"


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, PantheonError):
        raise done.exception
    assert done.exit_code == 0, done
    return done


def asked(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_predictions_are_listed_shown_and_forgotten(state: Path) -> None:
    records = [answered(reason="weights"), answered()]
    opinion = said(records[0].id, correct=False, value=1, comment="it [broke]")
    segment(spool_of(state), [(record, {"robot": f"R{n}"}, 0) for n, record in enumerate(records)], [opinion])
    assert [row["id"] for row in asked("predictions", "--since", "1h")["rows"]] == [record.id for record in records]
    assert [row["id"] for row in asked("predictions", "--most", "1")["rows"]] == [records[1].id]
    listed = run("predictions").output
    for text in (records[0].id, "weights", "wrong;", "2 rows, in"):
        assert text in listed
    shown = run("predictions", records[0].id).output
    for text in ('{"robot": "R0"}', "robots, version 1 (weights)", "shop", "wrong; truly 1; it [broke]"):
        assert text in shown
    with pytest.raises(PantheonError, match=r"deletes every prediction with robot=R0, .*forget robot=R0"):
        run("forget", "robot=R0")
    words = run("forget", "robot=R0", "--confirm", "yes").output
    assert "1 prediction and 1 piece of feedback were removed" in " ".join(words.split())
    assert [row["id"] for row in asked("predictions")["rows"]] == [records[1].id]


@pytest.mark.parametrize("what", ["robot", "=R0", "robot="])
def test_forget_needs_a_column_and_a_value(state: Path, what: str) -> None:
    with pytest.raises(PantheonError, match="is not COLUMN=VALUE"):
        run("forget", what)
