"""``bundle``: everything that a machine without a network needs for a tier, as one file.

It holds the clone's files, and below ``.pantheon/wheels/`` every package of the tier's locks, for the Python of this
clone's environments. If that folder exists, ``bin/bootstrap`` installs from it and asks no index; the hashes in the
locks are checked as always.
"""

import os
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment.deployment import Deployment, home
from pantheon.engines.local import environments
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, Tier

TOP = "pantheon"  # the folder in the bundle
WHEELS = f"{TOP}/.pantheon/wheels"
PYTHON = "python"  # a file there: the version of Python that the packages are for


def check_file(file: Path) -> None:
    """Check where to write.

    Raises:
        PantheonError: the file exists, or its folder does not, or it has another ending.
    """
    if file.suffix != ".tar":
        raise PantheonError(f"FILE={file} does not end with .tar.", f"Use FILE={file.with_suffix('.tar')}")
    if file.exists():
        raise PantheonError(f"{file} exists.", f"Choose another name, or remove it: rm {file}")
    if not file.parent.is_dir():
        raise PantheonError(f"the folder {file.parent} does not exist.", f"Create it: mkdir -p {file.parent}")


def bundle(tier: Tier, file: Path) -> dict[str, Any]:
    """Write the bundle of a tier; a failure or an interruption leaves no file.

    Returns:
        ``{"file", "tier", "python", "machine", "environments", "packages", "size"}``; the size in bytes.

    Raises:
        PantheonError: the file cannot be written, or a package could not be downloaded.
    """
    check_file(file)
    python = f"3.{sys.version_info[1]}"
    names = ["uv", "cli", *(name for name in environments_of(tier) if name != "cli")]
    with_npm = [name for name in names if (ROOT / "requirements" / f"{name}.npm").is_dir()]
    environments.make(with_npm)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder, terminal.steps() as steps:
        wheels = Path(folder) / "wheels"
        wheels.mkdir()
        for name in names:
            steps.start(f"packages of {name}")
            download(name, wheels)
            steps.end(f"packages of {name}")
        (wheels / PYTHON).write_text(f"{python}\n", encoding="ascii")
        steps.start("writing the file")
        part = Path(folder) / "bundle.tar"
        with tarfile.open(part, "w") as tar:
            for path in sources():
                tar.add(path, f"{TOP}/{path.relative_to(ROOT)}", filter=_anonymous)
            tar.add(wheels, WHEELS, filter=_anonymous)
            for name in with_npm:
                tar.add(environments.folder_of(name) / "npm", f"{WHEELS}/{name}.npm", filter=_anonymous)
        part.rename(file)
        steps.end("writing the file")
        count = len(list(wheels.glob("*.whl")))
    return {
        "file": str(file),
        "tier": tier.name,
        "python": python,
        "machine": platform.machine(),
        "environments": names,
        "packages": count,
        "size": file.stat().st_size,
    }


def environments_of(tier: Tier) -> list[str]:
    """Return the environments of all services and tools of a tier, on the local engine."""
    deployment = Deployment("bundle", home() / "none")
    engine = deployment.engine(tier, "local")
    names = [plan.environment for plan in engine.planned()]
    names += [each for part in deployment.components(tier) for each in part.environments]
    return list(dict.fromkeys(names))


def download(environment: str, folder: Path) -> None:
    """Download the packages of a lock for this Python and this kind of machine, and check their hashes.

    Raises:
        PantheonError: a package could not be downloaded.
    """
    pip = [str(ROOT / ".pantheon/uv/bin/python"), "-m", "pip", "--python", sys.executable, "download", "--quiet"]
    how = ["--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    which = ["--dest", str(folder), "--requirement", str(ROOT / "requirements" / f"{environment}.txt")]
    asked = [*pip, *how, *which]
    # `pip --python` works in a child of its own, so an interruption has to end the whole group.
    with subprocess.Popen(
        asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            _, errors = running.communicate()
        except BaseException:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()  # until the child has ended too, and no longer writes to the folder
            raise
    if running.returncode:
        lines = [line for line in errors.splitlines() if line.startswith("ERROR")] or ["ERROR: pip failed"]
        cause = (
            f"the packages of {environment} could not be downloaded: {lines[-1].removeprefix('ERROR: ').rstrip('.')}."
        )
        raise PantheonError(cause, "Check access to the package index; see docs/offline.md.", 1)


def sources() -> Iterable[Path]:
    """Return the clone's files, without what git ignores, and without its history."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    folders = (ROOT / name for name in ("", *(each.name for each in ROOT.iterdir() if each.name[0] != ".")))
    files = [path for folder in folders for path in (folder.rglob("*") if folder != ROOT else folder.glob("*"))]
    return sorted({path for path in files if path.is_file() and "__pycache__" not in path.parts})


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who owns the files here."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
