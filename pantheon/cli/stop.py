"""``down`` and ``destroy``."""

import sys

import typer

from pantheon.cli.options import Confirm, Json, Name, TierName, running
from pantheon.errors import PantheonError


def down(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Stop the services; never delete data."""
    from pantheon import terminal

    deployment, _, engine = running(name, tier, "down")
    engine.down()
    if as_json:
        terminal.print_json({"name": deployment.name, "stopped": True})
    else:
        again = deployment.command("up")
        done = f"{deployment.name} is stopped. Data, models and runs are kept. Start it again: {again}"
        terminal.say(terminal.plain(done))


def destroy(tier: TierName = "", name: Name = "pantheon", confirm: Confirm = "", as_json: Json = False) -> None:
    """Stop the services and delete the deployment's data, models, runs and secrets; asks for confirmation."""
    from pantheon import terminal
    from pantheon.deployment import removal

    deployment, _, engine = running(name, tier, "destroy")
    if confirm != "yes":
        if not sys.stdin.isatty():
            raise PantheonError(
                f"destroy deletes every model and run of the deployment {deployment.name!r}.",
                f"To delete it: `{deployment.command('destroy', confirm='yes')}`",
            )
        if typer.prompt(f"Delete all of {deployment.state}? Type the deployment's name") != deployment.name:
            raise PantheonError("nothing was deleted.", status=1)
    removal.destroy(deployment, engine)
    if as_json:
        terminal.print_json({"name": deployment.name, "deleted": True})
    else:
        terminal.say(f"{terminal.plain(deployment.name)} is deleted.")
