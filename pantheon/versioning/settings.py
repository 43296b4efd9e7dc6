"""Settings of git and DVC in a repository: the remote, its keys, and files that git must ignore."""

import configparser
import os
from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.state import read_store
from pantheon.versioning.commands import Git

# .dvc/.gitignore has the same entries, but a tracked file can be missing on another branch or be deleted.
EXCLUDED = ("/.dvc/config.local", "/.dvc/tmp", "/.dvc/cache")
ATTRIBUTES = ("* -text",)  # dvc.lock has the hash of spec.toml: git must not change line ends
# The user's global settings must not change or hide what is recorded. DVC's git reads these options too.
OPTIONS = {"core.autocrlf": "false", "core.excludesFile": "/dev/null"}

REMOTE = 'remote "store"'
SECTION = f"'{REMOTE}'"  # as DVC writes it
OURS = ("url", "access_key_id", "secret_access_key", "session_token")
NAME, EMAIL = "Pantheon", "pantheon@localhost"


# git ------------------------------------------------------------------------------------------------------------------


def apply(git: Git) -> None:
    """Set git's options once; keep options that a user has set for this repository."""
    if applied(git.folder):
        return
    for name, value in OPTIONS.items():
        if not git.ok("config", "--local", "--get", name):
            git("config", "--local", name, value)
    for path, lines in _info(git.folder).items():  # last, because `applied` checks these files
        text = _read(path)
        missing = [line for line in lines if line not in text.splitlines()]
        if missing:
            joined = "\n".join([*text.splitlines(), *missing]) + "\n"
            files.write_bytes(path, joined.encode("utf-8", "surrogateescape"))


def applied(folder: Path) -> bool:
    """Return whether ``apply`` has completed. Does not start git."""
    return all(set(lines) <= set(_read(path).splitlines()) for path, lines in _info(folder).items())


def identify(git: Git) -> None:
    """Set the author of commits, which is missing in containers."""
    git("config", "user.name", NAME)
    git("config", "user.email", EMAIL)


def _info(folder: Path) -> dict[Path, tuple[str, ...]]:
    info = folder / ".git" / "info"
    return {info / "attributes": ATTRIBUTES, info / "exclude": EXCLUDED}


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""


# DVC ------------------------------------------------------------------------------------------------------------------


def remote(state: Path) -> str:
    """Return the URL of DVC's remote, such as ``s3://pantheon/dvc``.

    Raises:
        PantheonError: the deployment has no S3 store.
    """
    store = read_store(state)
    if not store:
        raise PantheonError(
            "this deployment does not have an S3 store, which DVC needs.", "Start it: `make tier-odysseus up`"
        )
    return f"s3://{store.bucket}/dvc"


def _region(state: Path) -> str:
    store = read_store(state)
    return store.region if store else "us-east-1"


def config_text(state: Path) -> str:
    """Return the text of ``.dvc/config``, without secrets, addresses or paths of this machine."""
    return f"""[core]
    remote = store
    analytics = false
    autostage = true
    check_update = false
[cache]
    dir = ../../cache
    type = "reflink,hardlink,copy"
['remote "store"']
    url = {remote(state)}
    region = {_region(state)}
"""


def keys(state: Path) -> dict[str, str]:
    """Return the remote's settings for ``.dvc/config.local``: its keys, and its URL, which old commits may lack.

    Raises:
        PantheonError: the keys are missing, or the deployment has no S3 store.
    """
    file = Path(os.environ.get("SECRETS_DIR") or state / "secrets") / "s3" / "credentials"
    stored = ConfigParser(interpolation=None)
    if not stored.read(file, encoding="utf-8") or "default" not in stored:
        raise PantheonError(f"the keys of the S3 store are missing: {file}.", "Create them: `make tier-odysseus up`")
    found = {"url": remote(state)}
    for name in ("access_key_id", "secret_access_key", "session_token"):
        if value := stored["default"].get(f"aws_{name}"):
            found[name] = value
    return found


def write_keys(state: Path, folder: Path) -> None:
    """Write the keys to ``.dvc/config.local``, which git ignores, if they have changed.

    Raises:
        PantheonError: the keys are missing, the deployment has no S3 store, or the file is malformed.
    """
    apply(Git(folder, state))
    wanted = keys(state)
    if not has(folder, wanted):
        write(folder, wanted)


def local_file(folder: Path) -> Path:
    """Return DVC's settings file for one clone; users also store the keys of their remotes in it."""
    return folder / ".dvc" / "config.local"


def has(folder: Path, values: Mapping[str, str]) -> bool:
    """Return whether ``config.local`` has these ``values`` for the deployment's remote, and no other keys of ``OURS``.

    Raises:
        PantheonError: it is malformed.
    """
    config = _parsed(local_file(folder))
    section = _section(config)
    present = config[section] if config.has_section(section) else {}
    return {name: present[name].strip("\"'") for name in OURS if name in present} == dict(values)


def validate(folder: Path) -> None:
    """Raise PantheonError if ``config.local`` is malformed. DVC's own message could show a line with keys."""
    _parsed(local_file(folder))


def write(folder: Path, values: Mapping[str, str]) -> None:
    """Set these ``values`` for the deployment's remote in ``config.local``, readable only by its owner; keep the rest.

    Raises:
        PantheonError: it is malformed.
    """
    config = _parsed(local_file(folder))
    section = _section(config)
    if not config.has_section(section):
        config.add_section(section)
    for name in OURS:
        config.remove_option(section, name)
    config[section].update(values)
    with files.atomic(local_file(folder), mode=0o600) as part, part.open("w", encoding="utf-8") as file:
        config.write(file)


def write_private(state: Path, folder: Path) -> None:
    """Write ``config.local`` of the clone for recordings; it overrides ``.dvc/config`` of any commit.

    Raises:
        PantheonError: the keys are missing, or the deployment has no S3 store.
    """
    remote_lines = [f"    {name} = {value}" for name, value in {**keys(state), "region": _region(state)}.items()]
    lines = ["[core]", "    autostage = false", "[cache]", "    dir = ../../cache"]
    lines += ['    type = "reflink,hardlink,copy"', f"['{REMOTE}']", *remote_lines]
    files.write_text(local_file(folder), "\n".join(lines) + "\n", mode=0o600)


def cache_of(folder: Path) -> Path:
    """Return DVC's cache of the repository ``folder``; users may have moved it."""
    for name in ("config.local", "config"):
        config = ConfigParser(interpolation=None, strict=False)
        try:
            config.read(folder / ".dvc" / name, encoding="utf-8")
        except configparser.Error:
            continue
        if place := config.get("cache", "dir", fallback=""):
            return (folder / ".dvc" / place.strip("\"'")).resolve()
    return folder.parent / "cache"


def _parsed(path: Path) -> ConfigParser:
    config = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        config.read_string("\n".join(line.strip() for line in text.splitlines()))  # DVC ignores indentation
    except (configparser.Error, ValueError):  # their messages could show lines with keys
        raise PantheonError(
            f"{path} is malformed.", "Correct it, or move it away; the deployment's keys are then written again."
        ) from None
    return config


def _section(config: ConfigParser) -> str:
    return next((name for name in config.sections() if name.strip().strip("'") == REMOTE), SECTION)
