"""The tar archive of a model's files that the command line sends."""

import shutil
import tarfile
from pathlib import Path
from typing import IO

from pantheon.errors import PantheonError


def unpack(stream: IO[bytes], folder: Path, files: int) -> None:
    """Unpack a tar archive with so many files into ``folder``, and nowhere else.

    Raises:
        PantheonError: it is not such an archive, or was cut off.
    """
    arrived = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                path = Path(member.name)
                if content is None or path.is_absolute() or ".." in path.parts:
                    raise tarfile.TarError(f"{member.name!r} is not a file of a model")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("xb") as file:
                    shutil.copyfileobj(content, file)
                arrived += 1
    except (tarfile.TarError, FileExistsError) as error:
        raise PantheonError(f"the model's files did not arrive: {error}.", "Try again.", 1) from None
    if arrived != files:
        raise PantheonError(f"{arrived} of the model's {files} files arrived.", "Try again.", 1)
