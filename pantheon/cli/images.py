"""``images``, ``images-save``, ``images-load`` and ``prepare``: images of tiers, for this machine or a cluster."""

from typing import Annotated

import typer

from pantheon.cli.options import (
    EngineName,
    InCluster,
    Json,
    Name,
    Offset,
    Registry,
    TierName,
    Without,
    existing,
    opened,
)
from pantheon.errors import PantheonError

Tiers = Annotated[str, typer.Argument(help="persephone, daedalus …; default: every implemented tier")]
File = Annotated[
    str, typer.Option("--file", envvar="PANTHEON_FILE", help="an archive of images; compressed if the name ends in .gz")
]


Also = Annotated[
    str,
    typer.Option("--also", help="more images, such as boosting,tensorflow (which convert models), kserve, evidently"),
]


def images(
    tier: Tiers = "",
    also: Also = "",
    registry: Registry = None,
    registry_in_cluster: InCluster = None,
    name: Name = "pantheon",
    engine: EngineName = "",
    as_json: Json = False,
) -> None:
    """Build the images of a tier, or of every tier; push them to a registry, or load them into a cluster."""
    from pantheon import terminal
    from pantheon.deployment import image_sets
    from pantheon.engines.compose import images as building

    if not registry and (brought := image_sets.bring(tier, name, engine)):
        terminal.print_json(brought) if as_json else terminal.say(
            terminal.plain(f"{len(brought)} images are in the cluster")
        )
        return
    names = list(dict.fromkeys([*image_sets.ours(tier), *image_sets.short_names(also)]))
    if registry:
        pushed, values = image_sets.push(names, registry, registry_in_cluster or "")
        if as_json:
            terminal.print_json({"images": pushed, "values": str(values)})
            return
        for each in pushed:
            terminal.out.print(each, markup=False)
        use = f"helm upgrade --install pantheon helm/pantheon -f tiers/…/values.yaml -f {terminal.relative(values)}"
        terminal.say(terminal.plain(f"The chart's values for them are in {terminal.relative(values)}: {use}"))
        return
    building.make(names)
    facts = building.facts(names)
    if as_json:
        terminal.print_json(facts)
        return
    shown = terminal.table("image", "size")
    for image in facts:
        shown.add_row(image["image"], f"{image['size'] / 1e6:,.0f} MB")
    terminal.out.print(shown)


def images_save(tier: Tiers = "", file: File = "", also: Also = "", as_json: Json = False) -> None:
    """Save the images of a tier, or of every tier, to one file for a machine without network access."""
    from pathlib import Path

    from pantheon import terminal
    from pantheon.deployment import image_sets
    from pantheon.engines.compose import images as building

    if not file:
        raise PantheonError("images-save needs FILE=.", "For example `make images-save FILE=pantheon-images.tar.gz`.")
    names = list(dict.fromkeys([*image_sets.all_of(tier), *image_sets.named(also)]))
    building.provide(names)
    image_sets.save(names, Path(file).expanduser())
    if as_json:
        terminal.print_json({"file": file, "images": names})
    else:
        load = f"make images-load FILE={file}"
        terminal.say(terminal.plain(f"{len(names)} images saved to {file}. On the other machine, run: {load}"))


def images_load(
    tier: Tiers = "", file: File = "", name: Name = "pantheon", engine: EngineName = "", as_json: Json = False
) -> None:
    """Load the images of a file made by images-save into this machine's Docker engine, or a cluster."""
    from pathlib import Path

    from pantheon import terminal
    from pantheon.deployment import image_sets

    if not file:
        raise PantheonError("images-load needs FILE=.", "For example `make images-load FILE=pantheon-images.tar.gz`.")
    names = image_sets.load(Path(file).expanduser(), name, engine)
    if as_json:
        terminal.print_json({"file": file, "images": names})
    for each in () if as_json else names:
        terminal.say(f"  {terminal.plain(each)}")


def prepare(
    tier: TierName = "",
    name: Name = "pantheon",
    port_offset: Offset = None,
    without: Without = "",
    as_json: Json = False,
) -> None:
    """Create folders, secrets, images and the tier's .env, so that `docker compose -f …/compose.yaml up` works."""
    import os

    from pantheon import terminal
    from pantheon.deployment import image_sets, opening

    deployment = opened(name)
    if deployment.exists:
        _, chosen = existing(name, tier, "prepare")
    else:
        chosen = opening.to_bring_up(deployment, tier or "persephone")
    written, command = image_sets.prepare(deployment, chosen, port_offset, without)
    if as_json:
        terminal.print_json({"file": str(written), "command": command})
    else:
        terminal.say(terminal.plain(f"{os.path.relpath(written)} is written. Next, run: {command}"))
