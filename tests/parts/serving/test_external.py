"""``python -m serving.external publish``, as ``models publish`` runs it in the workflow's environment."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pantheon.deployment.model_files import Chosen, files_of, packed
from pantheon.store import FolderStore
from tests.support import ROOT
from tests.support.bundles import bundle
from tests.support.looping import endless
from tests.support.waiting import until


def archive(folder: Path) -> bytes:
    """What the command line sends of a bundle's folder."""
    with packed(Chosen(folder, None).files) as made:
        return made.read_bytes()


def run(state: Path, content: bytes, *arguments: str) -> tuple[int, Any]:
    """The exit status, and the event on the last line."""
    env = os.environ | {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "serving.external", "publish", *arguments]
    done = subprocess.run(command, env=env, cwd=state, input=content, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert list((state / "data").iterdir()) == []
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_it_reports_what_it_published_or_why_it_did_not(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    theirs = bundle(tmp_path / "theirs")
    asked = ("--files", str(len(files_of(theirs))), "--model", "robots", "--file", "theirs", "--by", "ada")
    status, event = run(tmp_path, archive(theirs), *asked)
    assert status == 0
    expected = {"event": "published", "model": "robots", "version": "1", "alias": "challenger"}
    assert {key: event[key] for key in expected} == expected
    alias = FolderStore(tmp_path / "models").resolve("robots", "challenger")
    assert (alias.version, alias.by) == ("1", "ada")
    (theirs / "model.onnx").write_bytes(b"not a model")
    status, event = run(tmp_path, archive(theirs), *asked)
    assert (status, event["event"], event["status"]) == (2, "error", 2)
    assert event["cause"]


@pytest.mark.slow
def test_the_next_publish_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    theirs = bundle(tmp_path / "theirs")
    content, asked = archive(theirs), ("--files", str(len(files_of(theirs))), "--model", "robots")
    env = os.environ | {"STATE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "serving.external", "publish", *asked]
    process = subprocess.Popen(command, env=env, cwd=tmp_path, stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(content[: len(content) // 2])  # it waits for the rest
    process.stdin.flush()
    until(lambda: list((tmp_path / "data").glob(".publish-*/files/bundle")))
    process.kill()
    process.wait()
    assert list((tmp_path / "data").iterdir())
    assert run(tmp_path, content, *asked)[0] == 0  # which checks that the folder is empty


@pytest.mark.slow
def test_an_archive_that_was_cut_off_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    theirs = bundle(tmp_path / "theirs")
    content, asked = archive(theirs), ("--files", str(len(files_of(theirs))), "--model", "robots")
    for cut in (0, 100, 600, 1024):
        status, event = run(tmp_path, content[:cut], *asked)
        assert (status, event["event"], event["cure"]) == (1, "error", "Try again."), cut
    with tarfile.open(fileobj=(made := io.BytesIO()), mode="w") as outside:
        outside.addfile(tarfile.TarInfo("../../escaped"))
    status, event = run(tmp_path, made.getvalue(), *asked)
    assert (status, event["event"]) == (1, "error")
    assert "'../../escaped' is not a file of a model" in event["cause"]


@pytest.mark.slow
def test_a_model_that_never_ends_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("PUBLISH_SECONDS", "8")
    theirs = endless(tmp_path / "theirs")
    asked = ("--files", str(len(files_of(theirs))), "--model", "robots", "--file", "theirs.onnx")
    status, event = run(tmp_path, archive(theirs), *asked)
    assert (status, event["event"]) == (2, "error")
    assert event["cause"] == "the check of theirs.onnx took more than 8 s and was stopped."
    assert "PUBLISH_SECONDS=16" in event["cure"]
    assert FolderStore(tmp_path / "models").list("robots") == []


@pytest.mark.slow
def test_a_model_that_needs_all_memory_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("WORKFLOW_MEMORY", "1g")
    theirs = endless(tmp_path / "theirs", swelling=True)
    asked = ("--files", str(len(files_of(theirs))), "--model", "robots", "--file", "theirs.onnx")
    status, event = run(tmp_path, archive(theirs), *asked)
    assert (status, event["event"]) != (0, "published")
    assert event["cause"] == "the model needs more memory than the check may use (1.0 GB)."
    assert FolderStore(tmp_path / "models").list("robots") == []
