"""JupyterHub's configuration, as its classes take it: from ``pantheon.hub.settings``."""

import hashlib
from typing import Any

from pantheon.hub import authenticator, roles
from pantheon.hub.oidc import discovered
from pantheon.hub.settings import Oidc, Settings

COOKIE_DAYS = 1.0  # of a login; it ends before at a logout
TOKEN_SECONDS = 12 * 60 * 60  # of a login at another service
COMMANDS, CULLER = "commands", "idle-culler"
DASHBOARD = "dashboard"  # it lists servers; their state says what memory they take


def configure(c: Any, given: Settings) -> None:
    """Set everything in JupyterHub's configuration ``c``."""
    hub = c.JupyterHub
    hub.bind_url = f"http://127.0.0.1:{given.port}"
    hub.hub_bind_url = f"http://{given.bind}:{given.api_port}"
    hub.hub_connect_url = f"http://{given.inside}:{given.api_port}"
    hub.public_url = f"http://127.0.0.1:{given.port}/"
    hub.db_url = f"sqlite:///{given.folder}/jupyterhub.sqlite"
    hub.cookie_secret = hashlib.sha256(given.secret("hub_cookie_secret").encode()).digest()
    hub.cookie_max_age_days = COOKIE_DAYS
    hub.tornado_settings = {"cookie_options": {"samesite": "Lax"}}
    hub.log_format = "%(levelname)s %(message)s"
    hub.redirect_to_server = False  # a login starts no server
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = max(given.per_user - 1, 0)  # besides the default server
    hub.cleanup_servers = False  # servers outlive a restart
    hub.cleanup_proxy = False
    hub.oauth_require_pkce = True
    hub.oauth_token_expires_in = TOKEN_SECONDS
    hub.authenticate_prometheus = True
    hub.last_activity_interval = 3  # seconds; also when a proxy that was restarted gets its routes

    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = given.proxy_url
    c.ConfigurableHTTPProxy.auth_token = given.secret("hub_proxy_token")

    hub.spawner_class = "pantheon.hub.spawner.KeptServers"
    spawner = c.KeptServers
    spawner.address, spawner.host = given.servers_url, given.servers_inside
    spawner.key_file = str(given.secrets / "hub_servers_key")
    spawner.default_url = "/lab/tree/start_here.ipynb"
    spawner.start_timeout, spawner.http_timeout = 120, 120  # a loaded machine
    spawner.poll_interval = 15

    hub.custom_scopes = roles.custom_scopes()
    hub.load_roles = [
        {"name": "user", "scopes": authenticator.USER_SCOPES},
        {
            "name": CULLER,
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
            "services": [CULLER],
        },
        {"name": COMMANDS, "scopes": ["admin:users", "admin:servers", "list:groups"], "services": [COMMANDS]},
        *(
            {
                "name": name,
                "scopes": ["list:users", "read:users:groups", "read:servers", "admin:server_state"],
                "services": [name],
            }
            for name in given.services
            if name == DASHBOARD
        ),
    ]
    hub.services = [
        {"name": CULLER, "api_token": given.secret("hub_culler_token")},
        {"name": COMMANDS, "api_token": given.secret("hub_commands_token")},
        *(service(given, name, port) for name, port in given.services.items()),
    ]
    c.Authenticator.manage_groups = c.Authenticator.manage_roles = True
    c.Authenticator.auth_refresh_age = 1  # seconds; it reads one small file
    c.Authenticator.auth_refresh_strict = True  # who has no role any more can do nothing, also with a token
    c.Authenticator.allow_all = True  # the authenticators refuse who has no role
    c.Roles.state = str(given.state)
    if given.oidc:
        provider(c, given, given.oidc)
    else:
        hub.authenticator_class = "pantheon.hub.authenticator.Passwords"
        c.Passwords.admin_password_file = str(given.secrets / "hub_password")


def service(given: Settings, name: str, port: int) -> dict[str, Any]:
    """Return a service of the deployment that asks JupyterHub who a user is (``pantheon.hub.oauth``)."""
    return {
        "name": name,
        "api_token": given.secret(f"{name}_token"),
        "oauth_client_id": f"service-{name}",
        "oauth_redirect_uri": f"http://127.0.0.1:{port}/oauth_callback",
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": [roles.scope("admin", roles.EVERY)],  # includes the other roles
        "display": False,
    }


def provider(c: Any, given: Settings, oidc: Oidc) -> None:
    """Log people in at a company's provider."""
    found = discovered(oidc.issuer)
    c.JupyterHub.authenticator_class = "pantheon.hub.authenticator.Provider"
    c.Provider.login_service = "your company's account"
    c.Provider.client_id, c.Provider.client_secret = oidc.client_id, oidc.client_secret
    c.Provider.authorize_url, c.Provider.token_url = found.authorization, found.token
    c.Provider.userdata_url, c.Provider.basic_auth = found.userinfo, found.basic
    c.Provider.oauth_callback_url = f"http://127.0.0.1:{given.port}/hub/oauth_callback"
    c.Provider.username_claim, c.Provider.scope = oidc.username_claim, list(oidc.scopes)
    c.Provider.auth_state_groups_key = f"oauth_user.{oidc.groups_claim}"
    c.Provider.refresh_pre_spawn = False
