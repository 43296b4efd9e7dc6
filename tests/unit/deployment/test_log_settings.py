"""``LOG=`` and ``PREDICTIONS_KEEP=`` are saved, and become variables of the definition."""

from pathlib import Path

import pytest

from pantheon.deployment import settings
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError


@pytest.mark.parametrize(("text", "saved"), [("required", ""), ("best-effort", "best-effort"), ("off", "off")])
def test_what_the_endpoint_does_without_its_log(text: str, saved: str) -> None:
    assert settings.log(text) == saved


@pytest.mark.parametrize(("text", "saved"), [("90d", "90d"), ("48h", "48h"), ("forever", ""), ("", "")])
def test_for_how_long_predictions_are_kept(text: str, saved: str) -> None:
    assert settings.predictions_keep(text) == saved


@pytest.mark.parametrize("text", ["1h", "soon", "-3d"])
def test_less_than_a_day_is_refused(text: str) -> None:
    with pytest.raises(PantheonError, match="PREDICTIONS_KEEP=90d, or forever"):
        settings.predictions_keep(text)


def test_an_unknown_mode_of_the_log_is_refused() -> None:
    with pytest.raises(PantheonError, match="required, best-effort, off"):
        settings.log("on")


def test_they_are_saved_and_become_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    assert Deployment("made").variables() == {}
    Deployment("made").update(log="off", predictions_keep="90d")
    assert Deployment("made").variables() == {"ENDPOINT_LOG": "off", "PREDICTIONS_KEEP": "90d"}
    Deployment("made").update(log="", predictions_keep="")
    assert Deployment("made").variables() == {}
