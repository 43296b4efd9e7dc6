"""The file of a backup: a zip with the files of a deployment and ``manifest.json``, its last member.

A zip, because its manifest is found without reading the rest, any file of it can be read alone, as an incremental
backup needs, and every machine can unpack it. Content is streamed; memory grows with the number of files, not with
their size.
"""

import hashlib
import os
import stat
import tempfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from pantheon import files
from pantheon.errors import PantheonError, describe
from pantheon.processes import find

FORMAT = 1
MANIFEST = "manifest.json"
CHUNK = 1 << 20
SAMPLE = 1 << 16  # bytes by which to judge whether compression helps
IN_MEMORY = 16 << 20  # bytes of a file that may be the same in the base
DOCS = "docs/backup.md describes the format."


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file, a folder or a link of the deployment.

    Attributes:
        path: relative to the deployment's folder; bytes that are not UTF-8 make it ``bytes:`` and hexadecimal digits.
        kind: ``file``, ``folder`` or ``link``.
        size: of the content, bytes.
        sha256: of the content.
        mode: permissions.
        mtime: seconds since 1970.
        target: of a link; written as ``path``.
        within: the ``id`` of the earlier backup that has the content; empty: this one.
    """

    path: str
    kind: str = "file"
    size: int = 0
    sha256: str = ""
    mode: int = 0o600
    mtime: float = 0.0
    target: str = ""
    within: str = ""


class Base(msgspec.Struct, frozen=True):
    """An earlier backup that has some of the content: its file's name when it was used, and its ``id``."""

    id: str
    file: str


class Manifest(msgspec.Struct):
    """What ``manifest.json`` says.

    Attributes:
        format: of the file; a reader refuses a newer one.
        id: of this backup.
        pantheon: the version that wrote it.
        created: ISO 8601.
        deployment, tier, variant, engine: of the deployment.
        components: the names of those that had something to keep.
        secrets: ``sealed`` (a file ``secrets.sealed``) or ``none``.
        bases: earlier backups with some of the content.
        files: in the order in which they were read.
    """

    format: int
    id: str
    pantheon: str
    created: str
    deployment: str
    tier: str
    variant: str
    engine: str
    components: list[str]
    secrets: str
    bases: list[Base]
    files: list[Entry]


class Head(msgspec.Struct, frozen=True):
    """What is read first of any manifest, also of a newer one."""

    format: int
    pantheon: str = ""


