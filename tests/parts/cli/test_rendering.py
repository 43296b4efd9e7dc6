"""Parts of the command line that need no deployment: rendered commands, times and files to publish."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pantheon.deployment import commands, model_files, questions
from pantheon.errors import PantheonError
from tests.support.command_line import make_pantheon


def test_a_rendered_command_has_all_arguments() -> None:
    given = {"signature": "s.json", "model": "", "note": "it's new"}
    typed = commands.command("pantheon", "", "models publish", "my model.joblib", **given)
    assert typed == "bin/pantheon models publish 'my model.joblib' --signature s.json --note 'it'\"'\"'s new'"


def test_a_time_before_year_one_is_not_valid() -> None:
    with pytest.raises(PantheonError, match="is not a valid time"):
        questions.time("999999 weeks ago", datetime(2026, 11, 22, tzinfo=UTC))


def test_a_home_that_is_not_a_folder_gives_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    answer = make_pantheon(tmp_path / "home")("up", "persephone", "--no-run", check=False)
    assert answer.status == 1
    assert answer.message.startswith(f"Not a directory: {tmp_path / 'home'}")


def test_a_path_that_is_not_a_regular_file_cannot_be_published(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    with pytest.raises(PantheonError, match="is not a regular file"):
        model_files.chosen(str(model), str(tmp_path))
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(PantheonError, match="is not a regular file"):
        model_files.chosen(str(tmp_path / "pipe.onnx"), str(model))
