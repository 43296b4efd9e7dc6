"""What a store keeps of versions and aliases, and which names may be given: the same in every store."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pantheon.errors import PantheonError

ANY: Final = "*"
"""``expected`` of ``promote`` when whatever the alias names now may be replaced. Never a version."""

MANIFEST: Final = "manifest.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class Version:
    """A published version: ``files`` maps each relative path to its ``{"sha256", "size"}``."""

    model: str
    version: str
    created: str
    files: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Alias:
    """What an alias names: a version, since when (ISO 8601, UTC), by whom, with which note; what it named before."""

    version: str
    since: str
    by: str = ""
    note: str = ""
    previous: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_name(name: str) -> str:
    """``name`` if it can be a model's name in every store (a file name, an S3 prefix, no path of its own)."""
    if not _NAME.fullmatch(name):
        raise PantheonError(
            f"{name!r} cannot name a model.",
            "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
        )
    return name


def check_version(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise PantheonError(f"{version!r} is not a version.", "Versions are whole numbers: 1, 2, 3 …")
    return version


def check_alias(alias: str) -> str:
    if not _ALIAS.fullmatch(alias):
        raise PantheonError(
            f"{alias!r} cannot be an alias.", "Use lower-case letters, digits and dashes: champion, challenger."
        )
    return alias


def check_file(name: str) -> str:
    """``name`` if it is a path inside a version: a manifest that somebody edited must not make us read elsewhere."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise PantheonError(f"a manifest names the file {name!r}, which is not inside its version.", status=1)
    return name


def files_of(folder: Path) -> list[str]:
    """Every file under ``folder`` as a path inside a version, sorted.

    Raises:
        PantheonError: there is none, or one that the store keeps for itself.
    """
    files = sorted(check_file(f.relative_to(folder).as_posix()) for f in Path(folder).rglob("*") if f.is_file())
    if not files:
        raise PantheonError(f"{folder} has no files to publish.", status=1)
    if MANIFEST in files:
        raise PantheonError(f"{folder / MANIFEST} has the name of a store's own file.", status=1)
    return files


def moved(old: Alias | None, version: str, by: str, note: str) -> Alias:
    """The record of an alias that moves from ``old`` to ``version`` now."""
    if old and old.version == version:  # a note on what it names already: since and previous stay true
        return Alias(version, old.since, by or old.by, note, old.previous)
    return Alias(version, now(), by, note, old.version if old else None)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now() -> str:
    """This moment as versions and aliases carry it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
