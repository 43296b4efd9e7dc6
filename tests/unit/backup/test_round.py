"""From a deployment to a file and to another deployment. The engine is one that runs tasks in this process."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pantheon.backup import read, seal
from pantheon.backup.archive import Reader
from pantheon.deployment import backup as saving
from pantheon.deployment.backup import backup
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.restore import Options, restore
from pantheon.engines import Engine, Planned, ServiceStatus
from pantheon.errors import PantheonError
from pantheon.state import StoreLocation, read_store, write_store
from pantheon.tiers import find

SQL = b"CREATE DATABASE airflow;\n"
OBJECTS = {"history/000000/models/m/aliases/champion.json": b"1", "current/models/m/aliases/champion.json": b"2"}


class Here(Engine):
    """Its services are always as ``running`` says; ``databases`` and ``s3-buckets`` are servers of one file each."""

    name = "here"
    running: tuple[str, ...] = ("postgres", "s3", "button")
    started: list[str]
    trouble: Callable[[str], None] = staticmethod(lambda service: None)

    def __init__(self, deployment: Deployment, log: list[str]) -> None:
        self.state, self.started = deployment.state, log

    def planned(self) -> list[Planned]:
        inside = "http://s3:9000"
        return [Planned("s3", "s3", address=f"http://127.0.0.1:{9000 + self.offset}", inside=inside)]

    @property
    def offset(self) -> int:
        return int(json.loads((self.state / "settings.json").read_text())["port_offset"])

    def prepare(self, environments: Any) -> None:
        pass

    def up(self, on_event: Any = None, environments: Any = ()) -> None:
        self.started.append(f"up {self.state.name}")

    def down(self, on_event: Any = None) -> None:
        self.started.append(f"down {self.state.name}")

    def destroy(self) -> None:
        self.down()

    def status(self) -> list[ServiceStatus]:
        return [ServiceStatus(name, "healthy") for name in self.running]

    def logs(self, service: Any = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        return iter(())

    def run_task(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Any = None,
        on_output: Any = None,
        on_errors: Any = None,
        input: Path | bytes | None = None,
        output: int | None = None,
    ) -> int:
        server = self.state / "volumes" / {"databases": "metadata", "s3-buckets": "objects"}.get(service, "") / "server"
        try:
            type(self).trouble(service)
            if command[-1] == "load":
                assert isinstance(input, Path)
                with input.open("rb") as stream:
                    server.write_bytes(stream.read())
                return 0
            assert output is not None
            with os.fdopen(os.dup(output), "wb") as stream:
                if command[-1] == "save":
                    stream.write(server.read_bytes())
                else:
                    read.write(read.parsed(command[3:]), stream)
        except PantheonError as error:
            on_output(error.cause)
            return 1
        return 0


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the engine started."""
    log: list[str] = []
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Deployment, "engine", lambda self, *_, **__: Here(self, log))
    monkeypatch.setattr(seal, "COST", 1 << 10)
    return log


