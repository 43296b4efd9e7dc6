"""Read JSON files with typed fields; the error about a damaged file names it and a remedy."""

import os
import stat
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pantheon import __version__
from pantheon.errors import PantheonError

VERSION = 2  # the newest that this Pantheon reads
MAX_BYTES = 1 << 20  # of a file that a service may have written
T = TypeVar("T", bound=msgspec.Struct)


class Damaged(PantheonError):
    """A file of the deployment is damaged."""


def read(path: Path, kind: type[T], cure: str) -> T | None:
    """Read a file; None if it does not exist.

    Args:
        cure: what a person can do about a damaged file, for the error.

    Raises:
        Damaged: it is not a JSON object with the fields of ``kind``.
        PantheonError: a newer Pantheon wrote it.
    """
    found = raw(path, cure)
    return None if found is None else convert(path, found, kind, cure)


def raw(path: Path, cure: str) -> dict[str, Any] | None:
    """Read a file's JSON object; None if the file does not exist."""
    try:
        # a service may have put a link, a pipe or a device there
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except NotADirectoryError:  # PANTHEON_HOME is a file: moving this file away does not help
        raise
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}.", cure, 1) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Damaged(f"{path} is damaged: it is not a regular file.", cure, 1)
    with os.fdopen(descriptor, "rb") as file:
        try:
            content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise Damaged(f"{path} cannot be read: {error.strerror}.", cure, 1) from None
    if len(content) > MAX_BYTES:
        raise Damaged(f"{path} is damaged: it is larger than {MAX_BYTES:,} bytes.", cure, 1)
    if not content.strip(b"\0 \n"):
        raise Damaged(f"{path} is damaged: it is empty.", cure, 1)
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Damaged(f"{path} is damaged: {error}.", cure, 1) from None
    if not isinstance(value, dict):
        raise Damaged(f"{path} is damaged: it is not a JSON object.", cure, 1)
    return value


def convert(path: Path, found: dict[str, Any], kind: type[T], cure: str) -> T:
    """Convert the JSON object ``found`` of a file; raises as ``read``."""
    version = found.get("version", 1)
    if isinstance(version, int) and version > VERSION:
        release = f" {found['pantheon']}" if isinstance(found.get("pantheon"), str) else ""
        cause = f"{path} was written by a newer Pantheon{release}; this is {__version__}."
        raise PantheonError(cause, "Use that version, or a newer one: `git pull` updates a clone.", 1)
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise Damaged(f"{path} is damaged: {error}.", cure, 1) from None
