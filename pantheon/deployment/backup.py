"""``backup``: write a deployment to one file while its services run. docs/backup.md says why the copy is consistent."""

import io
import os
import tarfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from pantheon import __version__, terminal
from pantheon.backup import archive, read
from pantheon.backup.archive import FORMAT, Manifest, Reader, Writer
from pantheon.backup.seal import seal
from pantheon.deployment import keeping, piping, storage
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.keeping import Engines, Part
from pantheon.engines.volumes import RunsTasks
from pantheon.errors import PantheonError
from pantheon.state import Settings, read_settings
from pantheon.tiers import Tier

SEALED = "secrets.sealed"  # the file with the secrets
READ = ("python", "-m", "pantheon.backup.read")
NOTE_SECONDS = 0.2  # between two updates of the progress


def check_file(deployment: Deployment, file: Path, base: Path | None) -> None:
    """Check where to write.

    Raises:
        PantheonError: the file exists, its folder does not, or it is in the deployment's folder.
    """
    if file.exists():
        raise PantheonError(f"{file} exists.", f"Choose another name, or remove it: rm {file}")
    if not file.parent.is_dir():
        raise PantheonError(f"the folder {file.parent} does not exist.", f"Create it: mkdir -p {file.parent}")
    if file.absolute().is_relative_to(deployment.state):
        raise PantheonError(f"{file} is in the folder of the deployment itself.", "Choose a place outside of it.")
    if file.suffix != ".zip":
        raise PantheonError(f"FILE={file} does not end with .zip.", f"Use FILE={file.with_suffix('.zip')}")
    if base and base.absolute() == file.absolute():
        raise PantheonError("FILE= and BASE= are the same file.", "Choose another FILE=.")


def backup(
    deployment: Deployment, tier: Tier, file: Path, base: Path | None = None, passphrase: str | None = None
) -> dict[str, Any]:
    """Write the deployment to ``file``; a failure or interruption leaves no file.

    Args:
        base: an earlier backup; what has not changed since is not written again.
        passphrase: to encrypt the secrets with; None leaves them out.

    Returns:
        ``{"file", "deployment", "tier", "files", "bytes", "unchanged", "size", "seconds", "secrets", "id"}``: ``bytes``
        is the size of all content, ``size`` that of the file, ``unchanged`` counts files that only the base has.

    Raises:
        PantheonError: a component could not be read, or the file could not be written.
    """
    check_file(deployment, file, base)
    begin, created = time.monotonic(), datetime.now(UTC)
    earlier = Reader(base) if base else None
    engines = Engines(deployment, tier)
    engines.own.check()
    with terminal.step("looking for files"):
        parts, running = engines.parts(), engines.running()
    before = _place(deployment)
    if deployment.settings.s3:
        where = storage.describe(storage.current(deployment))
        terminal.warn(f"{where} is not part of the deployment: back it up with its own tools.")
    with archive.new(file) as temporary, terminal.steps() as steps:
        progress = _Progress(steps)
        writer = Writer(temporary, earlier, progress.add)
        work = _Backup(deployment, engines, writer, running, progress)
        try:
            work.host()
            work.secrets(passphrase)
            work.parts(parts)
            if engines.volumes:
                engines.volumes.end_tasks()
            servers = {part.component.services[0] for part in parts if part.kept.save}
            if engines.running() & servers != running & servers or _place(deployment) != before:
                what = "services were started or stopped, or the models were moved, while the backup was made."
                raise PantheonError(what, "Run the command again when `up` or `down` has ended.", 1)
            settings = before[0]
            manifest = Manifest(
                FORMAT, "", __version__, created.isoformat(timespec="seconds"), deployment.name, tier.name,
                settings.variant, settings.engine, sorted({part.component.name for part in parts}),
                "none" if passphrase is None else "sealed", [], [],
            )  # fmt: skip
            writer.finish(manifest)
        finally:
            writer.close()
            if earlier:
                earlier.close()
        size = temporary.stat().st_size
    entries = [entry for entry in manifest.files if entry.kind == "file"]
    return {
        "file": str(file),
        "id": manifest.id,
        "deployment": deployment.name,
        "tier": tier.name,
        "secrets": manifest.secrets,
        "files": len(entries),
        "bytes": sum(entry.size for entry in entries),
        "unchanged": sum(bool(entry.within) for entry in entries),
        "size": size,
        "seconds": round(time.monotonic() - begin, 1),
    }


def _place(deployment: Deployment) -> tuple[Settings, object]:
    """Return what must not change meanwhile."""
    settings = read_settings(deployment.state)
    assert settings
    return settings, storage.current(deployment)


