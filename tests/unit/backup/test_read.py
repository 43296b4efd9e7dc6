"""Folders become a tar while services write in them."""

import io
import os
import socket
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon.backup import read
from pantheon.backup.read import Folder


def names(folder: Folder) -> list[str]:
    return [member.name for member in tar_of(folder)]


def tar_of(folder: Folder) -> tarfile.TarFile:
    stream = io.BytesIO()
    read.write([folder], stream)
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()


def test_arguments_describe_folders() -> None:
    folders = [
        Folder("runs", Path("/state/runs")),
        Folder("models", Path("/state/models"), ("*/aliases/*", "*/policy.json"), (".cache",)),
    ]
    assert read.parsed(read.arguments(folders)) == folders


def test_a_folder_that_does_not_exist_is_left_out(tmp_path: Path) -> None:
    assert names(Folder("runs", tmp_path / "runs")) == []


def test_references_come_before_what_they_name(tmp_path: Path) -> None:
    for name in ("robots/1/model.onnx", "robots/aliases/champion.json", "robots/policy.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = names(Folder("models", tmp_path, first=("*/policy.json", "*/aliases/*")))
    assert found[:2] == ["models/robots/policy.json", "models/robots/aliases/champion.json"]
    assert "models/robots/1/model.onnx" in found[2:]


def test_caches_temporary_files_and_what_has_no_content_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".cache" / "robots").mkdir(parents=True)
    (tmp_path / ".cache" / "robots" / "model.onnx").touch()
    (tmp_path / ".model.onnx.123.abcdef.part").touch()
    os.mkfifo(tmp_path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(tmp_path)  # a socket's path must be short
    try:
        os.mknod("socket", 0o600 | 0o140000)
    finally:
        os.chdir(before)
        server.close()
    (tmp_path / "kept").write_text("kept")
    assert names(Folder("models", tmp_path, without=(".cache",))) == ["models/kept"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "link").symlink_to("../secret")
    (folder / "outside").symlink_to("/etc")
    tar = tar_of(Folder("notebooks", folder))
    assert [(member.name, member.linkname) for member in tar] == [
        ("notebooks/link", "../secret"),
        ("notebooks/outside", "/etc"),
    ]


def test_a_database_of_sqlite_is_as_it_was_between_two_transactions(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.sqlite"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE jobs (name TEXT)")
        writer.execute("INSERT INTO jobs VALUES ('committed')")
        writer.commit()
        writer.execute("INSERT INTO jobs VALUES ('not committed')")
        tar = tar_of(Folder("jupyter", tmp_path))  # what is committed is still in the file -wal
    assert tar.getnames() == ["jupyter/scheduler.sqlite"]
    copy = tmp_path / "copy"
    copy.write_bytes(content(tar, "jupyter/scheduler.sqlite"))
    with closing(sqlite3.connect(copy)) as reader:
        assert reader.execute("SELECT name FROM jobs").fetchall() == [("committed",)]


def test_a_file_that_only_begins_like_a_database_is_copied(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(read.SQLITE + b"is how it begins")
    assert content(tar_of(Folder("notebooks", tmp_path)), "notebooks/notes").endswith(b"is how it begins")


def test_the_successor_of_a_file_that_vanished_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "part-1.parquet").write_text("one")
    (tmp_path / "part-2.parquet").write_text("two")
    add = read._Reading.add

    def compact(self: Any, path: str) -> None:
        if path == "part-1.parquet":
            (tmp_path / "compacted.parquet").write_text("one, two")
            (tmp_path / "part-1.parquet").unlink()
            (tmp_path / "part-2.parquet").unlink()
        add(self, path)

    monkeypatch.setattr(read._Reading, "add", compact)
    assert names(Folder("predictions", tmp_path)) == ["predictions/compacted.parquet"]


def test_a_file_that_grows_ends_with_what_it_had_when_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "IN_MEMORY", 4)
    path = tmp_path / "segment"
    path.write_bytes(b"a line\n")
    fstat = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        if path.stat().st_size < 100:
            with path.open("ab") as file:
                file.write(b"a line that comes later\n" * 10)
        return status

    monkeypatch.setattr(os, "fstat", grow)
    assert content(tar_of(Folder("spool", tmp_path)), "spool/segment") == b"a line\n"


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200 and not name.endswith((".part", *read.BESIDE))
)
TREES = st.recursive(st.binary(max_size=200), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12)


def make(path: Path, tree: Any) -> None:
    if isinstance(tree, bytes):
        path.write_bytes(tree)
        return
    path.mkdir(exist_ok=True)
    for name, inner in tree.items():
        make(path / name, inner)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(NAMES, TREES, max_size=4))
def test_the_tar_has_every_folder_and_file(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    make(source, tree)
    with tar_of(Folder("x", source)) as tar:
        tar.extractall(target, filter="data")
    (target / "x").mkdir(exist_ok=True)

    def everything(folder: Path) -> dict[str, bytes | None]:
        paths = sorted(folder.rglob("*"))
        return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}

    assert everything(target / "x") == everything(source)
