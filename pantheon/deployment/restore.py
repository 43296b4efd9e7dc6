"""``restore``: make a deployment from a backup. It gets its name when all of it is there and verified."""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pantheon import files, terminal
from pantheon.backup import archive
from pantheon.backup.archive import Chain, Entry, Manifest
from pantheon.backup.seal import unseal
from pantheon.backup.write import write
from pantheon.deployment import keeping, permissions, piping, preflight, storage
from pantheon.deployment.backup import SEALED, size
from pantheon.deployment.deployment import Deployment, home
from pantheon.deployment.keeping import SAVED, Part
from pantheon.engines import engine_names
from pantheon.engines.volumes import Volumes
from pantheon.errors import PantheonError, describe
from pantheon.state import read_settings, write_store
from pantheon.tiers import Tier, find_built

WRITE = ("python", "-m", "pantheon.backup.write")
KINDS = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
RESERVE = 200 << 20  # bytes that are to stay free


@dataclass(frozen=True)
class Options:
    """Options of ``restore``.

    Attributes:
        name: of the new deployment; empty: as in the backup.
        engine: of the new deployment; empty: as in the backup.
        port_offset: of the new deployment; None: as in the backup.
        bases: earlier backups that an incremental one needs, or folders with them.
        passphrase: opens the secrets; None: new secrets are made.
    """

    name: str = ""
    engine: str = ""
    port_offset: int | None = None
    bases: Sequence[Path] = ()
    passphrase: str | None = None


def restore(file: Path, options: Options) -> dict[str, Any]:
    """Make the deployment; its services are not started yet. A failure or interruption leaves no deployment.

    Returns:
        ``{"deployment", "tier", "engine", "files", "bytes", "created", "secrets"}``.

    Raises:
        PantheonError: the backup is damaged or of a newer Pantheon, the deployment exists, the passphrase is wrong, or
            the machine is not fit for it.
    """
    with ExitStack() as held:
        chain = Chain(file, list(options.bases))
        held.callback(chain.close)
        work = _Restore(chain, options)
        work.check()
        held.enter_context(work.folder())
        work.unpack_settings()
        work.settle()
        work.unpack()
        work.load()
        work.finish()
    manifest = chain.manifest
    entries = [entry for entry in manifest.files if entry.kind == "file"]
    return {
        "deployment": work.name,
        "tier": manifest.tier,
        "engine": work.engine,
        "created": manifest.created,
        "secrets": "new" if options.passphrase is None else "restored",
        "files": len(entries),
        "bytes": sum(entry.size for entry in entries),
    }


def verify(file: Path, bases: Sequence[Path]) -> Manifest:
    """Check every checksum of a backup; return its manifest.

    Raises:
        PantheonError: a file of it is damaged or missing.
    """
    chain = Chain(file, list(bases))
    try:
        for entry in chain.manifest.files:
            if entry.kind == "file":
                chain.copy(entry, lambda piece: None)
    finally:
        chain.close()
    return chain.manifest


