"""What the deployment's state folder says, read each time it is asked: growing or a new run restarts nothing."""

import json
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.tiers import Tier, find
from pantheon.workflow.run import Run


class State:
    """The state folder of one deployment (``STATE_DIR``)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _read(self, name: str) -> dict[str, Any]:
        """A JSON object of ``state/``; empty while it is not there, or not whole yet."""
        try:
            value = json.loads((self.folder / "state" / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def deployment(self) -> dict[str, Any]:
        return self._read("deployment.json")

    @property
    def served(self) -> str:
        """The name of the model that the button serves; empty before the first deploy."""
        return str(self._read("serving.json").get("model", ""))

    @property
    def tier(self) -> Tier | None:
        """The tier the deployment is at; None where it says none that exists."""
        try:
            return find(str(self.deployment.get("tier", "")))
        except PantheonError:
            return None

    @property
    def route(self) -> dict[str, Any]:
        """Who does what: ``etl``, ``rest``, ``models``, ``data``; older deployments have not all of them."""
        found = self.deployment.get("route")
        return found if isinstance(found, dict) else {}

    @property
    def variant(self) -> str:
        """The variant of the tier that the deployment is, such as ``pycaret``; empty for the usual one."""
        tier, name = self.tier, str(self.deployment.get("variant") or "")
        return name if tier and name in tier.variants else ""

    @property
    def picture(self) -> Path | None:
        """The diagram of the tier, or of the variant that the deployment is; None where there is none."""
        tier, variant = self.tier, self.variant
        if tier is None:
            return None
        name = f"diagram-{variant}.svg" if variant else "diagram.svg"
        return next((p for p in (tier.folder / name, tier.folder / "diagram.svg") if p.exists()), None)

    @property
    def store(self) -> dict[str, Any]:
        """Which S3 the models lie in; empty: the folder ``models``."""
        return self._read("store.json")

    def place(self, where: str) -> str:
        """Where a store is, as people know it: a path within the state folder, whatever a container calls that."""
        path = Path(where)
        if path.is_absolute() and path.is_relative_to(self.folder):
            return path.relative_to(self.folder).as_posix()
        return where

    @property
    def services(self) -> dict[str, Any]:
        """``{"updated", "services"}`` as the engine wrote it; empty while no engine has."""
        return self._read("services.json")

    def runs(self, most: int) -> list[dict[str, Any]]:
        """The newest runs: what was asked, every stage that has begun, and the outcome so far.

        A run that another process is making or removing right now is left out.
        """
        found = []
        for run in Run.all(self.folder)[:most]:
            try:
                outcome = run.path("outcome.json")
                found.append(
                    {
                        **run.asked,
                        "stages": list(run.stages().values()),
                        "outcome": json.loads(outcome.read_text(encoding="utf-8")) if outcome.exists() else {},
                    }
                )
            except (OSError, ValueError, KeyError):
                continue
        return found
