"""The images of tiers, and the preparation for ``docker compose`` without Pantheon."""

from pathlib import Path

from pantheon import tiers
from pantheon.deployment import notebooks
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Planned
from pantheon.engines.compose import images
from pantheon.errors import PantheonError
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
    found = [each.strip() for each in names.split(",") if each.strip()]
    for name in found:
        if name not in images.known():
            raise PantheonError(f"there is no image {name!r}.", f"The images are: {', '.join(images.known())}.")
    return [images.image_of(name) for name in found]


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
