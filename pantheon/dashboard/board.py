"""What the dashboard shows, from the services and folders that have it. Nothing is kept here."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pantheon.dashboard.orders import Orders
from pantheon.dashboard.servers import Servers
from pantheon.errors import PantheonError
from pantheon.hub import people
from pantheon.hub.roles import ACTIONS, DEFAULT, EVERY, ROLES, allowed, role_in
from pantheon.hub.session import User
from pantheon.kubeflow.client import Kubeflow
from pantheon.state import published
from pantheon.store import ModelStore
from pantheon.workflow.data.origin import bundled

SIZES_SECONDS = 30.0  # for which the sizes of volumes are not measured again
RECENT = 5  # objects of a kind on the first page
VOLUMES = {  # folder of the deployment → what it has
    "notebooks": "notebooks",
    "runs": "runs of the workflow: data, models and metrics of each stage",
    "models": "models, where they are stored in a folder",
    "data": "datasets",
    "repositories": "versions of data and models: git and DVC",
    "feast": "definitions of features",
    "features": "values of features, where they are stored in a folder",
    "kubeflow": "objects, logs, artifacts and curves",
    "volumes/orders": "orders, and repositories that are being fetched",
}


@dataclass
class Sources:
    """Where everything comes from.

    Attributes:
        kubeflow: returns a client that acts for a user.
        state: the deployment's state folder.
        store: the models.
        orders: what was ordered.
        servers: of people, with JupyterLab.
    """

    kubeflow: Callable[[str], Kubeflow]
    state: Path
    store: ModelStore
    orders: Orders
    servers: Servers
    _sizes: dict[str, int] = field(default_factory=dict)
    _measured: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def profiles(self, user: User) -> list[str]:
        """Return the profiles in which a user has a role, ``default`` first."""
        named = set(user.profiles) - {EVERY}
        if EVERY in user.profiles:
            named |= {profile.name for profile in people.read(self.state).profiles}
        return sorted(named, key=lambda name: (name != DEFAULT, name))

    def kinds(self, user: User, profile: str) -> list[dict[str, Any]]:
        """Return the kinds with their newest objects: ``{"name", "plural", "rows", "count"}``."""
        client, shown = self.kubeflow(user.name), []
        for kind in client.kinds():
            rows = client.table(kind["plural"], namespace=profile)["rows"]
            shown.append({**kind, "rows": list(reversed(rows))[:RECENT], "count": len(rows)})
        return shown

    def changes(self, user: User, profile: str, most: int) -> list[dict[str, Any]]:
        """Return who did what, newest first: ``{"time", "by", "did", "kind", "name"}``: changes of objects, orders, and
        the champions, which belong to the profile ``default``."""
        found = self.kubeflow(user.name).changes(profile, most)
        for placed, _ in self.orders.all(profile)[:most] if user.may("orders.see", profile) else []:
            found.append(
                {"time": placed.at, "by": placed.by, "did": "ordered", "kind": "", "name": placed.order.model_name}
            )
        for model in self.models() if profile == DEFAULT and user.may("models.see") else []:
            if champion := model["champion"]:
                called = f"{model['name']} version {champion.version}"
                found.append({"time": champion.since, "by": champion.by, "did": "promoted", "kind": "", "name": called})
        return sorted(found, key=lambda each: datetime.fromisoformat(each["time"]), reverse=True)[:most]

    def models(self) -> list[dict[str, Any]]:
        """Return the models: ``{"name", "champion", "challenger", "versions"}``; the aliases are None if not set."""
        found: list[dict[str, Any]] = []
        for name in self.store.names():
            try:
                aliases = {alias: self.store.alias(name, alias) for alias in ("champion", "challenger")}
            except PantheonError as error:
                found.append(
                    {"name": name, "problem": str(error), "versions": [], "champion": None, "challenger": None}
                )
                continue
            found.append({"name": name, "problem": "", "versions": self.store.list(name)[::-1], **aliases})
        return found

    def dataset(self) -> str:
        """Return the dataset that the deployment trains on."""
        return published(self.state).dataset

    def datasets(self) -> list[str]:
        """Return the names of the deployment's datasets."""
        return sorted({*bundled(), *(path.stem for path in (self.state / "data").glob("*.toml"))})

    def volumes(self) -> list[tuple[str, str, int]]:
        """Return ``(folder, what it has, bytes)`` of each folder that is there; measured twice a minute at most."""
        with self._lock:
            if time.monotonic() - self._measured > SIZES_SECONDS:
                there = [name for name in VOLUMES if (self.state / name).is_dir()]
                self._sizes = {name: size(self.state / name) for name in there}
                self._measured = time.monotonic()
            return [(name, VOLUMES[name], bytes) for name, bytes in self._sizes.items()]

    def who_may(self, user: User) -> dict[str, Any]:
        """Return who has which role where, as far as ``user`` may see it, and what each role allows."""
        seen, found = self.profiles(user), people.read(self.state)
        rows = []
        for person in (found.find(people.ADMIN), *found.people):
            assert person  # the administrator always exists
            roles = {profile: role for profile in seen if (role := role_in(person.profiles, profile))}
            if roles:
                rows.append({"name": person.name, "roles": roles})
        groups = [
            {"group": group, "profile": profile.name, "role": role}
            for profile in found.profiles
            if profile.name in seen
            for group, role in profile.groups.items()
        ]
        actions = [(action, [allowed(role, action) for role in ROLES]) for action in ACTIONS]
        return {"seen": seen, "people": rows, "groups": groups, "actions": actions}


def size(folder: Path) -> int:
    """Return the bytes that the files below a folder have; links are not followed, and what vanishes is skipped."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - a million files: Path is slow
            except OSError:
                continue
    return total
