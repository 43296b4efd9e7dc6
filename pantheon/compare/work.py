"""The folder of a comparison: it keeps every finished cell, so that an interrupted comparison continues."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.compare.plan import Cell
from pantheon.deployment import calling
from pantheon.errors import PantheonError

DEPLOYMENT = "compare"  # and a hash of the folder: two clones can use one Docker engine


class Work:
    """``HOME/compare``: the finished ``cells/``, ``deployments/`` while one is measured, ``logs/``, the report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells, self.logs, self.home = folder / "cells", folder / "logs", folder / "deployments"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the folder during the block; destroy what a killed comparison left, before it and after it.

        Raises:
            PantheonError: another comparison is running.
        """
        for folder in (self.folder, self.cells, self.logs, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        try:
            with files.lock(self.folder / "lock", timeout=0.5):
                self.clean()
                try:
                    yield
                finally:
                    self.clean()
        except files.Busy:
            raise PantheonError(
                "another comparison is running.", "Wait for it, or interrupt it with Ctrl-C.", 1
            ) from None

    def clean(self) -> None:
        """Destroy the deployments of the comparison."""
        calling.destroy(self.home, self.logs / "destroy.log")

    def name(self) -> str:
        """Return the name of the deployments."""
        import hashlib

        return f"{DEPLOYMENT}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]}"

    def file(self, cell: Cell) -> Path:
        return self.cells / f"{cell.name}.json"

    def log(self, cell: Cell) -> Path:
        return self.logs / f"{cell.name}.log"

    def kept(self, cell: Cell) -> dict[str, Any] | None:
        """Return the figures of a finished cell; None if it was not measured, or with other data or definitions."""
        file = self.file(cell)
        try:
            found = files.read_json(file) if file.is_file() else None
        except PantheonError:  # damaged: measured again
            return None
        return found["figures"] if found and found["fingerprint"] == cell.fingerprint else None

    def keep(self, cell: Cell, figures: dict[str, Any]) -> None:
        files.write_json(self.file(cell), {"fingerprint": cell.fingerprint, "figures": figures}, fsync=True)

    def forget(self, cells: list[Cell]) -> None:
        """Forget what was measured of these cells."""
        for cell in cells:
            self.file(cell).unlink(missing_ok=True)
            self.log(cell).unlink(missing_ok=True)
