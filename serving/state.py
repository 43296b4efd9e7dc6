"""The content of the deployment's state folder. Read at every access, so growing or a new run needs no restart."""

from pathlib import Path
from typing import Any

from msgspec import to_builtins

from pantheon.errors import PantheonError
from pantheon.state import Route, Services, Settings, StoreLocation, published, read_services, read_store, served
from pantheon.tiers import Tier, find
from pantheon.workflow.run import Run


class State:
    """The state folder of one deployment (``STATE_DIR``)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def deployment(self) -> Settings:
        """The deployment's settings; the defaults without a tier if they are missing or damaged."""
        try:
            return published(self.folder)
        except PantheonError:
            return Settings(dataset="", route=Route())

    @property
    def named(self) -> str:
        """What a command needs to act on this deployment: `` --name NAME``; empty for the default one."""
        name = self.deployment.name
        return "" if name == "pantheon" else f" --name {name}"

    @property
    def served(self) -> str:
        """The name of the model that the button serves; empty before the first deploy."""
        return served(self.folder)

    @property
    def tier(self) -> Tier | None:
        """The deployment's tier; None if it is not set or does not exist."""
        try:
            return find(self.deployment.tier)
        except PantheonError:
            return None

    @property
    def route(self) -> Route:
        """Which component leads which part of the workflow."""
        return self.deployment.route

    @property
    def variant(self) -> str:
        """The deployment's variant of the tier, such as ``pycaret``; empty for the default."""
        tier, name = self.tier, self.deployment.variant
        return name if tier and name in tier.variants else ""

    @property
    def picture(self) -> Path | None:
        """The diagram of the tier or of the variant; None if there is none."""
        tier, variant = self.tier, self.variant
        if tier is None:
            return None
        name = f"diagram-{variant}.svg" if variant else "diagram.svg"
        return next((p for p in (tier.folder / name, tier.folder / "diagram.svg") if p.exists()), None)

    @property
    def store(self) -> StoreLocation | None:
        """The S3 location of the models; None for the folder ``models``.

        Raises:
            PantheonError: the file with the location is damaged.
        """
        return read_store(self.folder)

    @property
    def where(self) -> str:
        """``store`` as text, to detect changes; the error if the file is damaged."""
        try:
            return repr(self.store)
        except PantheonError as error:
            return error.cause

    def place(self, where: str) -> str:
        """Return a store's location for users: relative to the state folder, whose path differs in containers."""
        path = Path(where)
        if path.is_absolute() and path.is_relative_to(self.folder):
            return path.relative_to(self.folder).as_posix()
        return where

    @property
    def services(self) -> Services:
        """The services as recorded by the engine; empty before its first record."""
        return read_services(self.folder)

    def runs(self, most: int) -> list[dict[str, Any]]:
        """Return the newest runs: their request, every started stage, and the outcome if there is one.

        A damaged run has only its ``id`` and ``damage``, which names the file, in the state folder, and a cure.
        """
        result: list[dict[str, Any]] = []
        for run in Run.all(self.folder)[:most]:
            try:
                record, stages, outcome = run.record, run.records(), run.outcome
            except (PantheonError, OSError) as error:
                if run.folder.exists():  # else it was just deleted
                    result.append({"id": run.id, "damage": str(error).replace(f"{self.folder}/", "")})
                continue
            result.append(
                {
                    **to_builtins(record),
                    "stages": [to_builtins(stage) for stage in stages.values()],
                    "outcome": to_builtins(outcome) if outcome else {},
                }
            )
        return result
