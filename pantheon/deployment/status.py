"""The current state of a deployment, as ``status`` shows it and ``--json`` prints it."""

from typing import Any

from pantheon.deployment import disks, inside, storage
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier
from pantheon.typed import Damaged

RETRY_SECONDS = 6.0  # within which the button tries again to load a champion


def status(deployment: Deployment, tier: Tier, engine: Engine, patience: float = 0.0) -> dict[str, Any]:
    """Return the deployment, its services and its model, for people and for ``--json``.

    Args:
        patience: seconds that the button may take to serve the champion.
    """
    services = [
        {
            "name": s.name,
            "state": s.state,
            "why": s.why,
            "address": s.address,
            "memory_mb": round(s.memory / 1e6) if s.memory else None,
            "uptime_seconds": s.uptime,
            "restarts": s.restarts,
            "pid": s.pid or None,
        }
        for s in engine.status()
    ]
    logins = {
        each.login.service: {
            "title": each.login.title,
            "who": each.login.who,
            "file": str(deployment.state / "secrets" / each.login.secret) if each.login.secret else "",
            "link": each.login.link,
        }
        for each in deployment.components(tier)
        # a service that another one of the tier stands in front of has no address for people
        if each.login and any(s["name"] == each.login.service and "://" in str(s["address"]) for s in services)
    }
    where = ""
    try:
        where = storage.describe(storage.current(deployment))
        champion = inside.champion(deployment, engine, deployment.settings.dataset)
        waiting, trouble = inside.waiting(deployment, engine), ""
    except PantheonError as error:  # S3 does not answer: show everything else
        champion, waiting = None, []
        trouble = f"{error}" if isinstance(error, Damaged) else error.cause
    return {
        "name": deployment.name,
        "tier": tier.name,
        "engine": engine.name,
        "page": deployment.address(engine, "button"),
        "dataset": deployment.settings.dataset,
        "schedule": deployment.settings.schedule,
        "model": champion,
        "refused": refused(deployment, engine, patience),
        "waiting": waiting,
        "models": {"where": where, "trouble": trouble},
        "state": str(deployment.state),
        "services": services,
        "warnings": [*engine.warnings(), *disks.warnings(deployment.state), *inside.routing_problems(engine)],
        "logins": logins,
    }


def refused(deployment: Deployment, engine: Engine, patience: float) -> dict[str, Any] | None:
    """Return why the champion cannot be served, with ``cause`` and ``cure``; None if it is served, or there is none."""
    found = inside.refusal(engine, patience)
    if not found:
        return None
    version, served = found["version"], found["served"]
    what = f"version {version}" if version else "the champion"
    if served == version:
        how, then = "is served, but cannot be loaded again", "It is served until the button restarts."
    else:
        how = "cannot be served"
        then = f"Version {served} is served instead." if served else "Predictions get status 503."
    cause = f"{what} {how}: {found['why'].rstrip('.')}. {then}"
    return found | {"cause": cause, "cure": cure(deployment, engine, version)}


def cure(deployment: Deployment, engine: Engine, version: str) -> str:
    """Return a command that gives the button a model to serve."""
    try:
        previous = inside.aliases(deployment, engine, deployment.settings.dataset)["champion"]["previous"]
    except (PantheonError, KeyError):
        previous = None
    if version and previous and str(previous) != version:
        return f"Serve version {previous} again: `models rollback`"
    return "Train a new version: `run`" if version else "See its log: `logs --service button`"
