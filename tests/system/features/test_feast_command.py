"""Feast works as a Feast user expects: from this terminal, and from JupyterLab's."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.support import ROOT
from tests.support.command_line import Pantheon
from tests.support.hephaestus import API, DEFINITIONS, SERVER, ask, online
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)  # Feast's command takes ten seconds to start
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def applied(hephaestus: Pantheon) -> Path:
    """The deployment's repository, with a user's file, applied."""
    repository = hephaestus.state / "feast"
    rows = pl.DataFrame({"machine_id": ["7", "8"], "celsius": [21.5, None], "event_timestamp": [NOON, NOON]})
    rows.write_parquet(repository / "readings.parquet")
    (repository / "machines.py").write_text(DEFINITIONS)
    hephaestus("feast", "apply", timeout=300)
    return repository


def from_jupyterlab(made: Pantheon, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    given = {
        "FEATURES_URL": f"http://127.0.0.1:{API + made.offset}",
        "FEATURES_KEY_FILE": str(made.state / "secrets" / "features" / "key"),
    }
    return subprocess.run(
        [str(ROOT / "pantheon" / "features" / "bin" / "feast"), *arguments],
        env={"PATH": "/usr/bin:/bin", **given, **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_apply_list_and_materialize(hephaestus: Pantheon, applied: Path) -> None:
    assert "temperature" in hephaestus("feast", "feature-views", "list").out
    hephaestus("feast", "materialize-incremental", "2026-02-01T00:00:00", timeout=300)
    until(lambda: ask(hephaestus, SERVER, "/health")[0] == 200)
    values = until(lambda: online_or_none(hephaestus), 60, "the service reads what a user applied")
    assert values == [21.5, None, None]


def online_or_none(made: Pantheon) -> list[float | None] | None:
    try:
        return online(made, "temperature", "celsius", "machine_id", ["7", "8", "9"])
    except AssertionError:  # its registry is read again every ten seconds
        return None


def test_features_of_the_past(hephaestus: Pantheon, applied: Path) -> None:
    asked = [{"machine_id": "7", "event_timestamp": f"2026-01-01T{hour}:00:00Z"} for hour in (11, 13)]
    given = ["--dataframe", json.dumps(asked), "--features", "temperature:celsius"]
    said = hephaestus("feast", "get-historical-features", *given, timeout=300).out
    found = {row["event_timestamp"]: row["celsius"] for row in json.loads(said[said.index("[") :])}
    assert [found[at] for at in sorted(found)] == [None, 21.5]


def test_apply_removes_nothing_that_others_defined(hephaestus: Pantheon, applied: Path) -> None:
    """Another team's repository has the same project, and not this file."""
    (applied / "machines.py").unlink()
    try:
        hephaestus("feast", "apply", timeout=300)
        assert "temperature" in hephaestus("feast", "feature-views", "list").out
    finally:
        (applied / "machines.py").write_text(DEFINITIONS)


def test_a_terminal_of_jupyterlab_has_the_same_command(hephaestus: Pantheon, applied: Path) -> None:
    listed = from_jupyterlab(hephaestus, "feature-views", "list")
    assert (listed.returncode, "temperature" in listed.stdout) == (0, True), listed.stderr
    wrong = from_jupyterlab(hephaestus, "nonsense")
    assert (wrong.returncode, "No such command" in wrong.stderr) == (2, True)
    nowhere = from_jupyterlab(hephaestus, "version", FEATURES_KEY_FILE="/nowhere")
    assert (nowhere.returncode, "make tier-hephaestus up" in nowhere.stderr) == (2, True)
    away = from_jupyterlab(hephaestus, "version", FEATURES_URL="http://127.0.0.1:1")
    assert (away.returncode, "does not answer" in away.stderr) == (2, True)


@pytest.mark.parametrize("verb", ["teardown", "ui", "serve", "serve_registry", "init"])
def test_commands_that_would_harm_the_deployment_are_refused(hephaestus: Pantheon, verb: str) -> None:
    refused = hephaestus("feast", verb, check=False)
    assert refused.status == 2
    assert f"feast {verb}" in refused.out + refused.err
