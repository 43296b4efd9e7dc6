"""Unpack a file that is compressed, by its content and not by its ending."""

import bz2
import gzip
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pantheon.errors import PantheonError
from pantheon.workflow import memory
from pantheon.workflow.data.formats import check_file
from pantheon.workflow.data.zstd import NoLibrary, ZstdFile

CHUNK = 1 << 20
OPENERS: dict[bytes, Callable[..., Any]] = {
    **{b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"\x28\xb5\x2f\xfd": ZstdFile},
}
OFFICE = (b"xl/", b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis", b"_rels/", b"docProps/")
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError)


@contextmanager
def unpacked(path: Path, scratch: Path) -> Iterator[Path]:
    """Yield the file that ``path`` contains, unpacked into the folder ``scratch``; ``path`` itself if not compressed.

    Raises:
        PantheonError: the file is damaged, needs a password, has several tables, or does not fit on the disk.
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(1 << 12)
    folder = scratch / "unpacked"
    opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
    if opener:
        name = path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst") else path.name
        try:
            with opener(path, "rb") as packed:
                inner = _copy(path, packed, folder, name)
        except NoLibrary:
            cure = "Install libzstd, or unpack the file first: zstd -d FILE"
            raise PantheonError(f"{path} is compressed with zstd, and this system has no libzstd.", cure) from None
    elif start.startswith(b"PK\x03\x04") and not any(mark in start for mark in OFFICE):
        try:
            with zipfile.ZipFile(path) as archive:
                name = _table(path, archive)
                with archive.open(name) as packed:
                    inner = _copy(path, packed, folder, Path(name).name)
        except DAMAGED as error:
            raise _damaged(path, error) from None
    else:
        yield path
        return
    try:
        yield inner
    except PantheonError as error:
        cause = error.cause.replace(str(inner), f"{path} ({inner.name})")
        raise PantheonError(cause, error.cure, error.status) from None


def _table(path: Path, archive: zipfile.ZipFile) -> str:
    """Return the name of the only file in the archive, besides hidden ones."""
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    names = [name for name in names if not Path(name).name.startswith(".") and "__MACOSX" not in name]
    if len(names) != 1:
        what = f"has {len(names)} files: {', '.join(names[:5])}" if names else "has no file"
        raise PantheonError(f"{path} {what}.", "Unpack it, and give the file with the table: DATA=FILE.")
    return names[0]


def _copy(path: Path, packed: IO[bytes], folder: Path, name: str) -> Path:
    """Write the unpacked bytes to the folder, as long as half of the disk's free space is left."""
    folder.mkdir()
    room, size = shutil.disk_usage(folder).free // 2, 0
    to = folder / name
    with to.open("wb") as file:
        while True:
            try:
                block = packed.read(CHUNK)
            except DAMAGED as error:
                raise _damaged(path, error) from None
            size += len(block)
            if size > room:
                what = f"{path} is too large: unpacked, it has more than {memory.shown(room)}, half of the free space."
                raise PantheonError(what, "Free space on the disk, or use fewer rows.", 1)
            if not block:
                return to
            file.write(block)


def _damaged(path: Path, error: Exception) -> PantheonError:
    if "password" in str(error) or "encrypted" in str(error):
        return PantheonError(f"{path} needs a password.", "Unpack it first, and give the file inside: DATA=FILE.")
    return PantheonError(f"{path} is a damaged archive.", "Make it again, or give the file that it contains.")
