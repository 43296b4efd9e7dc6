"""Words of the command line that need no deployment: commands to paste, times, and files that are none."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pantheon.cli import ask, model_publish, models
from pantheon.errors import PantheonError
from tests.conftest import make_pantheon


def test_a_command_to_paste_asks_for_what_was_asked() -> None:
    typed = models.command("publish", "my model.joblib", signature="s.json", model="", note="it's new")
    assert typed == "bin/pantheon models publish 'my model.joblib' --signature s.json --note 'it'\"'\"'s new'"


def test_a_time_before_all_times_is_none() -> None:
    with pytest.raises(PantheonError, match="is no time"):
        ask.time("999999 weeks ago", datetime(2026, 11, 22, tzinfo=UTC))


def test_a_home_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    answer = make_pantheon(tmp_path / "home")("up", "persephone", "--no-run", check=False)
    assert answer.status == 1
    assert answer.message.startswith(f"Not a directory: {tmp_path / 'home'}")


def test_what_is_no_file_cannot_be_published(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    with pytest.raises(PantheonError, match="is no plain file"):
        model_publish.chosen(str(model), str(tmp_path))
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(PantheonError, match="is no plain file"):
        model_publish.chosen(str(tmp_path / "pipe.onnx"), str(model))
