"""Log people in, with a password of the deployment or at a company's OIDC provider, and give them their roles.

Roles are read again at every request (``refresh_user``), so a change holds at once, and a removed person is out.
JupyterHub 6 has no authenticator with a password per user; NativeAuthenticator keeps passwords in JupyterHub's own
database, where no command of ours can set one, and offers everybody to sign up.
"""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.roles import get_default_roles
from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from traitlets import Unicode

from pantheon.hub import people
from pantheon.hub.roles import EVERY, hub_scopes

USER_SCOPES = [  # of everybody with a role; starting a server is for `edit`
    *("read:users!user", "read:servers!user", "delete:servers!user", "users:activity!user", "access:servers!user"),
    *("tokens!user", "access:services", "list:services", "read:services:name"),
]


def model(state: Path, name: str, groups: Collection[str] = ()) -> dict[str, Any] | None:
    """Return what JupyterHub stores about a person: profiles as groups, roles as scopes; None without any role.

    Args:
        groups: of the company's provider.
    """
    found = people.read(state)
    roles = found.roles(name, groups)
    if not roles:
        return None
    bound = {group for profile in found.profiles for group in profile.groups}
    admin = roles.get(EVERY) == "admin"
    return {
        "name": name,
        "admin": admin,
        "groups": sorted({*(set(roles) - {EVERY}), *(people.OUTSIDE + group for group in groups if group in bound)}),
        "roles": [
            {"name": "user", "scopes": USER_SCOPES},
            *([each for each in get_default_roles() if each["name"] == "admin"] if admin else []),
            *(
                {
                    "name": f"{'every' if profile == EVERY else f'profile-{profile}'}-{role}",
                    "description": f"{role} in {'every profile' if profile == EVERY else f'the profile {profile}'}",
                    "scopes": hub_scopes(role, profile),
                }
                for profile, role in sorted(roles.items())
            ),
        ],
    }


class Roles(Authenticator):  # type: ignore[misc]
    """What both authenticators do with a person who is known: roles, also at later requests."""

    state = Unicode("", config=True, help="The deployment's state folder")

    async def check_allowed(self, username: str, authentication: Any) -> bool:
        return bool(authentication)  # ``authenticate`` has refused who has no role

    async def refresh_user(self, user: Any, handler: Any = None, **_: Any) -> Any:
        groups = people.outside([group.name for group in user.groups])
        return model(Path(self.state), user.name, groups) or False


class Passwords(Roles):
    """Passwords of ``hub/passwords.json``, and the administrator's, which is a secret of the deployment."""

    admin_password_file = Unicode("", config=True, help="The file with the administrator's password")

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Any:
        name, word = data["username"], data["password"]
        return await asyncio.to_thread(self.known, name, word)

    def known(self, name: str, word: str) -> dict[str, Any] | None:
        stored = people.read_passwords(Path(self.state)).get(name, "")
        if name == people.ADMIN:
            stored = people.hash_of(Path(self.admin_password_file).read_text(encoding="utf-8").strip())
        return model(Path(self.state), name) if people.matches(word, stored) else None


class Provider(Roles, GenericOAuthenticator):  # type: ignore[misc]
    """A company's OIDC provider; ``people/people.json`` says which roles people and groups have."""

    async def authenticate(self, handler: Any, data: Any = None, **given: Any) -> Any:
        try:
            known = await GenericOAuthenticator.authenticate(self, handler, data, **given)
        except HTTPClientError as error:
            self.log.error("The OIDC provider answered with status %s: %s", error.code, error.message)
            raise HTTPError(
                502,
                f"Your company's login answered with status {error.code}. If that stays so, an administrator finds the "
                "reason in JupyterHub's log, and checks OIDC_CLIENT_ID and the client's secret.",
            ) from None
        groups = await self.get_user_groups(known["auth_state"])
        return model(Path(self.state), known["name"], sorted(str(group) for group in groups))
