"""Promote and roll back: the alias moves by compare-and-swap, and the button is asked until it has followed."""

import getpass
import time
from dataclasses import dataclass
from typing import Any

from pantheon.cli import predict, show
from pantheon.cli.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier
from pantheon.workflow.run import write_json

PATIENCE = 15.0  # seconds that the button has to load the version; it looks every half second
CHAMPION = "champion"


@dataclass
class Move:
    """Moves of one model's aliases in a deployment."""

    deployment: Deployment
    tier: Tier
    engine: Engine
    model: str

    def promote(self, version: str, alias: str = CHAMPION, note: str = "") -> dict[str, Any]:
        """Point ``alias`` at ``version``, if it still names what was shown.

        Returns:
            ``{"model", "alias", "version", "previous", "since", "answers"}``; ``answers``: None for another alias than
            the champion, False where the button is down.

        Raises:
            PantheonError: no such version, a damaged one, somebody was faster, or the button refuses it.
        """
        store = self.deployment.store()
        if problems := store.verify(self.model, version):
            raise PantheonError(
                f"version {version} of {self.model} is damaged: {problems[0]}",
                "`bin/pantheon models list` shows the other versions.",
                status=1,
            )
        now = store.alias(self.model, alias)
        before = f"version {now.version}, since {now.since}" if now else "nothing"
        show.say(f"the {alias} of {self.model} is {before}; from now on version {version}")
        record = store.promote(
            self.model, version, alias, expected=now.version if now else None, by=getpass.getuser(), note=note
        )
        if alias == CHAMPION:
            store.drop(self.model, "challenger", expected=version)  # decided, if it waited
        answers = self.serve(record.version) if alias == CHAMPION else None
        return {"model": self.model, "alias": alias, **record.as_dict(), "answers": answers}

    def rollback(self, to: str | None = None, note: str = "") -> dict[str, Any]:
        """Make the champion before this one, or ``to``, the champion; as ``promote``."""
        store = self.deployment.store()
        now = store.resolve(self.model)
        target = to or now.previous
        if target is None or target == now.version:
            store.rollback(self.model, to=to)  # says why there is nothing to go back to
        return self.promote(str(target), CHAMPION, note or f"back from version {now.version}")

    def serve(self, version: str) -> bool:
        """Have the button serve the model's champion, and wait until it answers with it; False where it is down."""
        write_json(self.deployment.state / "state" / "serving.json", {"model": self.model})
        address = self.deployment.address(self.engine, "button")
        began = time.monotonic()
        while True:
            try:
                health, _ = predict.ask(address, "/healthz", self.tier.name)
            except PantheonError:
                show.say(f"the button is down; up again, it answers with version {version}")
                return False
            took = time.monotonic() - began
            if (health["model"], health["version"]) == (self.model, version):
                show.say(f"[green]✓[/] version {version} of {self.model} answers now ({show.seconds(took)})")
                return True
            refused = health["refused"] or {}
            if (refused.get("model"), refused.get("version")) == (self.model, version):
                raise PantheonError(
                    f"version {version} is the champion, but cannot be served: {refused['why']} "
                    f"Version {health['version']} goes on answering.",
                    "`bin/pantheon models rollback` takes it back.",
                    status=1,
                )
            if took > PATIENCE:
                raise PantheonError(
                    f"version {version} is the champion, but after {PATIENCE:.0f} s the button still answers with "
                    f"version {health['version']}.",
                    f"What it says: make tier-{self.tier.name} logs SERVICE=button",
                    status=1,
                )
            time.sleep(0.1)
