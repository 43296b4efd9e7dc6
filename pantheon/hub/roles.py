"""Who may do what: the roles of a profile, what each one allows, and how JupyterHub writes them as scopes.

A profile is a name space of Kubeflow's objects, and a group in JupyterHub. A person has one role in it. What belongs to
no profile, such as models, belongs to ``DEFAULT``. The role in ``EVERY`` holds in all profiles.

JupyterHub gives a service the scopes of a user: ``custom:pantheon:edit!group=team`` is the role ``edit`` in the profile
``team``. So services need no list of users. Standard library only.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Role = Literal["view", "edit", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each one allows what those before it allow
DEFAULT, EVERY = "default", "*"

ACTIONS: dict[str, Role] = {  # the action → the lowest role that allows it; docs/hub.md shows this table
    "runs.see": "view",  # runs, their logs and artifacts
    "objects.see": "view",  # `get`, `describe`, logs
    "models.see": "view",
    "orders.see": "view",
    "tensorboard.see": "view",
    "volumes.see": "view",
    "activity.see": "view",  # who did what
    "people.see": "view",  # who may do what
    "servers.see": "view",  # which servers the profile's members have
    "servers.start": "edit",  # one's own; it reads and writes notebooks, runs and data
    "runs.start": "edit",
    "runs.stop": "edit",
    "objects.apply": "edit",
    "objects.delete": "edit",
    "objects.act": "edit",  # suspend, resume, stop
    "orders.place": "edit",
    "models.promote": "admin",  # also to roll back
    "servers.stop": "admin",  # those of the profile's members; nobody opens another person's server
}

_SCOPE = re.compile(r"custom:pantheon:(view|edit|admin)(?:!group=(.+))?")


def allowed(role: str, action: str) -> bool:
    """Return whether ``role`` allows ``action``. No role, and a name that is not a role, allow nothing.

    Raises:
        KeyError: there is no such action.
    """
    lowest = ACTIONS[action]
    return role in ROLES and ROLES.index(role) >= ROLES.index(lowest)


def highest(roles: Iterable[str]) -> Role | None:
    """Return the role that allows most; None if there is none."""
    found = set(roles)
    return next((role for role in reversed(ROLES) if role in found), None)


def role_in(profiles: Mapping[str, str], profile: str) -> Role | None:
    """Return a person's role in a profile, from ``{profile: role}``; None without one."""
    return highest(profiles[name] for name in (profile, EVERY) if name in profiles)


def scope(role: str, profile: str) -> str:
    """Return JupyterHub's scope for a role in a profile."""
    return f"custom:pantheon:{role}" + ("" if profile == EVERY else f"!group={profile}")


def custom_scopes() -> dict[str, dict[str, object]]:
    """Return the definitions of the scopes, for JupyterHub's ``custom_scopes``; a role includes those below it."""
    described = {
        "view": "See what a profile has: runs, models, experiments, curves",
        "edit": "Change what a profile has, and run servers",
        "admin": "Promote models, and stop the servers of a profile's members",
    }
    return {
        scope(role, EVERY): {"description": described[role]} | ({"subscopes": [scope(below, EVERY)]} if below else {})
        for role, below in zip(ROLES, (None, *ROLES), strict=False)
    }


def hub_scopes(role: str, profile: str) -> list[str]:
    """Return every scope of JupyterHub that a role in a profile has: our own, and those of its interface."""
    scopes = [scope(role, profile)]
    if allowed(role, "servers.start"):
        scopes.append("servers!user")  # one's own
    if allowed(role, "servers.stop"):
        members = "" if profile == EVERY else f"!group={profile}"
        own = ("list:users", "read:users", "read:servers", "delete:servers")
        scopes += ["admin-ui", *(each + members for each in own)]
    return scopes


def profiles_of(scopes: Iterable[str]) -> dict[str, Role]:
    """Return ``{profile: role}`` of a user whose token has ``scopes``; scopes that are not ours are skipped."""
    found: dict[str, set[str]] = {}
    for each in scopes:
        if match := _SCOPE.fullmatch(each):
            found.setdefault(match[2] or EVERY, set()).add(match[1])
    return {profile: role for profile, roles in found.items() if (role := highest(roles))}
