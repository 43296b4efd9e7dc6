"""To an engine whose services do not share folders of this machine, and back. Its volume is a folder of the test."""

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pantheon.backup import archive, seal, write
from pantheon.deployment.backup import backup
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.restore import Options, restore
from pantheon.engines import Engine
from pantheon.engines.volumes import Volumes
from pantheon.errors import PantheonError
from pantheon.tiers import find
from tests.unit.backup.test_round import OBJECTS, SQL, Here, tar

__all__ = ["Here"]
FILES = {
    "runs/1/run.json": b"{}",
    "notebooks/train.ipynb": b"{}",
    "models/robots/aliases/champion.json": b"1",
    "extensions/mine.py": b"pass",
    "volumes/metadata/server": SQL,
    "volumes/objects/server": tar(OBJECTS),
}


class Away(Here):
    """Has its files in ``volume``; a killed restore is one whose ``trouble`` raises."""

    name = "away"
    shares_folders = False

    def volumes(self) -> "Folder":
        return Folder(self)

    @property
    def volume(self) -> Path:
        name = self.state.name.removeprefix(".").removesuffix(".restoring")
        return self.state.parent.parent / "volumes" / name

    def destroy(self) -> None:
        self.started.append("destroy")
        shutil.rmtree(self.volume, ignore_errors=True)


class Folder(Volumes):
    of_host = ("state", "extensions", "people")
    reader = "volumes"

    def __init__(self, engine: Away) -> None:
        self.engine = engine

    def place(self, path: str) -> tuple[PurePosixPath, str]:
        return PurePosixPath(self.engine.volume), path

    def with_files(self, folders: Collection[str]) -> set[str]:
        return {each for each in folders if any(p.is_file() for p in (self.engine.volume / each).rglob("*"))}

    def create(self, environments: Collection[str]) -> None:
        self.engine.started.append("create")
        for name in ("metadata", "objects"):
            (self.engine.volume / "volumes" / name).mkdir(parents=True)

    @contextmanager
    def alone(self, server: str) -> Iterator[None]:
        self.engine.started.append(f"up {server}")
        yield
        self.engine.started.append(f"down {server}")

    def end_tasks(self) -> None:
        pass

    def run_task(self, service: str, command: Sequence[str], **given: Any) -> int:
        here = Away(self.engine, self.engine.started)  # type: ignore[arg-type]  # it only asks for `state`
        here.state = self.engine.volume
        if command[2:3] != ["pantheon.backup.write"]:
            return Here.run_task(here, service, command, **given)
        type(here).trouble(service)
        with given["input"].open("rb") as stream:
            write.write(Path(command[3]), stream)
        return 0


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    log: list[str] = []

    def engine(self: Deployment, tier: Any, choice: str = "", **_: Any) -> Engine:
        return {"here": Here, "away": Away}[choice or self.settings.engine](self, log)

    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Deployment, "engine", engine)
    monkeypatch.setattr("pantheon.deployment.restore.engine_names", lambda: ["here", "away"])
    monkeypatch.setattr(seal, "COST", 1 << 10)
    return log


@pytest.fixture
def file(log: list[str], tmp_path: Path) -> Path:
    """A backup of a deployment on this machine."""
    made = Deployment("pantheon")
    made.update(tier="nemesis", engine="here", port_offset=6000, seed=7)
    for name, body in FILES.items():
        (made.state / name).parent.mkdir(parents=True, exist_ok=True)
        (made.state / name).write_bytes(body)
    (made.state / "notebooks" / "runs").symlink_to("../runs")
    backup(made, find("nemesis"), tmp_path / "here.zip", passphrase="mellon")
    return tmp_path / "here.zip"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_and_back(file: Path, tmp_path: Path, log: list[str]) -> None:
    restore(file, Options(name="away", engine="away", port_offset=6200, passphrase="mellon"))
    there, state = tmp_path / "volumes" / "away", tmp_path / "home" / "away"
    on_this_machine = {name for name in FILES if name.startswith("extensions")}
    found = content(there)
    assert found.keys() == FILES.keys() - on_this_machine
    assert {name: body for name, body in found.items() if name != "volumes/objects/server"} == {
        name: FILES[name] for name in found if name != "volumes/objects/server"
    }
    assert (there / "notebooks" / "runs").readlink() == Path("../runs")
    assert (state / "extensions" / "mine.py").read_bytes() == b"pass"
    assert not (state / "runs" / "1").exists()
    assert [each for each in log if " " in each or each == "create"] == [
        *("create", "up postgres", "down postgres", "up s3", "down s3")
    ]
    settings = Deployment("away").settings
    assert (settings.engine, settings.seed, settings.port_offset) == ("away", 7, 6200)

    (there / "extensions").mkdir()  # the engine has brought them
    (there / "extensions" / "mine.py").write_bytes(b"pass")
    backup(Deployment("away"), find("nemesis"), tmp_path / "away.zip", passphrase="mellon")
    restore(tmp_path / "away.zip", Options(name="back", engine="here", port_offset=6400, passphrase="mellon"))
    back = tmp_path / "home" / "back"
    assert {name: (back / name).read_bytes() for name in FILES if name != "volumes/objects/server"} == {
        name: body for name, body in FILES.items() if name != "volumes/objects/server"
    }
    secrets = content(tmp_path / "home" / "pantheon" / "secrets")
    assert content(back / "secrets") == secrets
    assert content(state / "secrets") == secrets


def test_checksums_are_verified_before_anything_is_made_there(file: Path, tmp_path: Path, log: list[str]) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(SQL)] ^= 0xFF
    file.write_bytes(damaged)
    with pytest.raises(PantheonError, match=r"is damaged: saved/volumes/metadata/databases\.sql"):
        restore(file, Options(name="away", engine="away", passphrase="mellon"))
    assert "create" not in log
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["pantheon"]


@pytest.mark.parametrize("service", ["volumes", "databases", "s3-buckets"])
def test_a_restore_that_fails_there_leaves_nothing(
    file: Path, tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    def trouble(called: str) -> None:
        if called == service:
            raise PantheonError("the volume is full")

    monkeypatch.setattr(Away, "trouble", staticmethod(trouble))
    with pytest.raises(PantheonError, match="the volume is full"):
        restore(file, Options(name="away", engine="away", passphrase="mellon"))
    assert log[-1] == "destroy"
    assert not (tmp_path / "volumes" / "away").exists()
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["pantheon"]


def test_what_a_restore_could_not_remove_there_is_removed_by_the_next_one(
    file: Path, tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise PantheonError("the cluster does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(Away, "trouble", staticmethod(lost))
        patched.setattr(Away, "destroy", lost)
        with pytest.raises(PantheonError, match="does not answer"):
            restore(file, Options(name="away", engine="away", passphrase="mellon"))
    assert (tmp_path / "volumes" / "away").exists()
    assert not (tmp_path / "home" / "away").exists()
    log.clear()
    restore(file, Options(name="away", engine="away", passphrase="mellon"))
    assert log[:2] == ["destroy", "create"]
    assert (tmp_path / "volumes" / "away" / "runs" / "1" / "run.json").exists()


def test_servers_that_do_not_run_there_are_copied_as_files(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(file, Options(name="away", engine="away", passphrase="mellon"))
    monkeypatch.setattr(Away, "running", ())
    backup(Deployment("away"), find("nemesis"), tmp_path / "cold.zip", passphrase="mellon")
    reader = archive.Reader(tmp_path / "cold.zip")
    assert {"volumes/metadata/server", "volumes/objects/server"} < reader.files.keys()
    assert not any(name.startswith("saved/") for name in reader.files)
    reader.close()