class _Restore:
    """One restore under way.

    Attributes:
        name: of the deployment.
        part: the folder in which it is made.
    """

    def __init__(self, chain: Chain, options: Options) -> None:
        self.chain, self.options, self.manifest = chain, options, chain.manifest
        self.name = options.name or self.manifest.deployment
        self.engine = options.engine or self.manifest.engine
        self.target = home() / self.name
        self.part = home() / f".{self.name}.restoring"
        self.secrets = b""  # a tar
        self.tier: Tier = find_built(self.manifest.tier)
        self.volumes: Volumes | None = None

    def check(self) -> None:
        """Check everything that can be checked before anything is written."""
        deployment = Deployment(self.name)  # the name is valid
        if self.target.exists():
            cure = f"Choose another name: NAME=…; or delete it first: `{deployment.command('destroy')}`"
            if not deployment.exists:
                cure = f"Choose another name: NAME=…; or move it away: mv {self.target} {self.target}.old"
            raise PantheonError(f"{self.target} exists.", cure)
        for entry in self.manifest.files:
            _checked(entry.path)
        sealed = self.chain.last.files.get(SEALED)
        if self.options.passphrase is not None and sealed:
            self.secrets = unseal(self.chain.read(sealed), self.options.passphrase)
        elif self.cold():
            what = f"the databases in this backup were copied while {' and '.join(self.cold())} did not run."
            raise PantheonError(what, "Their passwords are in them: restore with the passphrase, PASSPHRASE_FILE=…")

        home().mkdir(parents=True, exist_ok=True)
        if Deployment(self.name).engine(self.tier, self.engine).shares_folders:
            self.check_space()

    def check_space(self) -> None:
        """Check that the content fits on this machine."""
        needed = sum(entry.size for entry in self.manifest.files)
        needed += sum(entry.size for entry in self.manifest.files if entry.path.startswith(f"{SAVED}/"))
        free = shutil.disk_usage(home()).free
        if needed + RESERVE > free:
            what = f"the deployment needs {size(needed + RESERVE)} in {home()}, where {size(free)} are free."
            raise PantheonError(what, "Free some space, or choose another folder: PANTHEON_HOME=…")

    def cold(self) -> list[str]:
        """Return databases whose files, with the passwords in them, are in the backup."""
        paths = {entry.path.rpartition("/")[0] for entry in self.manifest.files}
        parts = [part for part in _parts() if part.kept.file]
        return [part.component.title for part in parts if any(each.startswith(part.kept.folder) for each in paths)]

    @contextmanager
    def folder(self) -> Iterator[None]:
        """Make the folder of the part, exclusively; remove it, with what runs in it, unless it gets its name."""
        permissions.make_private(self.part)
        try:
            lock = files.take_lock(self.part / "restore.lock", timeout=0)
        except files.Busy:
            what = f"another command is restoring the deployment {self.name!r}."
            raise PantheonError(what, "Wait for it to end, or choose another name: NAME=…", 1) from None
        try:
            self.clear()
            yield
        finally:
            try:
                if self.part.exists():
                    self.clear()
                    shutil.rmtree(self.part)
            finally:
                os.close(lock)

    def clear(self) -> None:
        """Stop what an interrupted restore has started in the folder, and empty it."""
        engine, deployment = None, None
        with suppress(PantheonError):  # damaged: then nothing was started
            settings = read_settings(self.part)
            if settings and settings.engine:
                deployment = Deployment(self.name, self.part)
                engine = deployment.engine(self.tier)
        if engine and not engine.shares_folders:
            with terminal.step(f"remove what an unfinished restore made with {engine.name}"):
                engine.destroy()
        elif deployment:
            with suppress(PantheonError):
                for part in keeping.parts(deployment):
                    if part.kept.load:
                        deployment.engine(self.tier, definition=part.component.file, all_of_it=True).down()
        for path in self.part.iterdir():
            if path.name == "restore.lock":
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def unpack_settings(self) -> None:
        """Write the files of the host and the secrets."""
        own = [entry for entry in self.manifest.files if entry.path.partition("/")[0] in keeping.HOST]
        self.write_all(own)
        (self.part / "secrets").mkdir(mode=0o700)
        if self.secrets:
            write(self.part, BytesIO(self.secrets))
        for path in (self.part / "secrets").rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)

    def unpack(self) -> None:
        """Write what the components keep."""
        apart = (*keeping.HOST, SAVED, SEALED)
        entries = [entry for entry in self.manifest.files if entry.path.partition("/")[0] not in apart]
        if not self.volumes:
            with _counted("files", entries) as written:
                self.write_all(entries, written)
            return
        content = [entry for entry in self.manifest.files if entry.kind == "file"]
        with _counted("checksums", content) as written:
            for entry in content:
                self.chain.copy(entry, lambda piece: None)
                written(entry)
        engine = self.deployment.engine(self.tier, loud=True)
        parts = self.deployment.components(self.tier)
        self.volumes.create([*(each.environment for each in engine.planned()), *parts.environments])
        here = [entry for entry in entries if entry.path.partition("/")[0] in self.volumes.of_host]
        with _counted("files", entries) as written:
            self.write_all(here, written)
            self.stream([entry for entry in entries if entry not in here], written)
        self.volumes.end_tasks()

    def stream(self, entries: Sequence[Entry], written: Callable[[Entry], None]) -> None:
        """Write files into the volumes."""
        volumes, places = self.volumes, dict[PurePosixPath, list[tuple[str, Entry]]]()
        assert volumes
        for kind in ("folder", "file", "link"):  # so that nothing is written through links
            for entry in (each for each in entries if each.kind == kind):
                volume, path = volumes.place(archive.native(entry.path))
                places.setdefault(volume, []).append((path, entry))
        for volume, content in places.items():
            command = [*WRITE, str(volume)]
            piping.send(volumes, volumes.reader, command, partial(self.tar, entries=content, written=written))

    def tar(
        self,
        stream: IO[bytes],
        entries: Sequence[tuple[str, Entry]],
        written: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        """Write entries, each with its name, as a tar."""
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for name, entry in entries:
                info = tarfile.TarInfo(name)
                info.type, info.mode, info.mtime = KINDS[entry.kind], entry.mode & 0o777, entry.mtime
                if entry.kind != "file":
                    info.linkname = archive.native(entry.target) if entry.target else ""
                    tar.addfile(info)
                    continue
                info.size = entry.size
                with closing(self.chain.open(entry)) as content:
                    tar.addfile(info, content)
                tar.members = []  # type: ignore[attr-defined]  # it would remember all of them
                written(entry)

    def write_all(self, entries: Sequence[Entry], written: Callable[[Entry], None] = lambda entry: None) -> None:
        """Write folders and files; links last, so that nothing is written through them."""
        folders, links = ([e for e in entries if e.kind == kind] for kind in ("folder", "link"))
        try:
            for entry in folders:
                _inside(self.part, entry).mkdir(parents=True, exist_ok=True)
            for entry in (each for each in entries if each.kind == "file"):
                self.write(entry)
                written(entry)
            for entry in links:
                path = _inside(self.part, entry)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(archive.native(entry.target))
            for entry in reversed(folders):  # inner ones first: making files changes the time of a folder
                path = _inside(self.part, entry)
                path.chmod(entry.mode & 0o777)
                os.utime(path, (entry.mtime, entry.mtime))
        except OSError as error:
            raise describe(error, self.part) from error

    def write(self, entry: Entry) -> None:
        path = _inside(self.part, entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(files.create(path, entry.mode & 0o777), "wb") as file:
            self.chain.copy(entry, file.write)
        os.utime(path, (entry.mtime, entry.mtime))

    def settle(self) -> None:
        """Adapt the settings to the new name, engine and ports, and make missing secrets."""
        deployment = self.deployment = Deployment(self.name, self.part)
        deployment.update(engine=self.engine, port_offset=self.options.port_offset)
        deployment.make_folders(self.tier)
        engine = deployment.engine(self.tier)
        engine.check()
        self.volumes = deployment.engine(self.tier, loud=True).volumes()
        wanted = {port: each.name for each in engine.planned() if not each.task for port in each.ports}
        preflight.refuse_if_unfit(preflight.ports(wanted, False, deployment.settings.port_offset))
        where = storage.current(deployment)
        if where and where.embedded:  # its address depends on the engine and the ports
            write_store(self.part, storage.location(deployment, engine, deployment.route(self.tier)))

    def load(self) -> None:
        """Have the components read what they wrote themselves."""
        for part in _parts():
            if not any(entry.path.startswith(f"{part.saved}/") for entry in self.manifest.files):
                continue
            if not self.volumes:
                (self.part / part.kept.folder).mkdir(parents=True, exist_ok=True)
            with terminal.steps() as steps:
                steps.start(part.kept.folder)
                with keeping.alone(self.deployment, self.tier, part):
                    self.send(part)
                steps.end(part.kept.folder, note=f"{part.component.title or part.component.name} has read it")

    def send(self, part: Part) -> None:
        entries = [entry for entry in self.manifest.files if entry.path.startswith(f"{part.saved}/")]

        def give(stream: IO[bytes]) -> None:
            if part.kept.file:
                self.chain.copy(entries[0], stream.write)
                return
            names = [archive.native(entry.path).removeprefix(f"{part.saved}/") for entry in entries]
            self.tar(stream, list(zip(names, entries, strict=True)))

        service = part.kept.service
        runner = self.volumes or keeping.Engines(self.deployment, self.tier).of(part, service)
        piping.send(runner, service, part.kept.load, give)

    def finish(self) -> None:
        """Remove what belongs to this folder only, and give it its name."""
        own = {self.engine} if self.volumes else set()  # it knows the cluster
        for name in ({*engine_names()} - own) | {"logs", "restore.lock"}:
            path = self.part / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (self.part / "state" / "services.json").unlink(missing_ok=True)
        os.sync()
        self.part.rename(self.target)  # fails if there is one now that is not empty
        files.sync(self.target.parent)


@contextmanager
def _counted(step: str, entries: Sequence[Entry]) -> Iterator[Callable[[Entry], None]]:
    """Show a step, and how many of its files were given to the function that is yielded."""
    whole, done, total = sum(entry.size for entry in entries), 0, 0
    with terminal.steps() as steps:
        steps.start(step)

        def count(entry: Entry) -> None:
            nonlocal done, total
            done, total = done + 1, total + entry.size
            steps.note(step, f"{done:,}, {size(total)} of {size(whole)}")

        yield count
        steps.end(step, note=f"{done:,}, {size(total)}, checksums match")


def _parts() -> list[Part]:
    """Return the folders of all components that are loaded."""
    return [part for part in keeping.known() if part.kept.load]


def _checked(path: str) -> PurePosixPath:
    """Return a path of a manifest.

    Raises:
        PantheonError: it leads out of the deployment's folder.
    """
    pure = PurePosixPath(archive.native(path))
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise PantheonError(f"the backup names a file outside of the deployment: {path}.", "Use another backup.", 1)
    return pure


def _inside(folder: Path, entry: Entry) -> Path:
    return folder / _checked(entry.path)
