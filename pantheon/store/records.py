"""The records of versions and aliases, and the rules for names, which all stores share."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypedDict

from pantheon.errors import PantheonError
from pantheon.state import is_model_name

ANY: Final = "*"
"""``expected`` of ``promote`` if the alias may name anything. Never a version."""

MANIFEST: Final = "manifest.json"

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Damaged(PantheonError):
    """A file of the store, such as a manifest or an alias, is not valid or cannot be read."""


MEND_MANIFEST: Final = (
    "Restore that file from a backup; or, if this version is the champion, promote another one, delete that file, and "
    "run `bin/pantheon models gc`."
)
MEND_OBJECT: Final = (
    "Promote another version, or run the workflow again to publish a new one. `bin/pantheon models verify` lists all "
    "damaged files; also check the disk of the S3 store."
)
MEND_ALIAS: Final = "Remove it and promote a version again."


@contextmanager
def reading(path: object, cure: str) -> Iterator[None]:
    """Convert errors of a block that reads a file of the store.

    Raises:
        Damaged: the block raised ValueError; names ``path``.
    """
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: {str(error).rstrip('.')}.", cure, status=1) from None


class StoredFile(TypedDict):
    """A file of a version in its manifest; ``size`` in bytes."""

    sha256: str
    size: int


Metadata = Mapping[str, Any]
"""The metadata that the publisher of a version provides, as JSON values; see ``docs/model-store.md``."""


class Manifest(TypedDict):
    """``manifest.json``: a stored ``Version``."""

    model: str
    version: str
    created: str
    files: dict[str, StoredFile]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Version:
    """A published version; ``files`` by relative path."""

    model: str
    version: str
    created: str
    files: Mapping[str, StoredFile]
    metadata: Metadata

    def as_manifest(self) -> Manifest:
        """Return the content of ``manifest.json``."""
        return {
            "model": self.model,
            "version": self.version,
            "created": self.created,
            "files": {name: {**file} for name, file in self.files.items()},
            "metadata": dict(self.metadata),
        }

    @classmethod
    def read(cls, raw: Any, model: str, version: str) -> "Version":
        """Read the manifest ``raw`` (a JSON value) of this version.

        Raises:
            ValueError: it is not a valid manifest of this version.
        """
        raw = _object(raw, "it")
        if (raw.get("model"), raw.get("version")) != (model, version):
            raise ValueError(f"it is not the manifest of version {version} of {model}")
        files = _object(raw.get("files"), "its files")
        for name, file in files.items():
            try:
                check_file(name)
            except PantheonError as error:
                raise ValueError(error.cause) from None
            entry = _object(file, f"its entry for {name}")
            if not isinstance(entry.get("sha256"), str) or type(entry.get("size")) is not int:
                raise ValueError(f"it lacks the checksum or the size of {name}")
        metadata = _object(raw.get("metadata"), "its metadata")
        return cls(model, version, date(raw.get("created")), files, metadata)


class AliasRecord(TypedDict):
    """A stored ``Alias``; ``version`` is None if it was dropped (in S3)."""

    version: str | None
    since: str
    by: str
    note: str
    previous: str | None


@dataclass(frozen=True)
class Alias:
    """The version that an alias names, since when (ISO 8601, UTC), who set it, with which note, and its predecessor."""

    version: str
    since: str
    by: str = ""
    note: str = ""
    previous: str | None = None

    @classmethod
    def read(cls, raw: Any) -> "Alias":
        """Read the record ``raw`` (a JSON value).

        Raises:
            ValueError: it is not a valid record.
        """
        raw = _object(raw, "it")
        if unknown := set(raw) - {field.name for field in fields(cls)}:
            raise ValueError(f"it has unknown keys: {', '.join(sorted(unknown))}")
        version, previous = raw.get("version"), raw.get("previous")
        by, note = raw.get("by", ""), raw.get("note", "")
        if not is_version(version):
            raise ValueError(f'its version is {version!r}, not a number in quotes such as "1"')
        if previous is not None and not is_version(previous):
            raise ValueError(f'its previous version is {previous!r}, not a number in quotes such as "1"')
        if not (isinstance(by, str) and isinstance(note, str)):
            raise ValueError("by and note must be strings")
        return cls(version, date(raw.get("since")), by, note, previous)

    def as_dict(self) -> AliasRecord:
        """Return the record as a dictionary."""
        return {
            "version": self.version,
            "since": self.since,
            "by": self.by,
            "note": self.note,
            "previous": self.previous,
        }


def date(text: Any) -> str:
    """Return ``text`` if it is a date in the format of ``now``; without a time zone, it is UTC.

    Raises:
        ValueError: it is not a date.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise ValueError(f"{text!r} is not a date") from None
    return str(text) if moment.tzinfo else moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds")


def _object(raw: Any, what: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is not a JSON object")
    return raw


def is_name(name: str) -> bool:
    """Whether this is a valid name of a model. Other folders beside the models are ignored."""
    return is_model_name(name)


def is_version(version: Any) -> bool:
    return isinstance(version, str) and bool(_VERSION.fullmatch(version))


def is_alias(alias: str) -> bool:
    return bool(_ALIAS.fullmatch(alias))


def check_name(name: str) -> str:
    """Return ``name`` if it is a valid name of a model in every store (a file name and an S3 prefix, not a path)."""
    if not is_name(name):
        raise PantheonError(
            f"{name!r} is not a valid name of a model.",
            "Use letters, digits, dots, dashes and underscores; start with a letter or digit.",
        )
    return name


def check_version(version: str) -> str:
    if not is_version(version):
        raise PantheonError(f"{version!r} is not a valid version.", "Versions are whole numbers: 1, 2, 3 …")
    return version


def check_alias(alias: str) -> str:
    if not is_alias(alias):
        raise PantheonError(
            f"{alias!r} is not a valid alias.", "Use lower-case letters, digits and dashes: champion, challenger."
        )
    return alias


def check_file(name: str) -> str:
    """Return ``name`` if it is a path inside a version: an edited manifest must not make us read other files."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise PantheonError(f"a manifest names the file {name!r}, which is not inside its version.", status=1)
    return name


def files_of(folder: Path) -> list[str]:
    """Return the relative paths of all files under ``folder``, sorted.

    Raises:
        PantheonError: the folder has no files, or one with a reserved name.
    """
    files = sorted(check_file(f.relative_to(folder).as_posix()) for f in Path(folder).rglob("*") if f.is_file())
    if not files:
        raise PantheonError(f"{folder} has no files to publish.", status=1)
    if MANIFEST in files:
        raise PantheonError(f"{folder / MANIFEST} has a name that the store reserves.", status=1)
    return files


def moved(old: Alias | None, version: str, by: str, note: str) -> Alias:
    """Return the record of an alias that moves from ``old`` to ``version`` now."""
    if old and old.version == version:  # only a new note: since and previous do not change
        return Alias(version, old.since, by or old.by, note, old.previous)
    return Alias(version, now(), by, note, old.version if old else None)


def now() -> str:
    """Return the current time in the format of versions and aliases: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
