"""What JupyterHub's service reads from its environment.

``STATE_DIR``; ``SECRETS_DIR``; ``HUB_DIR`` the folder of its database; ``HUB_BIND`` the address to bind, with
``HUB_API_PORT``; ``HUB_INSIDE`` its host name for other services; ``JUPYTER_PORT`` the proxy's port, which people open;
``HUB_PROXY_URL`` the proxy's API; ``HUB_SERVERS_URL`` what starts servers, and ``HUB_SERVERS_INSIDE`` the host name of
servers; ``HUB_SERVICES`` the services that ask it for logins, as ``NAME=PORT`` with commas between them; ``HUB_IDLE``
after which a server stops, such as ``4h``, and ``HUB_SERVERS_PER_USER``; ``OIDC_…``: a company's own login.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pantheon import durations
from pantheon.errors import PantheonError

SECRET_FILE = Path("oidc") / "client_secret"  # in the deployment's secrets


@dataclass(frozen=True)
class Oidc:
    """A company's OIDC provider; see docs/hub.md."""

    issuer: str
    client_id: str
    client_secret: str
    username_claim: str
    groups_claim: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """The settings; see above. ``idle_seconds`` 0: servers are not stopped."""

    state: Path
    secrets: Path
    folder: Path
    bind: str
    api_port: int
    inside: str
    port: int
    proxy_url: str
    servers_url: str
    servers_inside: str
    services: dict[str, int]
    idle_seconds: float
    per_user: int
    oidc: Oidc | None

    def secret(self, name: str) -> str:
        """Return the content of ``secrets/NAME``.

        Raises:
            PantheonError: it cannot be read, or it is empty.
        """
        file = self.secrets / name
        try:
            if text := file.read_text(encoding="utf-8").strip():
                return text
            problem = "it is empty"
        except OSError as error:
            problem = error.strerror or str(error)
        raise PantheonError(f"the secret {file} cannot be used: {problem}.", "`up` makes the secrets.")


def settings() -> Settings:
    """Read the settings.

    Raises:
        PantheonError: one is not valid.
    """
    given = os.environ
    idle = given.get("HUB_IDLE", "").strip() or "4h"
    secrets = Path(given["SECRETS_DIR"])
    services = (each.partition("=") for each in given.get("HUB_SERVICES", "").split(",") if each)
    return Settings(
        state=Path(given["STATE_DIR"]),
        secrets=secrets,
        folder=Path(given["HUB_DIR"]),
        bind=given.get("HUB_BIND") or "127.0.0.1",
        api_port=int(given["HUB_API_PORT"]),
        inside=given.get("HUB_INSIDE") or "127.0.0.1",
        port=int(given["JUPYTER_PORT"]),
        proxy_url=given["HUB_PROXY_URL"],
        servers_url=given["HUB_SERVERS_URL"],
        servers_inside=given.get("HUB_SERVERS_INSIDE") or "127.0.0.1",
        services={name: int(port) for name, _, port in services},
        idle_seconds=0.0 if idle == "off" else durations.seconds(idle),
        per_user=int(given.get("HUB_SERVERS_PER_USER") or 3),
        oidc=oidc(secrets),
    )


def oidc(secrets: Path) -> Oidc | None:
    """Return the company's provider; None without ``OIDC_ISSUER``.

    Raises:
        PantheonError: the client's id or secret is missing.
    """
    given = os.environ
    issuer = given.get("OIDC_ISSUER", "").strip().rstrip("/")
    if not issuer:
        return None
    file = secrets / SECRET_FILE
    secret = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    client = given.get("OIDC_CLIENT_ID", "").strip()
    if not client or not secret:
        raise PantheonError(
            f"OIDC_ISSUER={issuer} needs the client's id in OIDC_CLIENT_ID, and its secret in the file {file}.",
            "The provider gives both when you register a client; see docs/hub.md.",
        )
    return Oidc(
        issuer,
        client,
        secret,
        given.get("OIDC_USERNAME_CLAIM", "").strip() or "preferred_username",
        given.get("OIDC_GROUPS_CLAIM", "").strip() or "groups",
        tuple((given.get("OIDC_SCOPES") or "openid profile email").split()),
    )
