"""Log in to services of a deployment with its secrets: links for people, headers for commands."""

from pathlib import Path

from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.tiers import find
from pantheon.web import tokens


def link(address: str, path: str, secret: Path) -> str:
    """Return an address that logs in once, within ``tokens.LINK_SECONDS``; empty if there is no secret or no ``path``.

    Args:
        address: the service's.
        path: ``Login.link``.
        secret: the file with the service's secret.
    """
    word = read(secret) if path and address else ""
    return f"{address}{path}{tokens.sign(word, 'link', tokens.LINK_SECONDS)}" if word else ""


def headers(deployment: Deployment, service: str = "button") -> dict[str, str]:
    """Return the headers with which a command may see what the service shows after a login; empty without a secret."""
    try:
        components = deployment.components(find(deployment.settings.tier))
    except PantheonError:
        return {}
    secrets = deployment.state / "secrets"
    for component in components:
        if (
            (login := component.login)
            and login.service == service
            and login.secret
            and (word := read(secrets / login.secret))
        ):
            return {"Authorization": f"Bearer {tokens.sign(word, 'command', tokens.COMMAND_SECONDS)}"}
    return {}


def read(secret: Path) -> str:
    """Return the content of a file with a secret; empty if it cannot be read."""
    try:
        return secret.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