def tar(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, body in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            made.addfile(info, io.BytesIO(body))
    return stream.getvalue()


@pytest.fixture
def deployment() -> Deployment:
    made = Deployment("pantheon")
    made.update(tier="nemesis", engine="here", port_offset=6000, seed=7)
    write_store(made.state, StoreLocation("pantheon", "http://s3:9000", "http://127.0.0.1:15000", embedded=True))
    for name, body in {
        "runs/1/run.json": b"{}",
        "notebooks/train.ipynb": b"{}",
        "volumes/airflow/logs/task.log": b"done",
        "volumes/airflow/passwords.json": b"secret",
        "volumes/metadata/server": SQL,
        "volumes/objects/server": tar(OBJECTS),
        "logs/button.log": b"left out",
        "hub/passwords.json": b"{}",
    }.items():
        (made.state / name).parent.mkdir(parents=True, exist_ok=True)
        (made.state / name).write_bytes(body)
    return made


def saved(deployment: Deployment, file: Path, **given: Any) -> dict[str, Any]:
    return backup(deployment, find("nemesis"), file, **given)


def files(file: Path) -> set[str]:
    reader = Reader(file)
    reader.close()
    return {entry.path for entry in reader.manifest.files if entry.kind == "file"}


def test_a_restored_deployment_has_the_same_files_and_databases(
    deployment: Deployment, tmp_path: Path, log: list[str]
) -> None:
    done = saved(deployment, tmp_path / "a.zip", passphrase="mellon")
    assert (done["tier"], done["secrets"], done["unchanged"]) == ("nemesis", "sealed", 0)
    assert log == [], "nothing is started or stopped"
    restore(tmp_path / "a.zip", Options(name="copy", port_offset=6200, passphrase="mellon"))
    copy = Deployment("copy")
    for name in ("runs/1/run.json", "notebooks/train.ipynb", "volumes/airflow/logs/task.log", "hub/passwords.json"):
        assert (copy.state / name).read_bytes() == (deployment.state / name).read_bytes()
    assert (copy.state / "volumes" / "metadata" / "server").read_bytes() == SQL
    with tarfile.open(copy.state / "volumes" / "objects" / "server") as objects:
        assert {m.name: objects.extractfile(m).read() for m in objects} == OBJECTS  # type: ignore[union-attr]
        assert objects.getnames() == list(OBJECTS), "in their order"
    assert (copy.settings.seed, copy.settings.tier, copy.settings.port_offset) == (7, "nemesis", 6200)
    assert copy.settings.route.models == "folder", "the route is that of the settings"
    where = read_store(copy.state)
    assert where and where.host_endpoint == "http://127.0.0.1:15200", "the address follows the ports"
    for secret in (deployment.state / "secrets").rglob("*"):
        if secret.is_file():
            assert (copy.state / secret.relative_to(deployment.state)).read_bytes() == secret.read_bytes()


def test_secrets_and_what_is_made_again_are_not_readable_in_it(deployment: Deployment, tmp_path: Path) -> None:
    saved(deployment, tmp_path / "a.zip", passphrase="mellon")
    found = files(tmp_path / "a.zip")
    assert not any(
        name.startswith(("secrets/", "logs/")) or name.endswith("passwords.json")
        for name in found - {"hub/passwords.json"}
    )
    assert {
        "saved/volumes/metadata/databases.sql",
        "saved/volumes/objects/current/models/m/aliases/champion.json",
    } < found


def test_without_secrets_a_restored_deployment_gets_new_ones(deployment: Deployment, tmp_path: Path) -> None:
    saved(deployment, tmp_path / "a.zip")
    assert saving.SEALED not in files(tmp_path / "a.zip")
    restore(tmp_path / "a.zip", Options(name="copy"))
    old, new = (deployment.state.parent / name / "secrets" / "postgres_password" for name in ("pantheon", "copy"))
    assert old.read_text() != new.read_text()


def test_servers_that_do_not_run_are_copied_as_files(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(Here, "running", ())
    saved(deployment, tmp_path / "a.zip", passphrase="mellon")
    assert {"volumes/metadata/server", "volumes/objects/server"} < files(tmp_path / "a.zip")
    with pytest.raises(
        PantheonError, match=r"the databases .* were copied while PostgreSQL did not run.*PASSPHRASE_FILE"
    ):
        restore(tmp_path / "a.zip", Options(name="copy"))
    restore(tmp_path / "a.zip", Options(name="copy", passphrase="mellon"))
    assert (tmp_path / "home" / "copy" / "volumes" / "metadata" / "server").read_bytes() == SQL
    assert "up .copy.restoring" not in log


def test_what_has_not_changed_since_the_base_is_not_written_again(deployment: Deployment, tmp_path: Path) -> None:
    saved(deployment, tmp_path / "monday.zip", passphrase="mellon")
    (deployment.state / "runs" / "2").mkdir()
    (deployment.state / "runs" / "2" / "run.json").write_text("{}")
    done = saved(deployment, tmp_path / "tuesday.zip", base=tmp_path / "monday.zip", passphrase="mellon")
    assert done["unchanged"] >= 4
    restore(tmp_path / "tuesday.zip", Options(name="copy", passphrase="mellon"))
    assert (tmp_path / "home" / "copy" / "runs" / "2" / "run.json").exists()
    assert (tmp_path / "home" / "copy" / "notebooks" / "train.ipynb").exists()


@pytest.mark.parametrize("service", ["databases", "s3-buckets", "workflow", "jupyter"])
def test_a_service_that_cannot_be_read_fails_the_backup_and_leaves_no_file(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    def trouble(called: str) -> None:
        if called == service:
            raise PantheonError("it does not answer")

    monkeypatch.setattr(Here, "trouble", staticmethod(trouble))
    with pytest.raises(PantheonError, match=f"the task of the service {service} failed: it does not answer"):
        saved(deployment, tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip*")) + list(tmp_path.glob(".*.part"))


def test_a_restore_that_fails_at_a_server_leaves_nothing_and_stops_it(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    saved(deployment, tmp_path / "a.zip")

    def trouble(called: str) -> None:
        raise PantheonError("the disk is full")

    monkeypatch.setattr(Here, "trouble", staticmethod(trouble))
    with pytest.raises(PantheonError, match="failed: the disk is full"):
        restore(tmp_path / "a.zip", Options(name="copy"))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["pantheon"]
    assert log[:2] == ["up .copy.restoring", "down .copy.restoring"]


def test_models_that_move_meanwhile_fail_the_backup(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Here, "trouble", staticmethod(lambda service: write_store(deployment.state, None)))
    with pytest.raises(PantheonError, match="the models were moved, while the backup was made"):
        saved(deployment, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("there.zip", "exists"),
        ("nowhere/a.zip", "does not exist"),
        ("home/pantheon/a.zip", "is in the folder of the deployment itself"),
        ("a.tar", r"does not end with \.zip"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_first(
    deployment: Deployment, tmp_path: Path, file: str, message: str
) -> None:
    (tmp_path / "there.zip").write_text("mine")
    with pytest.raises(PantheonError, match=message):
        saved(deployment, tmp_path / file)
    assert (tmp_path / "there.zip").read_text() == "mine"


def test_the_original_can_be_deleted_and_restored_under_its_name(deployment: Deployment, tmp_path: Path) -> None:
    saved(deployment, tmp_path / "a.zip", passphrase="mellon")
    shutil.rmtree(deployment.state)
    restore(tmp_path / "a.zip", Options(passphrase="mellon"))
    assert Deployment("pantheon").settings.seed == 7