class _Progress:
    """Shows how much of a step is read."""

    def __init__(self, steps: terminal.Steps) -> None:
        self.steps, self.name, self.files, self.bytes, self._shown = steps, "", 0, 0, 0.0

    def begin(self, name: str) -> None:
        self.name, self.files, self.bytes = name, 0, 0
        self.steps.start(name)

    def add(self, size: int) -> None:
        self.bytes += size
        if time.monotonic() - self._shown > NOTE_SECONDS:
            self._shown = time.monotonic()
            self.steps.note(self.name, self.note())

    def note(self) -> str:
        return f"{self.files:,} file{'s' * (self.files != 1)}, {size(self.bytes)}"

    def end(self, state: str = "done") -> None:
        self.steps.end(self.name, state, self.note())


def size(number: float) -> str:
    """Return a size for people, such as ``12.3 MB``."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


@dataclass
class _Backup:
    """One backup under way."""

    deployment: Deployment
    engines: Engines
    writer: Writer
    running: set[str]
    progress: _Progress

    def step(self, name: str, work: Callable[[], None]) -> None:
        self.progress.begin(name)
        try:
            work()
        except BaseException:
            self.progress.end("failed")
            raise
        self.progress.end()

    def host(self) -> None:
        """Add the files of the host: settings, hashes of keys, people."""
        stream = io.BytesIO()
        state = self.deployment.state
        folders = [read.Folder(name, state / name) for name in keeping.HOST if (state / name).is_dir()]
        read.write(folders, stream)
        stream.seek(0)

        def work() -> None:
            for name in keeping.HOST:
                if (path := state / name).is_file():
                    self.add_file(name, path)
            self.add_tar(stream, "", leave_out=keeping.REBUILT)

        self.step("settings", work)

    def secrets(self, passphrase: str | None) -> None:
        """Add the secrets, encrypted."""
        if passphrase is None:
            return

        def work() -> None:
            stream = io.BytesIO()
            read.write([read.Folder("secrets", self.deployment.state / "secrets")], stream)
            sealed = seal(stream.getvalue(), passphrase)
            self.writer.add(SEALED, io.BytesIO(sealed), len(sealed))
            self.progress.files += 1

        self.step("secrets", work)

    def parts(self, parts: Sequence[Part]) -> None:
        """Add what the components keep: one task for consecutive folders of the same service."""
        plans = [(self.plan(part), part) for part in parts]
        for (engine, service, command), group in groupby(plans, key=lambda each: each[0]):
            members = [part for _, part in group]
            self.step(", ".join(part.kept.folder for part in members), self.task(engine, service, command, members))

    def plan(self, part: Part) -> tuple[RunsTasks, str, tuple[str, ...]]:
        """Return how to read a part: the engine, the service, and the command; empty: read the files."""
        kept = part.kept
        if kept.save and not self.engines.stopped(part, self.running):
            return self.engines.of(part, kept.service), kept.service, kept.save
        return *self.engines.reader(part), ()

    def task(
        self, engine: RunsTasks, service: str, command: tuple[str, ...], parts: Sequence[Part]
    ) -> Callable[[], None]:
        part = parts[0]
        if command and part.kept.file:

            def take(stream: IO[bytes]) -> None:
                self.writer.add(f"{part.saved}/{part.kept.file}", stream, None)
                self.progress.files += 1

        elif command:

            def take(stream: IO[bytes]) -> None:
                self.add_tar(stream, f"{part.saved}/")

        else:
            of = [part.kept for part in parts]
            folders = [read.Folder(kept.folder, self.place(kept.folder), kept.first, kept.without) for kept in of]
            command = (*READ, *read.arguments(folders))

            def take(stream: IO[bytes]) -> None:
                self.add_tar(stream, "")

        return lambda: piping.receive(engine, service, command, take)

    def place(self, folder: str) -> Path:
        """Return where tasks see a folder; engines translate paths of this machine."""
        volumes = self.engines.volumes
        return Path(*volumes.place(folder)) if volumes else self.deployment.state / folder

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            self.writer.add(name, file, status.st_size, status.st_mode & 0o777, status.st_mtime)
        self.progress.files += 1

    def add_tar(self, stream: IO[bytes], before: str, leave_out: Sequence[str] = ()) -> None:
        """Add the members of a tar; ``before`` is put before their names."""
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it would remember all of them
                name = before + member.name
                if name in leave_out:
                    continue
                if member.issym():
                    self.writer.add_link(name, member.linkname, float(member.mtime))
                elif member.isdir():
                    self.writer.add_folder(name, member.mode, float(member.mtime))
                else:
                    content = tar.extractfile(member)
                    assert content
                    self.writer.add(name, content, member.size, member.mode, float(member.mtime))
                    self.progress.files += 1
        with suppress(OSError):
            while stream.read(1 << 16):  # what follows the end of a tar
                pass
