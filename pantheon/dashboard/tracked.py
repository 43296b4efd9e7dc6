"""What DVC tracks in a repository that somebody else has written: a file, or a folder that has it, and the remote.

Nothing of the repository is obeyed but the hash in a ``.dvc`` file, and the address, endpoint and region of the default
remote.
"""

import re
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
REMOTE = re.compile(r"(https?|s3)://[^\s@]+")
SETTINGS = ("url", "endpointurl", "region", "ssl_verify")  # of a remote, which are taken from the repository


@dataclass(frozen=True)
class Tracked:
    """What a ``.dvc`` file tracks.

    Attributes:
        file: the ``.dvc`` file.
        md5: the hash of the file's content, or of the list of a folder's files, which ends in ``.dir``.
        current: whether DVC 3 has made the hash; before, it was that of a text with other line ends.
        rest: of a folder, the path of the wanted file in it; else empty.
    """

    file: Path
    md5: str
    current: bool
    rest: str = ""

    @property
    def key(self) -> str:
        """Where a remote has it."""
        return f"{'files/md5/' if self.current else ''}{self.md5[:2]}/{self.md5[2:]}"


def tracked(target: Path, top: Path, what: str) -> Tracked | None:
    """Return what DVC tracks of a file that is not there: the file, or a folder above it; None: nothing.

    Args:
        target: in the repository's folder ``top``.
        what: the repository, in messages.

    Raises:
        PantheonError: the ``.dvc`` file is damaged, or a folder is named in place of a file.
    """
    place = target
    while place != top:
        file = place.with_name(f"{place.name}.dvc")
        if file.is_file() and not file.is_symlink():
            found = read(file, file.relative_to(top), what)
            rest = "" if place == target else str(target.relative_to(place))
            if rest and not found.md5.endswith(".dir"):
                return None
            if not rest and found.md5.endswith(".dir"):
                name = place.relative_to(top)
                raise PantheonError(f"data.path: {name} is a folder.", f"Name a file in it: {name}/FILE")
            return Tracked(found.file, found.md5, found.current, rest)
        place = place.parent
    return None


def read(file: Path, name: Path, what: str) -> Tracked:
    """Read a ``.dvc`` file.

    Raises:
        PantheonError: it is damaged, or tracks several files or something else.
    """
    import yaml

    md5, current = "", False
    try:
        found: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        (out,) = found["outs"]
        md5, current = str(out["md5"]), out.get("hash") == "md5"
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, KeyError, TypeError, AttributeError):
        pass
    if not HASH.fullmatch(md5):
        cause = f"{name} of {what} does not track one file or folder by its MD5."
        raise PantheonError(cause, "Correct the order.")
    return Tracked(file, md5, current)


def remote_of(place: Path, top: Path, what: str) -> dict[str, str]:
    """Return the settings of a repository's default remote, from the ``.dvc/config`` nearest to ``place``.

    Raises:
        PantheonError: there is none, or DVC would have to read files of this machine.
    """
    while place != top and not (place / ".dvc").is_dir():
        place = place.parent
    config = ConfigParser(interpolation=None)
    try:
        config.read_string(inside(place, ".dvc/config", "data.path").read_text(encoding="utf-8"))
        name = config.get("core", "remote", fallback="")
        sections = (f"'remote \"{name}\"'", f'remote "{name}"')
        found = next((dict(config[each]) for each in sections if config.has_section(each)), {})
    except (OSError, UnicodeDecodeError, ConfigError):
        found = {}
    remote = {key: found[key] for key in SETTINGS if key in found}
    addresses = [remote[key] for key in ("url", "endpointurl") if key in remote]
    if not remote.get("url"):
        raise PantheonError(f"{what} has no default remote in .dvc/config.", "Set it: `dvc remote default NAME`")
    if not all(REMOTE.fullmatch(each) for each in addresses) or any("\n" in each for each in remote.values()):
        cure = "Use a remote with https://, http:// or s3://, without a user's name or password."
        raise PantheonError(f"the DVC remote {name!r} of {what} cannot be used.", cure)
    return remote


def inside(folder: Path, path: str, field: str) -> Path:
    """Return a path of a repository.

    Raises:
        PantheonError: it leads out of the repository, also by a link.
    """
    target = folder / path
    if not path or "\0" in path or not target.resolve().is_relative_to(folder.resolve()):
        raise PantheonError(f"{field}: {path[:200]!r} is not a path in the repository.", "For example: data/wine.csv")
    return target
