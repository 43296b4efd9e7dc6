"""The images of tiers, for this machine, an archive or a cluster; and the preparation for plain ``docker compose``."""

import os
from pathlib import Path

import yaml

from pantheon import tiers
from pantheon.deployment import notebooks, opening
from pantheon.deployment.deployment import Deployment, home
from pantheon.engines import Planned
from pantheon.engines.compose import client, images
from pantheon.engines.helm import images as of_cluster
from pantheon.errors import PantheonError
from pantheon.files import write_text
from pantheon.tiers import Tier

BUILDS = "compose"  # the engine that these commands build images for


def planned_of(tier: str) -> list[Planned]:
    """Return the services of ``tier`` that run in images; if it is empty, those of every implemented tier."""
    chosen = [tiers.find_built(tier)] if tier else [each for each in tiers.all_tiers() if each.built]
    return [each for one in chosen for each in Deployment("images").engine(one, BUILDS).planned() if each.image]


def ours(tier: str) -> list[str]:
    """Return the environments whose images the tier needs."""
    return list(dict.fromkeys(each.environment for each in planned_of(tier) if each.environment != each.image))


def all_of(tier: str) -> list[str]:
    """Return every image that the tier needs, including third-party images."""
    return list(dict.fromkeys(each.image for each in planned_of(tier)))


def named(names: str) -> list[str]:
    """Return more images that no tier needs by default, by their names with commas between them.

    Raises:
        PantheonError: there is no such image.
    """
    return [images.image_of(name) for name in short_names(names)]


def short_names(names: str) -> list[str]:
    """Return the names of images that are given with commas between them.

    Raises:
        PantheonError: there is no such image.
    """
    found = [each.strip() for each in names.split(",") if each.strip()]
    for name in found:
        if name not in images.known():
            raise PantheonError(f"there is no image {name!r}.", f"The images are: {', '.join(images.known())}.")
    return found


def push(names: list[str], registry: str, in_cluster: str) -> tuple[list[str], Path]:
    """Push Pantheon's images to a registry, and write the chart's values for them.

    Args:
        names: short names, such as ``serving``.
        in_cluster: as nodes call the registry; empty: the same.

    Returns:
        The images' names in the registry, and the values file.
    """
    place = of_cluster.Registry(registry, in_cluster or registry)
    pushed = of_cluster.push(names, place)
    values = of_cluster.values(of_cluster.names([images.image_of(name) for name in names], place.prefix_in_cluster))
    file = home() / "images.yaml"
    write_text(file, yaml.safe_dump({"images": values}))
    return pushed, file


def bring(tier: str, name: str, engine: str) -> list[str]:
    """Make the images of ``tier`` available to the nodes of a cluster, if ``engine`` is one that uses a cluster.

    Args:
        tier: empty: that of the deployment ``name``.

    Returns:
        The images, as the compose files name them; none if the engine does not use a cluster.
    """
    deployment = Deployment(name)
    if engine in ("", BUILDS) or deployment.engine(tiers.all_tiers()[0], engine).on_host:
        return []
    opened = deployment.engine(opening.to_bring_up(deployment, tier), engine, loud=True)
    opened.prepare([each.environment for each in opened.planned()])
    return list(dict.fromkeys(each.image for each in opened.planned() if each.image))


def save(names: list[str], file: Path) -> None:
    """Write images into an archive, Pantheon's also under the names that they have in a cluster."""
    more = {image: pod for image, pod in of_cluster.names(names, of_cluster.LOCAL).items() if image != pod}
    with of_cluster.tagged(client.Api(client.find(os.environ).host), more):
        images.save([*names, *more.values()], file)


def load(file: Path, name: str, engine: str) -> list[str]:
    """Load the images of an archive into this machine's Docker engine, or with another engine where that needs them.

    Returns:
        Their names.
    """
    if engine and engine != BUILDS:
        first = next(each for each in tiers.all_tiers() if each.built)
        return Deployment(name).engine(first, engine).load_images(file)
    loaded = images.load(file)
    api = client.Api(client.find(os.environ).host)
    for each in loaded:
        if each.startswith(of_cluster.LOCAL):
            api.ask(f"/images/{each}?noprune=1", "DELETE")
    return [each for each in loaded if not each.startswith(of_cluster.LOCAL)]


def prepare(deployment: Deployment, tier: Tier, port_offset: int | None, without: str) -> tuple[Path, str]:
    """Create folders, secrets, images and the tier's ``.env``.

    Returns:
        The path of ``.env``, and the ``docker compose`` command that starts the tier.

    Raises:
        PantheonError: the deployment runs on another engine.
    """
    engine = deployment.settings.engine or BUILDS
    if not deployment.engine(tier, engine).by_hand:
        raise PantheonError(
            f"deployment {deployment.name!r} runs on the engine {engine}.",
            f"Move it first: `{deployment.command('up', tier=tier.name, engine=BUILDS)}`",
        )
    deployment.leave_out(tier, without)
    route = deployment.route(tier)
    deployment.update(tier=tier.name, engine=engine, port_offset=port_offset, route=route)
    env_file, opened = tier.folder / ".env", deployment.engine(tier, engine, loud=True)
    command = opened.prepare_by_hand(env_file)
    notebooks.bring(deployment, opened, route)
    return env_file, command
