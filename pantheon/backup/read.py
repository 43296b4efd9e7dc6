"""Write folders as a tar to standard output, while services use them: ``python -m pantheon.backup.read …``.

Files that services replace atomically are complete, files to which they append end with what was there when they were
opened, and SQLite's databases are copied by SQLite. A file that is removed meanwhile has a successor (a compacted log,
a packed repository), so folders are listed again until none is missing.

Standard library only: it runs in the environments of all services.
"""

import io
import os
import sqlite3
import stat
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

PASSES = 20  # over a folder in which files vanish all the time
IN_MEMORY = 16 << 20  # bytes; a larger file must not become shorter while it is read
SQLITE = b"SQLite format 3\0"
BESIDE = ("-wal", "-shm", "-journal")  # files beside a database, whose content SQLite copies
TEMPORARY = ".*.part"  # see ``pantheon.files``


@dataclass(frozen=True)
class Folder:
    """A folder to read.

    Attributes:
        name: its name in the tar.
        first: patterns of relative paths that come before all others.
        without: patterns of relative paths that are left out, with what is below them.
    """

    name: str
    path: Path
    first: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def arguments(folders: Sequence[Folder]) -> list[str]:
    """Return the arguments that ``parsed`` reads; engines translate the paths."""
    words = []
    for folder in folders:
        words += ["--folder", folder.name, str(folder.path)]
        words += [word for pattern in folder.first for word in ("--first", pattern)]
        words += [word for pattern in folder.without for word in ("--without", pattern)]
    return words


def parsed(words: Sequence[str]) -> list[Folder]:
    """Return the folders that ``arguments`` describes."""
    found: list[Folder] = []
    left = iter(words)
    for word in left:
        if word == "--folder":
            found.append(Folder(next(left), Path(next(left))))
        else:
            last, key = found.pop(), word.removeprefix("--")
            patterns = {"first": last.first, "without": last.without}
            patterns[key] = (*patterns[key], next(left))
            found.append(Folder(last.name, last.path, **patterns))
    return found


def write(folders: Sequence[Folder], to: IO[bytes]) -> None:
    """Write the folders, one after the other; one that does not exist is left out.

    Raises:
        OSError: a file cannot be read.
    """
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for folder in folders:
            _Reading(folder, tar).run()


class _Reading:
    """Writes one folder."""

    def __init__(self, folder: Folder, tar: tarfile.TarFile) -> None:
        self.folder, self.tar = folder, tar
        self.done: set[str] = set()

    def run(self) -> None:
        for _ in range(PASSES):
            if not self.pass_():
                return
        raise OSError(f"files in {self.folder.path} vanish again and again while they are read")

    def pass_(self) -> bool:
        """Write what is not written yet; return whether a listed file had vanished."""
        vanished = False
        listed = [each for each in self.listed(self.folder.path, "") if each not in self.done]
        for path in sorted(listed, key=self.rank):  # stable
            try:
                self.add(path)
            except FileNotFoundError:
                vanished = True
            else:
                self.done.add(path)
        return vanished

    def rank(self, path: str) -> int:
        patterns = self.folder.first
        return next((rank for rank, pattern in enumerate(patterns) if fnmatchcase(path, pattern)), len(patterns))

    def listed(self, folder: Path, relative: str) -> Iterator[str]:
        """Yield the relative paths of all folders, links and files."""
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        names = {entry.name for entry in entries}
        for entry in entries:
            path = f"{relative}{entry.name}"
            if fnmatchcase(entry.name, TEMPORARY) or any(fnmatchcase(path, each) for each in self.folder.without):
                continue
            base = next((entry.name.removesuffix(end) for end in BESIDE if entry.name.endswith(end)), "")
            if base in names and _is_database(folder / base):
                continue
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from self.listed(Path(entry.path), f"{path}/")

    def add(self, relative: str) -> None:
        path, name = self.folder.path / relative, f"{self.folder.name}/{relative}"
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            info = _info(name, status, tarfile.SYMTYPE)
            info.linkname = str(path.readlink())
            self.tar.addfile(info)
        elif stat.S_ISDIR(status.st_mode):
            self.tar.addfile(_info(name, status, tarfile.DIRTYPE))
        elif stat.S_ISREG(status.st_mode):  # not sockets, pipes and devices: they have no content
            self.add_file(path, name)

    def add_file(self, path: Path, name: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            info = _info(name, status, tarfile.REGTYPE)
            if file.read(len(SQLITE)) == SQLITE and self.add_database(path, info):
                return
            file.seek(0)
            if status.st_size <= IN_MEMORY:
                content = file.read(status.st_size)
                info.size = len(content)
                self.tar.addfile(info, io.BytesIO(content))
                return
            info.size = status.st_size
            self.tar.addfile(info, file)

    def add_database(self, path: Path, info: tarfile.TarInfo) -> bool:
        """Write a database as it is between two transactions; return False if SQLite cannot read the file."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            try:
                with (
                    closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)) as source,
                    closing(sqlite3.connect(copy)) as target,
                ):
                    source.backup(target)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise OSError(f"{path}: SQLite cannot read it: {error}") from None
                return False  # it only begins like one
            with copy.open("rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                self.tar.addfile(info, file)
        return True


def _is_database(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and file.read(len(SQLITE)) == SQLITE


def _info(name: str, status: os.stat_result, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, stat.S_IMODE(status.st_mode), status.st_mtime
    return info


def main() -> int:
    try:
        write(parsed(sys.argv[1:]), sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has said why
        os._exit(1)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
