"""Find the deployment and tier for a command, and check that it may act on them."""

from pantheon.deployment.commands import DEFAULT, command
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.tiers import Tier, all_tiers, find_built


def to_bring_up(deployment: Deployment, tier: str) -> Tier:
    """Return the tier named ``tier``, or the deployment's tier if it is empty.

    Raises:
        PantheonError: there is neither; or the tier is unknown or not built yet.
    """
    if tier or deployment.settings.tier:
        return find_built(tier or deployment.settings.tier)
    built = ", ".join(f"`{command(deployment.name, each.name, 'up')}`" for each in all_tiers() if each.built)
    raise PantheonError(f"deployment {deployment.name!r} has no tier yet.", f"Choose one: {built}.")


def existing(name: str, tier: str, verb: str) -> tuple[Deployment, Tier]:
    """Return the deployment ``name`` and its tier, for a verb other than ``up``.

    Args:
        tier: the tier on the command line, which must be the deployment's tier; empty for any.
        verb: the verb, for messages: ``models list``.

    Raises:
        PantheonError: the tier is unknown or not implemented, the deployment does not exist or is at another tier.
    """
    deployment = Deployment(name or DEFAULT)
    requested = find_built(tier) if tier else None
    if not deployment.exists:
        up = command(deployment.name, tier or "persephone", "up")
        raise PantheonError(f"deployment {deployment.name!r} does not exist.", f"Create it: `{up}`")
    now = deployment.settings.tier
    if requested and now and requested.name != now:
        raise PantheonError(
            f"deployment {deployment.name!r} is at the tier {now}, not at {requested.name}.",
            f"Use `{command(deployment.name, now, verb)}`, "
            f"or change its tier first: `{command(deployment.name, requested.name, 'up')}`",
        )
    return deployment, to_bring_up(deployment, "")


def for_doctor(name: str, tier: str) -> tuple[Deployment, Tier]:
    """Like ``existing``, but also accept a deployment that does not exist yet."""
    deployment = Deployment(name or DEFAULT)
    if deployment.exists:
        return existing(name, tier, "doctor")
    return deployment, to_bring_up(deployment, tier or "persephone")
