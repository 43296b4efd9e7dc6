"""A backup becomes a deployment, completely or not at all. Nothing is started; docker-compose reads the definition."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pantheon.backup import archive, seal
from pantheon.backup.archive import Chain, Entry, Manifest, Reader, Writer
from pantheon.backup.read import Folder, write
from pantheon.deployment import restore as work
from pantheon.deployment.backup import SEALED
from pantheon.deployment.restore import Options, restore
from pantheon.errors import PantheonError
from tests.support import ROOT

SETTINGS = {"name": "pantheon", "tier": "persephone", "engine": "local", "port_offset": 6000, "seed": 7, "version": 2}
CONTENT = {
    "settings.json": json.dumps(SETTINGS).encode(),
    "state/keys.json": b'{"version": 2, "keys": []}',
    "models/robots/1/model.onnx": bytes(range(256)) * 400,
    "runs/1/run.json": b"{}",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(seal, "COST", 1 << 10)
    return tmp_path / "home"


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    return make(tmp_path / "backup.zip")


def make(path: Path, content: dict[str, bytes] = CONTENT, secrets: Path | None = None) -> Path:
    with archive.new(path) as part:
        writer = Writer(part, None)
        if secrets:
            stream = io.BytesIO()
            write([Folder("secrets", secrets)], stream)
            sealed = seal.seal(stream.getvalue(), "open sesame")
            writer.add(SEALED, io.BytesIO(sealed), len(sealed))
        for name, body in content.items():
            writer.add(name, io.BytesIO(body), len(body), 0o640, 1_700_000_000.0)
        writer.add_folder("notebooks", 0o750, 1_700_000_000.0)
        writer.add_link("notebooks/runs", "../runs", 1_700_000_000.0)
        kind = "sealed" if secrets else "none"
        writer.finish(Manifest(1, "", "0.1.0", "2026-11-30", "pantheon", "persephone", "", "local", [], kind, [], []))
    return path


def left(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


def test_files_folders_and_links_are_as_before(home: Path, file: Path) -> None:
    restore(file, Options())
    state = home / "pantheon"
    for name in ("models/robots/1/model.onnx", "runs/1/run.json", "state/keys.json"):
        assert (state / name).read_bytes() == CONTENT[name]
        status = (state / name).stat()
        assert (status.st_mode & 0o777, status.st_mtime) == (0o640, 1_700_000_000.0)
    assert (state / "notebooks" / "runs").readlink() == Path("../runs")
    assert (state / "notebooks").stat().st_mode & 0o777 == 0o750
    assert state.stat().st_mode & 0o777 == 0o700
    assert left(home) == ["pantheon"]


def test_it_gets_another_name_and_other_ports_and_keeps_the_other_settings(home: Path, file: Path) -> None:
    done = restore(file, Options(name="copy", port_offset=6100))
    assert (done["deployment"], done["tier"], done["engine"]) == ("copy", "persephone", "local")
    found = json.loads((home / "copy" / "settings.json").read_text())
    assert (found["name"], found["port_offset"], found["seed"]) == ("copy", 6100, 7)


def test_without_a_passphrase_it_gets_new_secrets(home: Path, file: Path) -> None:
    restore(file, Options())
    password = home / "pantheon" / "secrets" / "button" / "password"
    assert len(password.read_text()) == 40
    assert password.stat().st_mode & 0o777 == 0o600


def test_with_the_passphrase_it_has_the_same_secrets(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "button").mkdir(parents=True)
    (tmp_path / "secrets" / "button" / "password").write_text("mellon")
    made = make(tmp_path / "sealed.zip", secrets=tmp_path / "secrets")
    with pytest.raises(PantheonError, match="the passphrase does not open the secrets"):
        restore(made, Options(passphrase="open barley"))
    assert left(home) == []
    restore(made, Options(passphrase="open sesame"))
    assert (home / "pantheon" / "secrets" / "button" / "password").read_text() == "mellon"
    assert b"mellon" not in made.read_bytes()


def test_an_existing_deployment_is_never_touched(home: Path, file: Path) -> None:
    restore(file, Options())
    (home / "pantheon" / "mine").write_text("mine")
    with pytest.raises(PantheonError, match=r"pantheon exists\. Choose another name: NAME=…; or delete it first"):
        restore(file, Options())
    assert (home / "pantheon" / "mine").read_text() == "mine"


def test_a_folder_that_is_not_a_deployment_is_not_touched_either(home: Path, file: Path) -> None:
    (home / "pantheon").mkdir(parents=True)
    (home / "pantheon" / "mine").touch()
    with pytest.raises(PantheonError, match="or move it away: mv "):
        restore(file, Options())
    assert (home / "pantheon" / "mine").exists()


def test_a_damaged_backup_leaves_nothing(home: Path, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b'"keys"')] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(PantheonError, match=r"is damaged: .* does not have its checksum"):
        restore(file, Options())
    assert left(home) == []
    with pytest.raises(PantheonError, match="is damaged"):
        work.verify(file, [])


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "runs/../../outside"])
def test_a_file_outside_of_the_deployment_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    made = make(tmp_path / "hostile.zip", CONTENT | {name: b"hostile"})
    with pytest.raises(PantheonError, match="names a file outside of the deployment"):
        restore(made, Options())
    assert left(home) == []
    assert not list(tmp_path.rglob("outside"))


def test_nothing_is_written_through_a_link(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    made = tmp_path / "hostile.zip"
    with archive.new(made) as part:
        writer = Writer(part, None)
        for name, body in CONTENT.items():
            writer.add(name, io.BytesIO(body), len(body))
        writer.add_link("data", str(outside), 0.0)
        writer.add("data/hostile", io.BytesIO(b"hostile"), 7)
        writer.finish(Manifest(1, "", "0.1.0", "", "pantheon", "persephone", "", "local", [], "none", [], []))
    with pytest.raises(PantheonError):
        restore(made, Options())
    assert not list(outside.iterdir())
    assert left(home) == []


def test_missing_space_is_noticed_before_anything_is_written(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(PantheonError, match=r"the deployment needs .* in .*, where 1\.0 kB are free"):
        restore(file, Options())
    assert left(home) == []


def test_a_port_in_use_is_noticed(home: Path, file: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 8080 + 6000)), pytest.raises(PantheonError, match="14080"):
        restore(file, Options())
    assert left(home) == []


def killed_after(file: Path, wait: Callable[[], bool]) -> None:
    """Run a restore in a process of its own, and kill it when ``wait`` returns True."""
    command = [sys.executable, "-P", "-m", "pantheon", "restore", str(file), "--no-start"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not wait() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_restore_leaves_no_deployment_and_the_next_one_succeeds(home: Path, tmp_path: Path) -> None:
    many = {f"runs/{number}/data.parquet": os.urandom(2000) for number in range(1000)}
    made = make(tmp_path / "large.zip", CONTENT | many)
    killed_after(made, lambda: len(list(home.glob(".pantheon.restoring/runs/*"))) > 50)
    assert left(home) == [".pantheon.restoring"]
    restore(made, Options())
    assert left(home) == ["pantheon"]
    assert all((home / "pantheon" / name).read_bytes() == body for name, body in many.items())


def test_two_restores_of_one_name_do_not_disturb_each_other(home: Path, file: Path) -> None:
    chain = Chain(file, [])
    first = work._Restore(chain, Options())
    with first.folder():
        with pytest.raises(PantheonError, match="another command is restoring the deployment 'pantheon'"):
            restore(file, Options())
        first.unpack_settings()
    chain.close()
    assert left(home) == []


def test_entries_have_defaults() -> None:
    assert Entry("a") == Entry("a", "file", 0, "", 0o600, 0.0, "", "")


def test_the_manifest_says_what_is_in_it(file: Path) -> None:
    reader = Reader(file)
    assert {entry.path: entry.size for entry in reader.manifest.files if entry.kind == "file"} == {
        name: len(body) for name, body in CONTENT.items()
    }
    reader.close()
