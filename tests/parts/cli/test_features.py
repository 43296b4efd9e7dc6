"""``bin/pantheon features`` and ``forget``: from the command line through the workflow's environment to the service."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pantheon.cli.main import app
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.predictions.place import spool_of
from pantheon.state import Route
from tests.support.features import ENGINEERED, KEY, RUN, look, sample, service
from tests.support.ports import free_port_offset
from tests.support.predictions import answered, segment

PORT = 6568


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A deployment whose feature store is the stand-in."""
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    offset = free_port_offset()
    route = Route(features="feast")
    Deployment("pantheon").update(tier="persephone", engine="local", dataset="robots", port_offset=offset, route=route)
    key = tmp_path / "pantheon" / "secrets" / "features" / "key"
    key.parent.mkdir(parents=True)
    key.write_text(KEY)
    parts = tmp_path / "parts"
    sample(parts)
    with service(look(parts), PORT + offset, parts):
        yield tmp_path / "pantheon"


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, PantheonError):
        raise done.exception
    assert done.exit_code == 0, done
    return done


def asked(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_views_are_listed_and_shown(state: Path) -> None:
    listed = run("features", "list").output
    for text in ("robot-id (200)", "2 failed", "none: for training only", "too old"):
        assert text in listed
    assert [view["name"] for view in asked("features", "list")["views"]] == ["robots", ENGINEERED.name, "visits"]
    shown = run("features", "show", "robots").output
    for text in ("anna", "▇", "0 to 20", "never missing", "full 33.3 %", "! battery: 1 % missing, at most 0 %", RUN):
        assert text in shown
    assert '"rust-level" / ("robot-age" + 1)' in run("features", "show", ENGINEERED.name).output
    with pytest.raises(PantheonError, match="no feature view 'robotz'"):
        run("features", "show", "robotz")


def test_entities_are_looked_up_online_and_at_a_time(state: Path) -> None:
    found = run("features", "get", "robot-id=7", "8").output
    for text in ("known", "robot_age 11.25", "rust_per_year", "2026-03-11"):
        assert text in found
    then = asked("features", "at", "2026-03-05T00:00+00:00", "--entity", "7", "--view", "robots")
    assert [(row["state"], row["features"]["robot_age"]) for row in then["rows"]] == [("known", 11.0)]
    assert "unknown" in run("features", "at", "2020-01-01", "--entity", "robot-id=7").output
    for arguments, why in (
        (("get", "shop=7"), "has no entity shop; it has: robot-id"),
        (("get", "shop=7", "robot-id=7"), "entities of several kinds: robot-id, shop"),
        (("get", "robot-id="), "an id is not empty"),
        (("get", "7", "--view", "visits"), "visits has no entity"),
        (("at", "soon", "--entity", "7"), "'soon' is not a time"),
    ):
        with pytest.raises(PantheonError, match=why):
            run("features", *arguments)


def test_forget_deletes_features_and_predictions_and_says_so(state: Path) -> None:
    records = [answered(), answered()]
    segment(spool_of(state), [(record, {"robot-id": 7 + n}, 0) for n, record in enumerate(records)], [])
    with pytest.raises(PantheonError, match=r"every row of features with robot-id=7, .*forget robot-id=7"):
        run("forget", "robot-id=7")
    words = " ".join(run("forget", "robot-id=7", "--confirm", "yes").output.split())
    assert "3 rows of features were removed from 3 parts, and 1 entity from the online store." in words
    assert "1 prediction and 0 pieces of feedback were removed" in words
    assert {row["state"] for row in asked("features", "get", "7")["rows"]} == {"unknown"}
    assert {row["state"] for row in asked("features", "get", "8")["rows"]} == {"known"}
    assert [row["id"] for row in asked("predictions")["rows"]] == [records[1].id]
    with pytest.raises(PantheonError, match=r"deletes every row with robot-id=8 .*features forget robot-id=8"):
        run("features", "forget", "robot-id=8")
    assert asked("features", "forget", "robot-id=8", "--confirm", "yes")["rows"] == 3
    assert "no such rows" in run("features", "forget", "shop=8", "--confirm", "yes").output


def test_views_are_brought_online(state: Path) -> None:
    assert "robots: 1,200 rows read, 3 entities written, 1 older\n" in run("features", "materialize", "robots").output
    assert "Valkey had lost it" in run("features", "materialize", "robots", "--all").output
    assert {"robots", ENGINEERED.name} <= set(asked("features", "materialize")["views"])


def test_engineered_views_are_computed_for_rows_that_they_lack(state: Path) -> None:
    with pytest.raises(PantheonError, match="nothing is computed in it"):
        run("features", "backfill", "robots")
    assert "No row" in run("features", "backfill", ENGINEERED.name, "--since", "1 day").output
    assert "200 rows were computed with the code of run" in run("features", "backfill", ENGINEERED.name).output


@pytest.mark.parametrize("arguments", [("list",), ("show", "x"), ("get", "7"), ("at", "1 hour", "--entity", "7")])
def test_tiers_before_say_which_is_the_first_with_a_feature_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    Deployment("pantheon").update(tier="epimetheus", engine="local", dataset="robots")
    with pytest.raises(PantheonError) as error:
        run("features", *arguments)
    assert (error.value.cause, error.value.cure) == (
        "this deployment has no feature store.",
        "It comes with `make tier-hephaestus up`.",
    )


def test_a_time_on_the_command_line_is_local_and_sent_in_utc() -> None:
    from pantheon.deployment.features import moment

    assert moment("") == ""
    assert moment("2026-03-05T01:00+01:00") == "2026-03-05T00:00:00+00:00"
    before = datetime.now(UTC)
    assert before <= datetime.fromisoformat(moment("now")) <= datetime.now(UTC)
    local = datetime(2026, 3, 5).astimezone(UTC).isoformat()
    assert moment("2026-03-05") == local
