"""``pantheon bundle``: write a file with which a machine without a network runs a tier."""

from pathlib import Path
from typing import Annotated

import typer

from pantheon.cli.options import Json, TierName, interrupt_when_ended
from pantheon.errors import PantheonError

File = Annotated[str, typer.Option("--file", envvar="PANTHEON_FILE", help="the file to write: NAME.tar")]


def bundle(tier: TierName = "", file: File = "", as_json: Json = False) -> None:
    """Write this clone and all packages of the tier to one file, for a machine without a network."""
    from pantheon import terminal, tiers
    from pantheon.deployment import offline
    from pantheon.deployment.backup import size

    if not tier:
        raise PantheonError("the tier is missing.", "For example: `make tier-zeus bundle FILE=pantheon.tar`")
    chosen = tiers.find_built(tier)
    if not file:
        raise PantheonError("FILE= is missing.", f"For example: `make tier-{chosen.name} bundle FILE=pantheon.tar`")
    interrupt_when_ended()
    done = offline.bundle(chosen, Path(file).expanduser().absolute())
    if as_json:
        terminal.print_json(done)
        return
    content = f"{done['packages']:,} packages for Python {done['python']} on {done['machine']}, {size(done['size'])}"
    terminal.say(f"[green]✓[/] {terminal.plain(done['file'])}: {terminal.plain(content)}")
    there = f"tar xf {Path(done['file']).name}, then make -C {offline.TOP} tier-{chosen.name} up ENGINE=local"
    terminal.say(terminal.plain(f"On the other machine: {there}"))