def text(path: str) -> str:
    """Return a path in the form of ``Entry.path``."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return f"bytes:{os.fsencode(path).hex()}"
    return f"bytes:{path.encode().hex()}" if path.startswith("bytes:") else path


def native(path: str) -> str:
    """Return the path that ``text`` was given."""
    return os.fsdecode(bytes.fromhex(path.removeprefix("bytes:"))) if path.startswith("bytes:") else path


class Writer:
    """Writes a backup.

    Args:
        file: the new file.
        base: an earlier backup: what is unchanged since is not written again.
        progress: called with the size of every piece of content that was read.
    """

    def __init__(self, file: Path, base: "Reader | None", progress: Callable[[int], None] = lambda size: None) -> None:
        self.id = uuid.uuid4().hex
        self.entries: dict[str, Entry] = {}
        self.written = 0  # bytes of content that are in this file
        self._base, self._progress, self._folder = base, progress, file.parent
        self._zip = zipfile.ZipFile(file, "w", allowZip64=True)

    def add(
        self, path: str, content: IO[bytes], size: int | None, mode: int = 0o600, mtime: float | None = None
    ) -> None:
        """Add a file; ``size`` is None if it is not known before."""
        entry = Entry(text(path), mode=mode, mtime=time.time() if mtime is None else mtime)
        before = self._base.files.get(entry.path) if self._base else None
        if not before or before.kind != "file" or before.size != size:
            self._put(entry, content, size)
            return
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self._folder)) as kept:
            digest, _ = self._copy(content, kept.write)
            if digest == before.sha256:
                assert self._base
                within = before.within or self._base.manifest.id
                self._enter(msgspec.structs.replace(entry, size=size, sha256=digest, within=within))
                return
            kept.seek(0)
            self._put(entry, kept, size, counted=True)

    def add_folder(self, path: str, mode: int, mtime: float) -> None:
        self._enter(Entry(text(path), "folder", mode=mode, mtime=mtime))

    def add_link(self, path: str, target: str, mtime: float) -> None:
        self._enter(Entry(text(path), "link", mtime=mtime, target=text(target)))

    def _enter(self, entry: Entry) -> None:
        if self.entries.setdefault(entry.path, entry) is not entry:
            raise PantheonError(f"two components keep {entry.path}.", "docs/components.md describes `keeps`.", 1)

    def _put(self, entry: Entry, content: IO[bytes], size: int | None, counted: bool = False) -> None:
        sample = content.read(SAMPLE)
        compressed = len(zlib.compress(sample, 1)) < 0.9 * len(sample)
        info = _info(entry, zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED)
        with self._zip.open(info, "w", force_zip64=size is None or size >= 1 << 30) as member:
            digest, found = self._copy(content, member.write, sample, counted)
        self.written += found
        self._enter(msgspec.structs.replace(entry, size=found, sha256=digest))

    def _copy(
        self, content: IO[bytes], write: Callable[[bytes], object], begin: bytes = b"", counted: bool = False
    ) -> tuple[str, int]:
        digest, size, piece = hashlib.sha256(), 0, begin
        while piece := piece or content.read(CHUNK):
            digest.update(piece)
            size += len(piece)
            write(piece)
            self._progress(0 if counted else len(piece))
            piece = b""
        return digest.hexdigest(), size

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest; its ``id``, ``bases`` and ``files`` are set here."""
        manifest.id, manifest.files = self.id, list(self.entries.values())
        used = {entry.within for entry in manifest.files}
        if self._base:
            known = [*self._base.manifest.bases, Base(self._base.manifest.id, self._base.path.name)]
            manifest.bases = [each for each in known if each.id in used]
        info = _info(Entry(MANIFEST, mtime=time.time()), zipfile.ZIP_DEFLATED)
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._zip.writestr(info, content)
        self._zip.close()

    def close(self) -> None:
        """Close an unfinished file."""
        with suppress(OSError, ValueError):  # a full disk, or a member that was not finished: the file is deleted next
            self._zip.close()


def _info(entry: Entry, compression: int) -> zipfile.ZipInfo:
    moment = time.gmtime(min(max(entry.mtime, 315619200.0), 4354819198.0))  # a zip's dates: 1980 to 2107
    info = zipfile.ZipInfo(entry.path, moment[:6])
    info.compress_type, info.external_attr = compression, (stat.S_IFREG | entry.mode) << 16
    info._compresslevel = 1  # type: ignore[attr-defined]  # ``open`` has no argument for it
    return info


@contextmanager
def new(path: Path) -> Iterator[Path]:
    """Yield a temporary file that is renamed to ``path`` if the block succeeds, mode 0600, and removed otherwise.

    What a killed backup to the same path left is removed.
    """
    for left in path.parent.glob(f".{path.name}.*.part"):
        number = left.name.removeprefix(f".{path.name}.").partition(".")[0]
        if number.isdecimal() and not find(int(number)):
            left.unlink(missing_ok=True)
    with files.atomic(path, mode=0o600, fsync=True) as part:
        try:
            yield part
        except OSError as error:
            raise describe(error, path) from error


