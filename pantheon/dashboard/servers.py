"""The servers with JupyterLab that people have, as JupyterHub lists them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.hub import people
from pantheon.hub.roles import role_in
from pantheon.web.client import Client

PAGE = 200  # users in one answer, at most: JupyterHub gives no more
CURE = "JupyterHub may be starting. Try again in a few seconds; `bin/pantheon status` shows its state."
SECONDS = 5.0  # a person waits


@dataclass(frozen=True)
class Server:
    """A server that runs, starts or stops.

    Attributes:
        name: empty for a user's default server.
        state: running, starting or stopping.
        memory: bytes, with its kernels, when JupyterHub asked last, four times a minute; 0: not known yet.
        started, active: ISO 8601; when it was started, and used last; empty: not known yet.
        address: where its user opens it.
    """

    user: str
    name: str
    state: str
    memory: int
    started: str
    active: str
    address: str


@dataclass(frozen=True)
class Servers:
    """Asks JupyterHub, as the service ``dashboard``.

    Attributes:
        inside: JupyterHub's address for services.
        outside: the one that people open.
        token: the file with the service's token.
        state: the deployment's state folder.
    """

    inside: str
    outside: str
    token: Path
    state: Path

    def of(self, profile: str) -> list[Server]:
        """Return the servers of those who have a role in a profile, by user.

        Raises:
            PantheonError: JupyterHub does not answer.
        """
        headers = {"Authorization": f"token {self.token.read_text(encoding='utf-8').strip()}"}
        client = Client(self.inside, "JupyterHub", CURE, headers, SECONDS)
        known, found, offset = people.read(self.state), list[Server](), 0
        while True:
            answer = client.send("GET", f"/hub/api/users?state=active&limit={PAGE}&offset={offset}")
            if not answer.ok:
                raise PantheonError(f"JupyterHub answered with status {answer.status}.", CURE, 1)
            users = answer.json()
            for user in users:
                if role_in(known.roles(user["name"], people.outside(user["groups"])), profile):
                    found += [self.server(user["name"], each) for each in user["servers"].values()]
            offset += len(users)
            if len(users) < PAGE:
                return sorted(found, key=lambda server: (server.user, server.name))

    def server(self, user: str, given: dict[str, Any]) -> Server:
        states: dict[str | None, str] = {"spawn": "starting", "stop": "stopping"}
        return Server(
            user=user,
            name=given["name"],
            state=states.get(given["pending"], "running"),
            memory=int((given.get("state") or {}).get("memory", 0)),
            started=given["started"] or "",
            active=given["last_activity"] or "",
            address=self.outside + given["url"],
        )
