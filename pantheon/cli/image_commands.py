"""``images``, ``images-save``, ``images-load``, ``prepare``: what the Compose engine needs beforehand."""

from typing import Annotated, Any

import typer

from pantheon.cli.options import Json, Name, Offset, TierName, Without
from pantheon.errors import PantheonError

Tiers = Annotated[str, typer.Argument(help="persephone, daedalus …; without it, every tier that is built")]
File = Annotated[str, typer.Option("--file", envvar="PANTHEON_FILE", help="an archive of images; .gz compresses it")]


def engines_of(tier: str) -> list[Any]:
    """A Compose engine on each tier asked for; nothing runs in them."""
    from pantheon import tiers
    from pantheon.cli.deployment import Deployment

    chosen = [tiers.find_built(tier)] if tier else [each for each in tiers.all_tiers() if each.built]
    return [Deployment("images").engine(each, "compose") for each in chosen]


def ours(tier: str) -> list[str]:
    """The environments whose images the tier needs."""
    return list(dict.fromkeys(name for engine in engines_of(tier) for name in engine.resolved().environments()))


def images(tier: Tiers = "", as_json: Json = False) -> None:
    """Build the images of a tier, or of every tier; what is there and current stays."""
    from pantheon.cli import images as building
    from pantheon.cli import show

    names = ours(tier)
    building.make(names)
    found = building.facts(names)
    if as_json:
        show.print_json(found)
        return
    shown = show.table("image", "size")
    for each in found:
        shown.add_row(each["image"], f"{each['size'] / 1e6:,.0f} MB")
    show.out.print(shown)


def images_save(tier: Tiers = "", file: File = "") -> None:
    """Write the images of a tier, or of every tier, into one file for a machine without network."""
    from pathlib import Path

    from pantheon.cli import images as building
    from pantheon.cli import show

    if not file:
        raise PantheonError("images-save needs FILE=.", "For example: make images-save FILE=pantheon-images.tar.gz")
    names = list(dict.fromkeys(image for engine in engines_of(tier) for image in engine.resolved().images()))
    building.provide(names)
    building.save(names, Path(file).expanduser())
    show.say(f"{len(names)} images are in {file}. There: make images-load FILE={file}")


def images_load(tier: Tiers = "", file: File = "") -> None:
    """Bring the images of a file made by images-save into this machine's Docker engine."""
    from pathlib import Path

    from pantheon.cli import images as building
    from pantheon.cli import show

    if not file:
        raise PantheonError("images-load needs FILE=.", "Make one on a machine with network: make images-save FILE=…")
    for name in building.load(Path(file).expanduser()):
        show.say(f"  {name}")


def prepare(tier: TierName = "", name: Name = "pantheon", port_offset: Offset = None, without: Without = "") -> None:
    """Make folders, secrets and images, and the tier's .env: then plain `docker compose -f …/compose.yaml up` works."""
    import os

    from pantheon.cli import notebooks, show
    from pantheon.cli.deployment import Deployment
    from pantheon.cli.up import tier_of

    deployment = Deployment(name or "pantheon")
    chosen = tier_of(deployment, tier or deployment.settings.tier or "persephone")
    if deployment.settings.engine not in ("", "compose"):
        raise PantheonError(
            f"deployment {deployment.name!r} runs on the engine {deployment.settings.engine}.",
            f"Move it first: make tier-{chosen.name} up ENGINE=compose",
        )
    deployment.leave_out(chosen, without)
    route = deployment.route(chosen)
    deployment.update(tier=chosen.name, engine="compose", port_offset=port_offset, route=route)
    if route["rest"] != "dataflow":
        notebooks.bring(deployment.state, route=route)
    engine: Any = deployment.engine(chosen, "compose", loud=True)
    written = engine.write_env(chosen.folder / ".env")
    show.say(f"{os.path.relpath(written)} is written. Now: {engine.project.shown('up')}")