class Reader:
    """Reads a backup.

    Args:
        path: its file.

    Attributes:
        files: the entries by path.

    Raises:
        PantheonError: it is not a complete backup, or has a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            content = self._zip.read(MANIFEST)
            head = msgspec.json.decode(content, type=Head)
        except FileNotFoundError:
            raise PantheonError(f"{path} does not exist.", "Choose a file that `bin/pantheon backup` wrote.") from None
        except (zipfile.BadZipFile, KeyError, zlib.error, msgspec.DecodeError, NotImplementedError, EOFError):
            what = f"{path} is not a complete backup of Pantheon."
            raise PantheonError(
                what, "Choose a file that `bin/pantheon backup` wrote, and copied completely."
            ) from None
        except OSError as error:
            raise describe(error, path) from None
        if head.format > FORMAT:
            what = (
                f"{path} has the format {head.format} of Pantheon {head.pantheon}; this Pantheon reads up to {FORMAT}."
            )
            raise PantheonError(what, "Update this clone: git pull")
        try:
            self.manifest = msgspec.json.decode(content, type=Manifest)
        except msgspec.DecodeError as error:
            raise PantheonError(f"the manifest of {path} is damaged: {error}.", "Use another backup.", 1) from None
        self.files = {entry.path: entry for entry in self.manifest.files}

    def close(self) -> None:
        self._zip.close()

    def member(self, entry: Entry) -> IO[bytes]:
        """Return the content of a file of this backup itself, unverified.

        Raises:
            PantheonError: it is missing.
        """
        try:
            return self._zip.open(entry.path)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, OSError):
            raise self.damaged(entry) from None

    def damaged(self, entry: Entry) -> PantheonError:
        cure = "Use another backup; nothing was changed."
        return PantheonError(f"{self.path} is damaged: {entry.path} does not have its checksum.", cure, 1)


class Chain:
    """A backup with the earlier ones that have some of its content.

    Args:
        path: the file.
        places: more files, or folders with them; besides the folder of ``path``.

    Raises:
        PantheonError: a file cannot be used, or one is missing.
    """

    def __init__(self, path: Path, places: list[Path]) -> None:
        self.last = Reader(path)
        self.manifest = self.last.manifest
        self._by_id = {self.manifest.id: self.last}
        for base in self.manifest.bases:
            self._by_id[base.id] = self._find(base, [*places, path.parent])

    def _find(self, base: Base, places: list[Path]) -> Reader:
        damaged = ""
        for place in places:
            candidates = [place / base.file, *sorted(place.glob("*.zip"))] if place.is_dir() else [place]
            for candidate in candidates:
                try:
                    reader = Reader(candidate)
                except PantheonError as error:  # another file, or one that is not a backup
                    damaged = damaged or f" {error.cause}" * (candidate.name == base.file and candidate.exists())
                    continue
                if reader.manifest.id == base.id:
                    return reader
                reader.close()
        what = f"{self.last.path} is incremental, and its base {base.file} was not found.{damaged}"
        raise PantheonError(what, f"Name the file: BASE=/path/to/{base.file}")

    def close(self) -> None:
        for reader in self._by_id.values():
            reader.close()

    def open(self, entry: Entry) -> "Content":
        """Return the content of a file, verified while it is read.

        Raises:
            PantheonError: it is missing.
        """
        reader = self._by_id.get(entry.within or self.manifest.id)
        if reader is None:
            raise self.last.damaged(entry)
        return Content(reader, entry)

    def copy(self, entry: Entry, write: Callable[[bytes], object]) -> None:
        """Pass the content of a file on, piece by piece.

        Raises:
            PantheonError: it does not have the size and checksum of the manifest; then what was passed on is wrong.
        """
        with closing(self.open(entry)) as content:
            while piece := content.read(CHUNK):
                write(piece)

    def read(self, entry: Entry) -> bytes:
        """Return the content of a small file, verified."""
        pieces: list[bytes] = []
        self.copy(entry, pieces.append)
        return b"".join(pieces)


class Content:
    """The content of a file in a backup. The last ``read`` raises PantheonError unless size and checksum match."""

    def __init__(self, reader: Reader, entry: Entry) -> None:
        self._reader, self._entry, self._member = reader, entry, reader.member(entry)
        self._digest, self._left = hashlib.sha256(), entry.size

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to ``size`` bytes; empty at the end."""
        try:
            piece = self._member.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
            raise self._reader.damaged(self._entry) from None
        self._digest.update(piece)
        self._left -= len(piece)
        ended = not piece or self._left <= 0
        if ended and (self._left or self._digest.hexdigest() != self._entry.sha256):
            raise self._reader.damaged(self._entry)
        return piece

    def close(self) -> None:
        self._member.close()
