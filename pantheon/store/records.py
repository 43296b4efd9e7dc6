"""What a store keeps of versions and aliases, and which names may be given: the same in every store."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
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


class Damaged(PantheonError):
    """A file that the store keeps for itself (a manifest, an alias, a claim) is not one that a store writes."""


MEND_MANIFEST: Final = (
    "Bring that file back from a copy; or promote another version if this one is the champion, delete that file, and "
    "`bin/pantheon models gc` clears up."
)
MEND_ALIAS: Final = "Remove it and promote a version again."


@contextmanager
def reading(path: object, cure: str) -> Iterator[None]:
    """Read a file of the store in the block.

    Raises:
        Damaged: the block raised ValueError; names ``path``.
    """
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: {str(error).rstrip('.')}.", cure, status=1) from None


@dataclass(frozen=True)
class Version:
    """A published version: ``files`` maps each relative path to its ``{"sha256", "size"}``."""

    model: str
    version: str
    created: str
    files: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, Any]

    @classmethod
    def read(cls, raw: Any, model: str, version: str) -> "Version":
        """The manifest ``raw``, as JSON has it, of this very version.

        Raises:
            ValueError: it is none; says why.
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
            said = _object(file, f"what it says of {name}")
            if not isinstance(said.get("sha256"), str) or type(said.get("size")) is not int:
                raise ValueError(f"it lacks the checksum or the size of {name}")
        metadata = _object(raw.get("metadata"), "its metadata")
        return cls(model, version, date(raw.get("created")), files, metadata)


@dataclass(frozen=True)
class Alias:
    """What an alias names: a version, since when (ISO 8601, UTC), by whom, with which note; what it named before."""

    version: str
    since: str
    by: str = ""
    note: str = ""
    previous: str | None = None

    @classmethod
    def read(cls, raw: Any) -> "Alias":
        """The record ``raw``, as JSON has it.

        Raises:
            ValueError: it is none; says why.
        """
        raw = _object(raw, "it")
        if unknown := set(raw) - {field.name for field in fields(cls)}:
            raise ValueError(f"an alias has no {', '.join(sorted(unknown))}")
        version, previous = raw.get("version"), raw.get("previous")
        by, note = raw.get("by", ""), raw.get("note", "")
        if not is_version(version):
            raise ValueError(f'its version is {version!r}, not a number in quotes such as "1"')
        if previous is not None and not is_version(previous):
            raise ValueError(f'its previous version is {previous!r}, not a number in quotes such as "1"')
        if not (isinstance(by, str) and isinstance(note, str)):
            raise ValueError("by and note are texts")
        return cls(version, date(raw.get("since")), by, note, previous)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def date(text: Any) -> str:
    """``text`` if it is a date as ``now`` writes it; one without a zone is UTC.

    Raises:
        ValueError: it is no date.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise ValueError(f"{text!r} is no date") from None
    return str(text) if moment.tzinfo else moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds")


def _object(raw: Any, what: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is no JSON object")
    return raw


def is_name(name: str) -> bool:
    """Whether a model can have this name. What people or tools put beside the models has another and is left alone."""
    return bool(_NAME.fullmatch(name))


def is_version(version: Any) -> bool:
    return isinstance(version, str) and bool(_VERSION.fullmatch(version))


def is_alias(alias: str) -> bool:
    return bool(_ALIAS.fullmatch(alias))


def check_name(name: str) -> str:
    """``name`` if it can be a model's name in every store (a file name, an S3 prefix, no path of its own)."""
    if not is_name(name):
        raise PantheonError(
            f"{name!r} cannot name a model.",
            "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
        )
    return name


def check_version(version: str) -> str:
    if not is_version(version):
        raise PantheonError(f"{version!r} is not a version.", "Versions are whole numbers: 1, 2, 3 …")
    return version


def check_alias(alias: str) -> str:
    if not is_alias(alias):
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
