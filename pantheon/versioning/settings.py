"""What a repository is told in files that no commit has: what git leaves alone there, and DVC's keys."""

from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as BadIni
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning.git import Git
from pantheon.workflow.run import atomic

# .dvc/.gitignore says the same, but as a tracked file it is away on another branch, or when somebody deletes it.
EXCLUDED = ("/.dvc/config.local", "/.dvc/tmp", "/.dvc/cache")
ATTRIBUTES = ("* -text",)  # dvc.lock has the hash of spec.toml: git must change no line's end
# The user's own settings for all repositories must not change or hide what is recorded here. DVC's git reads them too.
OPTIONS = {"core.autocrlf": "false", "core.excludesFile": "/dev/null"}

REMOTE = 'remote "store"'
SECTION = f"'{REMOTE}'"  # as DVC writes it
OURS = ("url", "access_key_id", "secret_access_key", "session_token")


def apply(git: Git) -> None:
    """Tell git once; what somebody has set for this repository itself stays."""
    if applied(git.folder):
        return
    for name, value in OPTIONS.items():
        if not git.ok("config", "--local", "--get", name):
            git("config", "--local", name, value)
    for path, lines in _files(git.folder).items():  # last: they say that the options are set
        text = _read(path)
        missing = [line for line in lines if line not in text.splitlines()]
        if missing:
            with atomic(path) as part:
                part.write_bytes(_encoded("\n".join([*text.splitlines(), *missing]) + "\n"))


def applied(folder: Path) -> bool:
    """Whether ``apply`` has been here; asks no git."""
    return all(set(lines) <= set(_read(path).splitlines()) for path, lines in _files(folder).items())


def _files(folder: Path) -> dict[Path, tuple[str, ...]]:
    info = folder / ".git" / "info"
    return {info / "attributes": ATTRIBUTES, info / "exclude": EXCLUDED}


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def local_file(folder: Path) -> Path:
    """DVC's settings for one place of a repository, where people too keep the keys of their remotes."""
    return folder / ".dvc" / "config.local"


def has(folder: Path, values: Mapping[str, str]) -> bool:
    """Whether ``config.local`` says ``values`` of the deployment's remote, and no other of ``OURS``.

    Raises:
        PantheonError: it cannot be read.
    """
    config = _parsed(local_file(folder))
    section = _section(config)
    there = config[section] if config.has_section(section) else {}
    return {name: there[name].strip("\"'") for name in OURS if name in there} == dict(values)


def write(folder: Path, values: Mapping[str, str]) -> None:
    """Have ``config.local`` say ``values`` of the deployment's remote; all else stays. Only its owner may read it.

    Raises:
        PantheonError: it cannot be read.
    """
    config = _parsed(local_file(folder))
    section = _section(config)
    if not config.has_section(section):
        config.add_section(section)
    for name in OURS:
        config.remove_option(section, name)
    config[section].update(values)
    with atomic(local_file(folder)) as part:
        part.touch(0o600)  # before there is anything in it
        with part.open("w", encoding="utf-8") as file:
            config.write(file)


def _parsed(path: Path) -> ConfigParser:
    config = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        config.read_string("\n".join(line.strip() for line in text.splitlines()))  # to DVC, indents mean nothing
    except (BadIni, ValueError):  # their own words would show what the lines have, keys perhaps
        raise PantheonError(
            f"{path} is not as DVC writes it.", "Correct it, or move it away: the deployment's keys are written anew."
        ) from None
    return config


def _section(config: ConfigParser) -> str:
    return next((name for name in config.sections() if name.strip().strip("'") == REMOTE), SECTION)
