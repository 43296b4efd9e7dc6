"""A deployment: its state folder, settings, secrets and engine."""

import os
import re
import time
from pathlib import Path
from typing import Any

from pantheon import migration, state, terminal
from pantheon.components import Component, Components
from pantheon.components import read as read_components
from pantheon.deployment import commands, permissions, secrets
from pantheon.engines import Engine, Options, default_engine, open_engine, silent
from pantheon.errors import PantheonError, describe
from pantheon.state import Route, Settings
from pantheon.tiers import ROOT, Tier, all_tiers, find

FOLDERS = (
    *("state", state.SHARED, "runs", "models", "data", "predictions", "extensions", "notebooks", "logs", "volumes"),
    "repositories/main.git",
    *("volumes/spool", "volumes/monitor"),
    *("features", "feast", "kubeflow/tensorboard"),
)
RESERVED = {"bench", "compare", "dockerfiles", "envs", "uv", "workshop"}


def home() -> Path:
    """Return the folder of deployments and environments: ``PANTHEON_HOME``, else ``.pantheon`` in the clone."""
    return Path(os.environ.get("PANTHEON_HOME") or ROOT / ".pantheon").absolute()


class Deployment:
    """A deployment, identified by its name.

    Args:
        folder: its folder; None: the one of this name in ``home()``.

    Attributes:
        given_keys: the text of a credentials file for another S3, from this call; not saved until the keys have worked.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name) or name in RESERVED:
            raise PantheonError(
                f"NAME={name} is not a valid name for a deployment.",
                "Use at most 31 lower-case letters, digits and hyphens, for example NAME=demo.",
            )
        self.name = name
        self.state = folder or home() / name
        permissions.close(home(), ROOT)
        if self.state.is_dir():
            permissions.make_private(self.state)  # older versions of Pantheon left it open to other users
        self.settings = state.read_settings(self.state) or Settings(route=Route())
        self.settings.name = name
        if self.exists and not state.is_current(self.state, self.settings):
            self.mend()
        self.given_keys = ""

    @property
    def exists(self) -> bool:
        """Whether a deployment of this name was ever started."""
        return state.exists(self.state)

    def command(self, verb: str, *arguments: str, tier: str = "", **options: commands.Value) -> str:
        """Return a command line for this deployment, for a message; see ``commands.command``."""
        return commands.command(self.name, tier or self.settings.tier, verb, *arguments, **options)

    def update(self, **given: Any) -> None:
        """Change the settings that are not None, and save all settings."""
        for key, value in given.items():
            if value is not None:
                setattr(self.settings, key, value)
        self.make_folders()
        state.write_settings(self.state, self.settings)
        self.publish()

    def publish(self) -> None:
        """Have running services see what this machine has written for them; see ``Engine.publish``."""
        if self.settings.engine and self.settings.tier:
            self.engine(find(self.settings.tier)).publish()

    def mend(self) -> None:
        """Write the settings in the current format, if an older Pantheon wrote them or their file is damaged."""
        damage = state.damage(self.state)
        try:
            self.update()
        except OSError as error:  # such as a full disk, which must not stop `status` and `down`
            terminal.warn(f"The settings could not be written: {describe(error)}")
        else:
            if damage:
                terminal.warn(f"{damage} It was written again from its last good copy, settings.json.bak.")

    def finish_migration(self, engine: Engine) -> None:
        """Remove files that only services of an older Pantheon use, once ``engine`` no longer runs any of them."""
        if migration.under_way(self.state):
            running = max((service.uptime for service in engine.status()), default=0.0)
            model = state.served(self.state)
            if migration.end(self.state, time.time() - running) and model:
                state.set_served(self.state, model)

    def make_folders(self, tier: Tier | None = None) -> None:
        """Create the state folder, and the secrets of the components at ``tier``; None: the deployment's tier."""
        permissions.make_private(self.state)
        for name in FOLDERS:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        tier = tier or (find(self.settings.tier) if self.settings.tier else None)
        secrets.make(self.state / "secrets", self.components(tier).secrets if tier else {})

    def components(self, tier: Tier) -> Components:
        """Return the components of the deployment at ``tier``, without those left out."""
        return read_components(tier.definition(self.settings.variant)).without(self.without)

    @property
    def without(self) -> list[str]:
        """Components that are left out, because the user said so, or because nobody has asked for them."""
        return [*self.settings.without, *(["evidently"] if self.settings.monitor_report != "evidently" else [])]

    def leave_out(self, tier: Tier, requested: str) -> None:
        """Apply ``WITHOUT=``: names of components, or ``none``; empty does not change the setting.

        Raises:
            PantheonError: the tier does not have that component.
        """
        names = [] if requested == "none" else [name for name in re.split(r"[,\s]+", requested) if name]
        optional = read_components(tier.compose_file).optional
        for name in names:
            if name not in optional:
                has = (
                    f"Use one of: {', '.join(optional)}; or WITHOUT=none."
                    if optional
                    else "This tier has no optional components."
                )
                raise PantheonError(f"{tier.title} has no optional component {name!r}.", has)
        if requested:
            self.settings.without = sorted(set(names))

    def choose_variant(self, tier: Tier, requested: str) -> None:
        """Apply ``VARIANT=``: one of the tier's variants, or ``none``; empty does not change the setting.

        Raises:
            PantheonError: the tier does not have that variant, or it needs a component that is left out.
        """
        if requested in ("", "none"):
            self.settings.variant = "" if requested else self.settings.variant
            return
        if requested not in tier.variants:
            has = "; ".join(f"{t.name}: {', '.join(t.variants)}" for t in all_tiers() if t.built and t.variants)
            raise PantheonError(
                f"{tier.title} has no variant {requested!r}.", f"Available: {has}. Without one: VARIANT=none."
            )
        every, usual = read_components(tier.definition(requested)), read_components(tier.compose_file)
        left, names = every.left_out(self.settings.without), {each.name for each in usual}
        missing = [needed for each in every if each.name not in names for needed in each.needs if needed in left]
        if missing:
            raise PantheonError(
                f"VARIANT={requested} needs {', '.join(missing)}, which is left out.", "Use WITHOUT=none."
            )
        self.settings.variant = requested

    def route(self, tier: Tier) -> Route:
        """Return which component runs which part of the workflow at ``tier``."""
        return Route(**self.components(tier).route())

    def tools(self, tier: Tier, engine: Engine) -> dict[str, Component]:
        """Return the host programs that ``tier`` needs, and the component that needs them; images include theirs."""
        return self.components(tier).tools if engine.on_host else {}

    def left_out(self, tier: Tier) -> list[str]:
        """Return components whose services do not start: those left out, and the tier's S3 if another one is used."""
        every = read_components(tier.definition(self.settings.variant))
        store = every.leader("models")
        replaced = [store.name] if self.settings.s3 and store and not store.required else []
        return sorted({*every.left_out(self.without), *replaced})

    def engine(
        self,
        tier: Tier,
        choice: str = "",
        loud: bool = False,
        definition: Path | None = None,
        all_of_it: bool = False,
    ) -> Engine:
        """Return the engine for this deployment at ``tier``; ``loud`` prints external commands before they run.

        Args:
            definition: a compose file to use instead of the tier's.
            all_of_it: include the components that the deployment leaves out.

        Raises:
            PantheonError: the engine does not exist.
        """
        name, _ = self.choose_engine(choice)
        return open_engine(
            name,
            Options(
                name=self.name,
                state=self.state,
                definition=definition or tier.definition(self.settings.variant),
                root=ROOT,
                port_offset=self.settings.port_offset,
                without=[] if all_of_it else self.left_out(tier),
                echo=terminal.echo if loud else silent,
                environment=self.variables() | os.environ,
            ),
        )

    def variables(self) -> dict[str, str]:
        """Return the variables of the definition that the settings set; those of the user's environment go before."""
        values = {"ENDPOINT_LOG": self.settings.log, "PREDICTIONS_KEEP": self.settings.predictions_keep}
        values["MONITOR_NETWORK"] = "outside" if self.settings.alerts_leave else ""  # the way out of a container
        values["HUB_NETWORK"] = "outside" if os.environ.get("OIDC_ISSUER") else ""  # to the company's provider
        values["IMAGES_REGISTRY"] = self.settings.registry
        values["IMAGES_REGISTRY_IN_CLUSTER"] = self.settings.registry_in_cluster
        return {name: value for name, value in values.items() if value}

    def choose_engine(self, choice: str = "") -> tuple[str, str]:
        """Return the engine's name and the reason: the user's choice, the deployment's engine, or the default."""
        if choice:
            return choice, f"set by ENGINE={choice}"
        if self.settings.engine:
            return self.settings.engine, "the deployment's engine"
        return default_engine()

    def check_move(self, engine: Engine, tier: Tier) -> None:
        """Check that the deployment can move to ``engine`` with its data.

        Raises:
            PantheonError: one of both engines keeps the data in folders of this machine, and the other one does not.
        """
        if self.settings.engine in ("", engine.name):
            return
        old = self.engine(tier, self.settings.engine)
        has = any(any((self.state / name).glob("*")) for name in ("runs", "models")) or not old.shares_folders
        if old.shares_folders != engine.shares_folders and has:
            file, copy, offset = f"{self.name}.zip", f"{self.name}-2", self.settings.port_offset + 100
            save = self.command("backup", file=file)
            load = commands.command(copy, tier.name, "restore", file=file, engine=engine.name, port_offset=offset)
            raise PantheonError(
                f"{self.name} runs on {old.name}; its data cannot move to {engine.name} in place.",
                f"Make a copy there: `{save}`, then `{load}`",
            )

    def move_to(self, engine: Engine, tier: Tier) -> None:
        """Stop the deployment's services on another engine: both engines would use the same ports and folders.

        Raises:
            PantheonError: the new engine cannot be used, or the old one does not answer and its services still run.
                Nothing was stopped or written.
        """
        engine.check()
        before = self.settings.engine
        if not before or before == engine.name:
            return
        old = self.engine(tier, before, loud=True)
        try:
            old.check()
        except PantheonError as error:
            if left := old.survivors():
                pid, name = next(iter(sorted(left.items())))
                raise PantheonError(
                    f"the engine {before} does not answer, but services that it started still write to {self.state}, "
                    f"such as {name} (pid {pid}).",
                    "Start it, then run the command again.",
                    1,
                ) from None
            terminal.warn(
                f"{error.cause} When {before} works again, it may start this deployment's services, too. To stop them: "
                f"`up --engine {before} --no-run`, then `up --engine {engine.name}`."
            )
        else:
            moving = f"moving from {before} to {engine.name}: stopping the old services first"
            terminal.say(terminal.plain(f"{moving}; models, runs and data are kept"))
            old.down()

    def address(self, engine: Engine, service: str) -> str:
        """Return the address of a service of the deployment; see ``Engine.address``."""
        return engine.address(service)

    def why_engine(self, choice: str = "") -> str:
        """Return one line that names the engine and the reason for it."""
        name, why = self.choose_engine(choice)
        return f"engine: {name}, {why}"
