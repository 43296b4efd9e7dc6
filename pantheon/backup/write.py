"""Write a tar from standard input into a folder: ``python -m pantheon.backup.write FOLDER``; the reverse of ``read``.

For volumes, which only tasks see. Standard library only.
"""

import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO


def write(folder: Path, source: IO[bytes]) -> None:
    """Write folders, files and links with their modes and times.

    Raises:
        OSError: a file cannot be written.
        tarfile.TarError: the tar is damaged, or names a file outside of the folder.
    """
    with tarfile.open(fileobj=source, mode="r|") as tar:
        tar.extraction_filter = lambda member, _: member  # that of newer Pythons; Debian 12's Python has none
        tar.extractall(folder, members=_checked(tar, folder))  # noqa: S202 - they are checked
    while source.read(1 << 16):  # what follows the end of a tar
        pass
    os.sync()


def _checked(tar: tarfile.TarFile, folder: Path) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir() or member.issym()):
            raise tarfile.TarError(f"not a file of the folder: {member.name}")
        if any((folder / above).is_symlink() for above in path.parents if above.parts):
            raise tarfile.TarError(f"a link leads to another place: {member.name}")
        yield member


def main() -> int:
    try:
        write(Path(sys.argv[1]), sys.stdin.buffer)
    except (OSError, tarfile.TarError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
