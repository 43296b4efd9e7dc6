"""A deployment: its state folder, its settings in layers, its secrets, and the engine that it runs on."""

import os
import re
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pantheon.cli import credentials, show
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, Tier, all_tiers, components
from pantheon.workflow.run import read_json, write_json

FOLDERS = ("state", "runs", "models", "data", "extensions", "notebooks", "logs", "volumes", "repositories/main/.git")
RESERVED = {"envs", "uv"}


def home() -> Path:
    """Where deployments and environments live: ``PANTHEON_HOME``, else ``.pantheon`` in the clone."""
    return Path(os.environ.get("PANTHEON_HOME") or ROOT / ".pantheon").absolute()


@dataclass
class Settings:
    """What a deployment remembers between commands; ``state/deployment.json``, which its services watch.

    Attributes:
        tier: the tier it is at; empty before the first ``up``.
        engine: ``local`` or ``compose``: sticky, so that starting Docker does not flip a deployment.
        port_offset: added to every port, so that two deployments can be up side by side.
        dataset: the name of the dataset that is trained on and served.
        approval: ``auto`` or ``required``.
        trials, seed: parameters of the runs; None takes the workflow's default.
        without: components that this team leaves out, such as ``airflow``.
        route: who does what, for the services to read: ``etl`` (airflow, dataflow), ``rest`` (dataflow, jupyter,
            pycaret), ``models`` (folder, s3), ``data`` (dvc, or empty).
        schedule: when Airflow starts a run by itself, cron; empty: never.
        variant: another way to do the tier's work, such as ``pycaret``; empty: the usual one.
        s3: another S3 than the one that comes with the tier: ``endpoint``, ``bucket``, ``region``; empty: ours.
    """

    name: str = "pantheon"
    tier: str = ""
    engine: str = ""
    port_offset: int = 0
    dataset: str = "robots"
    approval: str = "auto"
    trials: int | None = None
    seed: int | None = None
    without: list[str] = field(default_factory=list)
    route: dict[str, str] = field(default_factory=dict)
    schedule: str = ""
    variant: str = ""
    s3: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Deployment:
    """One deployment by its name.

    Attributes:
        given_keys: a credentials file's text for another S3, given in this call: in no file until they have worked.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name) or name in RESERVED:
            raise PantheonError(
                f"NAME={name} cannot name a deployment.",
                "Use small letters, digits and hyphens, at most 31, for example NAME=demo.",
            )
        self.name = name
        self.state = home() / name
        self.file = self.state / "state" / "deployment.json"
        self.settings = self._read()
        self.given_keys = ""

    def _read(self) -> Settings:
        raw = read_json(self.file) if self.file.exists() else {}
        known = {f.name for f in fields(Settings)}
        return Settings(**({k: v for k, v in raw.items() if k in known} | {"name": self.name}))

    @property
    def exists(self) -> bool:
        return self.file.exists()

    def must_exist(self) -> "Deployment":
        """Raises PantheonError where nothing was ever brought up under this name."""
        if not self.exists:
            raise PantheonError(f"there is no deployment {self.name!r}.", "Bring one up: make tier-persephone up")
        return self

    def update(self, **given: Any) -> None:
        """Take the settings that were given (None: not given) and write them down."""
        for key, value in given.items():
            if value is not None:
                setattr(self.settings, key, value)
        self.make_folders()
        if not self.file.exists() or read_json(self.file) != asdict(self.settings):
            write_json(self.file, asdict(self.settings))

    def make_folders(self) -> None:
        for name in FOLDERS:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        credentials.make(self.state / "secrets")

    def leave_out(self, tier: Tier, asked: str) -> None:
        """Take ``WITHOUT=``: components by their names, or ``none``; empty leaves the setting as it is.

        Raises:
            PantheonError: the tier has no such component.
        """
        names = [] if asked == "none" else [name for name in re.split(r"[,\s]+", asked) if name]
        known = components(tier)
        for name in names:
            if name not in known:
                has = f"It has: {', '.join(known)}; WITHOUT=none takes all." if known else "It has none to leave out."
                raise PantheonError(f"{tier.title} has no component {name!r} to leave out.", has)
        if asked:
            self.settings.without = sorted(set(names))

    def choose_variant(self, tier: Tier, asked: str) -> None:
        """Take ``VARIANT=``: one of the tier's, or ``none``; empty leaves the setting as it is.

        Raises:
            PantheonError: the tier has no such variant, or it needs a component that is left out.
        """
        if asked in ("", "none"):
            self.settings.variant = "" if asked else self.settings.variant
            return
        if asked not in tier.variants:
            has = "; ".join(f"{t.name}: {', '.join(t.variants)}" for t in all_tiers() if t.built and t.variants)
            raise PantheonError(f"{tier.title} has no variant {asked!r}.", f"There are: {has}. VARIANT=none: none.")
        if "jupyter" in self.settings.without:
            raise PantheonError(f"VARIANT={asked} works in notebooks.", "Take them back: WITHOUT=none.")
        self.settings.variant = asked

    def route(self, tier: Tier) -> dict[str, str]:
        """Who does what at ``tier``; see ``Settings.route``."""
        there = set(components(tier)) - set(self.settings.without)
        variant = self.settings.variant if self.settings.variant in tier.variants else ""
        return {
            "etl": "airflow" if "airflow" in there else "dataflow",
            "rest": (variant or "jupyter") if "jupyter" in there else "dataflow",
            "models": "s3" if "s3" in there else "folder",
            "data": "dvc" if {"s3", "dvc"} <= there else "",
        }

    def tools(self, tier: Tier, engine: Engine) -> list[str]:
        """Programs of this machine that ``tier`` calls; containers bring theirs."""
        return ["git"] if engine.name == "local" and self.route(tier)["data"] == "dvc" else []

    @property
    def left_out(self) -> list[str]:
        """Components whose services are not started: those that the team leaves out; S3 where it is another one."""
        return sorted({*self.settings.without, *(["s3"] if self.settings.s3 else [])})

    def engine(
        self,
        tier: Tier,
        choice: str = "",
        loud: bool = False,
        definition: Path | None = None,
        all_of_it: bool = False,
    ) -> Engine:
        """The engine for this deployment at ``tier``; ``loud`` shows each outside command before it runs.

        Args:
            definition: instead of the tier's compose file.
            all_of_it: components that the deployment leaves out too.

        Raises:
            PantheonError: the engine asked for is unknown or not built yet.
        """
        name, _ = self.choose_engine(choice)
        echo = show.echo if loud else None
        definition = definition or tier.definition(self.settings.variant)
        without = [] if all_of_it else self.left_out
        if name == "compose":
            from pantheon.cli import images
            from pantheon.engines.docker import ComposeEngine

            return ComposeEngine(
                name=self.name,
                state=self.state,
                compose_file=definition,
                port_offset=self.settings.port_offset,
                tags=images.tags(),
                images=images.provide,
                root=ROOT,
                ca=images.ca_file(os.environ),
                echo=echo,
                without=without,
            )
        if name == "helm":
            raise PantheonError("ENGINE=helm is not built yet.", "Use ENGINE=local or ENGINE=compose, or leave it out.")
        if name != "local":
            raise PantheonError(f"there is no engine {name!r}.", "The engines: local, compose, helm.")
        from pantheon.cli.envs import folder_of
        from pantheon.engines.local import LocalEngine

        return LocalEngine(
            name=self.name,
            state=self.state,
            compose_file=definition,
            root=ROOT,
            environments=folder_of,
            port_offset=self.settings.port_offset,
            echo=echo,
            without=without,
        )

    def choose_engine(self, choice: str = "") -> tuple[str, str]:
        """The engine's name, and why that one: asked for, the deployment's own, or what this machine has."""
        if choice:
            return choice, f"as asked by ENGINE={choice}"
        if self.settings.engine:
            return self.settings.engine, "the one that this deployment has"
        from pantheon.engines import docker_api

        try:
            found = docker_api.find(os.environ)
        except PantheonError:
            return "local", "processes of this machine, since no Docker engine answers here"
        if not shutil.which("docker"):
            return "local", "processes of this machine, since there is no docker command to build images with"
        return "compose", f"containers, since a Docker engine answers here ({found.version})"

    def move_to(self, engine: Engine, tier: Tier) -> None:
        """Stop what another engine runs of this deployment: the two would fight for its ports and folders.

        Raises:
            PantheonError: the engine to move to cannot be used; nothing was stopped or written.
        """
        if engine.name == "compose":
            from pantheon.engines import docker_api

            docker_api.find(os.environ)
        before = self.settings.engine
        if not before or before == engine.name:
            return
        show.say(f"moving from {before} to {engine.name}: the same models, runs and data; services stop there first")
        try:
            self.engine(tier, before, loud=True).down()
        except PantheonError as error:
            if before != "compose":
                raise
            show.say(f"[yellow]![/] {error.cause} What it may have run of this deployment was left alone.")

    def address(self, engine: Engine, service: str) -> str:
        """Where a service of the deployment listens.

        Raises:
            PantheonError: the tier has no such service.
        """
        for planned in engine.planned():
            if planned.name == service:
                return planned.address
        raise PantheonError(f"{self.settings.tier} has no service {service!r}.")

    def why_engine(self, choice: str = "") -> str:
        """One line: which engine, and why."""
        name, why = self.choose_engine(choice)
        return f"engine: {name}, {why}"

    def store(self) -> Any:
        """Where the deployment's models lie, as commands on this machine reach it."""
        from pantheon.store import open_store

        return open_store(self.state, host=True, patience=2.0)  # seconds: somebody waits at the terminal

    def has_model(self, alias: str = "champion") -> bool:
        """Whether a model of the chosen dataset has that alias."""
        return self.store().alias(self.settings.dataset, alias) is not None
