"""Change who may use a deployment, and end what a removed person has in JupyterHub."""

import urllib.parse

from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.hub import people
from pantheon.tiers import Tier
from pantheon.web.client import Client

SERVICE, TOKEN = "hub", "hub_commands_token"
GONE = 404


def needed(deployment: Deployment, tier: Tier) -> None:
    """Check that the tier has users.

    Raises:
        PantheonError: it has no JupyterHub.
    """
    if not any(component.name == SERVICE for component in deployment.components(tier)):
        raise PantheonError(
            f"the tier {tier.name} has no users: JupyterHub, which kraken adds, has them.",
            "Grow to it: `make tier-kraken up`",
        )


def remove(deployment: Deployment, engine: Engine, name: str) -> str:
    """Remove a person: they can do nothing from then on, and their servers stop.

    Returns:
        Why their servers may still run; empty if they do not.

    Raises:
        PantheonError: there is no such person.
    """
    people.remove(deployment.state, name)
    try:
        token = (deployment.state / "secrets" / TOKEN).read_text(encoding="utf-8").strip()
        client = Client(engine.address("hub-proxy"), "JupyterHub", headers={"Authorization": f"token {token}"})
        answer = client.send("DELETE", f"/hub/api/users/{urllib.parse.quote(name, safe='')}")
    except (PantheonError, OSError) as error:
        return f"JupyterHub does not answer ({error}): it stops a server of {name} when nobody uses it."
    if answer.ok or answer.status == GONE:
        return ""
    why = answer.reason("message")
    return f"JupyterHub did not stop the servers of {name}: {why}. It stops them when nobody uses them."
