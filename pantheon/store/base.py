"""The interface of a model store, and what is common to every implementation.

Layout, the same in a folder and in a bucket: ``NAME/VERSION/{files…, manifest.json}`` and ``NAME/aliases/ALIAS.json``.
A version without ``manifest.json`` does not exist; the manifest carries a checksum of every file.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pantheon.errors import PantheonError

ANY: Final = "*"
"""``expected`` of ``promote`` when whatever the alias names now may be replaced. Never a version."""

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


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ModelStore(ABC):
    """Publish, list, get, and move aliases. Every implementation passes ``tests/store/test_contract.py``.

    Errors are ``PantheonError``: status 2 for what does not exist, 1 for what is damaged or has moved meanwhile.
    """

    @abstractmethod
    def names(self) -> list[str]:
        """Models with at least one version or an alias, sorted."""

    @abstractmethod
    def list(self, name: str) -> list[Version]:
        """The complete versions of ``name``, oldest first; empty for an unknown model."""

    @abstractmethod
    def describe(self, name: str, version: str) -> Version:
        """One version's manifest."""

    @abstractmethod
    def get(self, name: str, version: str) -> Path:
        """A local folder with the version's files, every checksum verified."""

    @abstractmethod
    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str:
        """Store every file under ``folder`` as a new version: complete, or as if it had never been tried."""

    @abstractmethod
    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        """What ``alias`` names now."""

    @abstractmethod
    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        """Compare and swap: point ``alias`` at ``version`` if it names ``expected`` (None: nothing; ``ANY``: whatever).

        Returns:
            False when the alias named something else, and nothing was changed.
        """

    @abstractmethod
    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        """Remove ``alias`` if it names ``expected``; False when it does not."""

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        """Wait for others that deploy ``name``. A courtesy that saves double work: correctness rests on ``swap``."""
        yield

    def promote(
        self,
        name: str,
        version: str,
        alias: str = "champion",
        *,
        expected: str | None = ANY,
        by: str = "",
        note: str = "",
    ) -> Alias:
        """Point ``alias`` at ``version``.

        Raises:
            PantheonError: the alias does not name ``expected`` (any more), or there is no such version.
        """
        if not self.swap(name, version, alias, expected=expected, by=by, note=note):
            now = self.alias(name, alias)
            raise PantheonError(
                f"the {alias} of {name} is {'version ' + now.version if now else 'nothing'}, "
                f"not {'version ' + expected if expected else 'nothing'}: somebody was faster.",
                "Look at what it is now, then try again.",
                status=1,
            )
        return self.resolve(name, alias)

    def resolve(self, name: str, alias: str = "champion") -> Alias:
        """What ``alias`` names.

        Raises:
            PantheonError: it names nothing.
        """
        found = self.alias(name, alias)
        if found is None:
            raise PantheonError(f"model {name!r} has no {alias}.", "`bin/pantheon run` trains and deploys one.")
        return found

    def approve(self, name: str, *, version: str | None = None, by: str = "", note: str = "") -> Alias:
        """Make the challenger (which must be ``version``, when given) the champion.

        Raises:
            PantheonError: there is no challenger, or it is another version than the person looked at.
        """
        challenger = self.resolve_challenger(name, version)
        champion = self.alias(name, "champion")
        approved = self.promote(
            name,
            challenger.version,
            "champion",
            expected=champion.version if champion else None,
            by=by,
            note=note or challenger.note,
        )
        self.drop(name, "challenger", expected=challenger.version)
        return approved

    def hold(self, name: str, *, version: str | None = None, by: str = "", note: str = "") -> Alias:
        """Leave the challenger a challenger, with a note that says why."""
        challenger = self.resolve_challenger(name, version)
        return self.promote(name, challenger.version, "challenger", expected=challenger.version, by=by, note=note)

    def resolve_challenger(self, name: str, version: str | None = None) -> Alias:
        challenger = self.alias(name, "challenger")
        if challenger is None:
            raise PantheonError(
                f"model {name!r} has no challenger to approve or hold.",
                "`bin/pantheon run --approval required` makes one.",
            )
        if version is not None and version != challenger.version:
            raise PantheonError(
                f"the challenger of {name} is version {challenger.version}, not {version}.",
                "Look at that one, then decide.",
                status=1,
            )
        return challenger
