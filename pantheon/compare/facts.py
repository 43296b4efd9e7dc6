"""What a tier is made of: lines, packages, secrets and environments. Counted from its files, nothing has to run."""

import re
import shutil
import subprocess
import time
from pathlib import Path

from pantheon import components, files
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, Tier

PINNED = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


def lines(tier: Tier) -> dict[str, int]:
    """Return the lines that define a tier, without comments and blank ones, by the kind of file."""
    values = tier.folder / "values.yaml"
    return {
        "lines_compose": sum(counted(file.read_text(encoding="utf-8")) for file in components.files(tier.compose_file)),
        "lines_helm": counted(values.read_text(encoding="utf-8")) if values.is_file() else 0,
    }


def counted(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def packages(environments: list[str]) -> int:
    """Return how many different packages these environments install, by their locks."""
    found = set()
    for name in environments:
        lock = ROOT / "requirements" / f"{name}.txt"
        if lock.is_file():
            found |= set(PINNED.findall(lock.read_text(encoding="utf-8")))
    return len(found)


class Making:
    """How long it takes to make an environment from packages in the installer's cache; measured once for each lock.

    Args:
        folder: keeps what was measured, and holds the environments while they are made.
    """

    def __init__(self, folder: Path) -> None:
        self.file, self.scratch = folder / "making.json", folder / "making"
        self.known: dict[str, float] = files.read_json(self.file) if self.file.is_file() else {}

    def seconds(self, name: str) -> float | None:
        """Return the seconds; None for a name that has no lock, such as a third-party image.

        Raises:
            PantheonError: the environment cannot be made.
        """
        lock = ROOT / "requirements" / f"{name}.txt"
        if not lock.is_file():
            return None
        key = f"{name} {files.sha256(lock)[:16]}"
        if key not in self.known:
            self.known[key] = self._make(name)
            files.write_json(self.file, self.known)
        return self.known[key]

    def _make(self, name: str) -> float:
        shutil.rmtree(self.scratch, ignore_errors=True)
        (self.scratch / "bin").mkdir(parents=True)
        (self.scratch / ".pantheon").mkdir()
        shutil.copy2(ROOT / "bin" / "bootstrap", self.scratch / "bin" / "bootstrap")
        (self.scratch / "requirements").symlink_to(ROOT / "requirements")
        (self.scratch / ".pantheon" / "uv").symlink_to((ROOT / ".pantheon" / "uv").resolve())
        try:
            begin = time.monotonic()
            command = [str(self.scratch / "bin" / "bootstrap"), name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            took = time.monotonic() - begin
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        if done.returncode:
            why = done.stderr.strip()[-500:].replace("pantheon: ", "")
            raise PantheonError(f"the environment {name} could not be made: {why}", "", 1)
        return round(took, 2)
