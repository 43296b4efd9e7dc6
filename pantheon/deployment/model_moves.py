"""Promote and roll back: move the alias by compare-and-swap, then poll the button until it serves the version."""

import time
from dataclasses import dataclass
from typing import Any

from pantheon import terminal
from pantheon.deployment import inside, predict
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.processes import whoami
from pantheon.state import set_served

TIMEOUT_SECONDS = 15.0  # for the button to load the version; it polls every half second
CHAMPION = "champion"


@dataclass
class Move:
    """Move one model's aliases in a deployment."""

    deployment: Deployment
    engine: Engine
    model: str

    def promote(self, version: str, alias: str = CHAMPION, note: str = "") -> dict[str, Any]:
        """Point ``alias`` at ``version``, unless it has changed in the meantime.

        Returns:
            ``{"model", "alias", "version", "previous", "since", "answers"}``. ``answers`` is None for any alias but the
            champion, and False if the button is down.

        Raises:
            PantheonError: the version is missing or damaged, the alias changed, or the button cannot serve it.
        """
        by = whoami()
        done = inside.models(
            self.deployment, self.engine, "promote", self.model, version=version, alias=alias, by=by, note=note
        )
        return self.moved(alias, done)

    def rollback(self, to: str | None = None, note: str = "") -> dict[str, Any]:
        """Make the previous champion, or ``to``, the champion; returns and raises as ``promote``."""
        by = whoami()
        return self.moved(
            CHAMPION, inside.models(self.deployment, self.engine, "rollback", self.model, to=to or "", by=by, note=note)
        )

    def moved(self, alias: str, done: dict[str, Any]) -> dict[str, Any]:
        """Print an alias's old and new version; for the champion, wait for the button."""
        before = done.pop("before")
        was = f"version {before['version']}, since {before['since']}" if before else "nothing"
        terminal.say(terminal.plain(f"the {alias} of {self.model} was {was}; now it is version {done['version']}"))
        answers = self.serve(str(done["version"])) if alias == CHAMPION else None
        return {"model": self.model, "alias": alias, **done, "answers": answers}

    def serve(self, version: str) -> bool:
        """Have the button serve the model's champion, and wait until it does; return False if it is down."""
        if self.engine.shares_folders:
            set_served(self.deployment.state, self.model)
        else:
            inside.ask(self.deployment, self.engine, "serve", model=self.model)
        address = self.deployment.address(self.engine, "button")
        began = time.monotonic()
        while True:
            try:
                health, _ = predict.ask(address, "/healthz")
            except PantheonError:
                terminal.say(f"the button is down; when it is up again, it serves version {terminal.plain(version)}")
                return False
            took = time.monotonic() - began
            if (health["model"], health["version"]) == (self.model, version):
                served = f"version {version} of {self.model} is served now ({terminal.seconds(took)})"
                terminal.say(f"[green]✓[/] {terminal.plain(served)}")
                return True
            refused = health["refused"] or {}
            if (refused.get("model"), refused.get("version")) == (self.model, version):
                raise PantheonError(
                    f"version {version} is the champion, but cannot be served: {refused['why']} "
                    f"Version {health['version']} is still served.",
                    "To undo this: `models rollback`",
                    status=1,
                )
            if took > TIMEOUT_SECONDS:
                raise PantheonError(
                    f"version {version} is the champion, but after {TIMEOUT_SECONDS:.0f} s the button still serves "
                    f"version {health['version']}.",
                    "See its log: `logs --service button`",
                    status=1,
                )
            time.sleep(0.1)
