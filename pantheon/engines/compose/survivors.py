"""Find containers of a deployment without the Docker engine: they run on when its daemon crashes or does not answer."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """A line of ``/proc/PID/mountinfo``: ``root`` is the mounted folder in its file system, ``place`` where it is."""

    device: str
    root: Path
    place: Path


def find(state: Path) -> dict[int, str]:
    """Return the processes in other mount namespaces that have a folder of ``state`` mounted: names by pid.

    Processes of other users are only found by root.
    """
    state = state.resolve()
    here = [mount for mount in mounts("self") if state.is_relative_to(mount.place)]
    if not here:
        return {}
    ours = max(here, key=lambda mount: len(mount.place.parts))
    folder = ours.root / state.relative_to(ours.place)
    own = Path("/proc/self/ns/mnt").readlink()
    found: dict[int, str] = {}
    foreign: dict[Path, bool] = {own: False}  # mount namespace → whether it has a folder of the state
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            space = (process / "ns" / "mnt").readlink()
            if space not in foreign:
                foreign[space] = any(
                    mount.device == ours.device and mount.root.is_relative_to(folder) for mount in mounts(process.name)
                )
            if foreign[space]:
                found[int(process.name)] = (process / "comm").read_text(errors="replace").strip()
        except OSError:  # it has ended, or is another user's
            continue
    return found


def mounts(process: str) -> list[Mount]:
    """Return what is mounted for a process; ``self`` is the current one.

    Raises:
        OSError: it has ended, or is another user's.
    """
    lines = Path(f"/proc/{process}/mountinfo").read_text(errors="surrogateescape").splitlines()
    return [Mount(words[2], _path(words[3]), _path(words[4])) for words in (line.split(" ") for line in lines)]


def _path(text: str) -> Path:
    """Blanks, tabs, line ends and backslashes are octal."""
    return Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text))
