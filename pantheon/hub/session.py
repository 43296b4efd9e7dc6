"""The logins of one service: who a browser's session belongs to, asked of JupyterHub, and remembered for a moment."""

import threading
import time
import urllib.parse
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from pantheon.errors import PantheonError
from pantheon.hub.roles import DEFAULT, Role, allowed, profiles_of, role_in
from pantheon.web.client import Client

FRESH_SECONDS = 5.0  # for which a user's roles are not asked again: a revoked one works that long
SESSIONS = 2000  # more end the oldest
CURE = "JupyterHub may be starting. Try again in a few seconds; `bin/pantheon status` shows its state."


@dataclass(frozen=True)
class User:
    """Who sends a request.

    Attributes:
        profiles: the role in each profile; ``*`` is every profile.
    """

    name: str
    profiles: dict[str, Role]

    def may(self, action: str, profile: str = DEFAULT) -> bool:
        """Return whether the user may do ``action`` (``roles.ACTIONS``) in a profile."""
        return allowed(role_in(self.profiles, profile) or "", action)


class Refused(PantheonError):
    """JupyterHub refuses a login; ``status`` of the answer: 400 for a code that is not valid, 403."""


@dataclass(frozen=True)
class Hub:
    """JupyterHub, as a service asks it.

    Attributes:
        inside: its API for other services, such as ``http://hub:8889``.
        outside: where people open it, such as ``http://127.0.0.1:8888``.
        name: the service's; JupyterHub knows it as ``service-NAME``.
        callback: the address to which JupyterHub sends people back.
    """

    inside: str
    outside: str
    name: str
    callback: str

    def login(self, state: str, challenge: str) -> str:
        """Return the address at which people log in."""
        query = {
            "client_id": f"service-{self.name}",
            "redirect_uri": self.callback,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.outside}/hub/api/oauth2/authorize?{urllib.parse.urlencode(query)}"

    def token(self, code: str, verifier: str, secret: str) -> str:
        """Exchange the code of a login for a token.

        Raises:
            Refused: the code is not valid.
            PantheonError: JupyterHub does not answer.
        """
        form = {
            "client_id": f"service-{self.name}",
            "client_secret": secret,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.client().send("POST", "/hub/api/oauth2/token", urllib.parse.urlencode(form).encode(), headers)
        if answer.status >= 500:
            raise PantheonError(f"JupyterHub answered with status {answer.status}.", CURE, 1)
        if not answer.ok:
            raise Refused("JupyterHub does not accept this login.", "Begin again.", 400)
        return str(answer.json()["access_token"])

    def user(self, token: str) -> User | None:
        """Return whose token it is; None if it is not valid (any more).

        Raises:
            PantheonError: JupyterHub does not answer.
        """
        answer = self.client().send("GET", "/hub/api/user", headers={"Authorization": f"token {token}"})
        if answer.status >= 500:
            raise PantheonError(f"JupyterHub answered with status {answer.status}.", CURE, 1)
        model: dict[str, Any] = answer.json() if answer.ok else {}
        if model.get("kind") != "user":
            return None
        return User(str(model["name"]), profiles_of(model["scopes"]))

    def client(self) -> Client:
        return Client(self.inside, "JupyterHub", CURE, timeout=10.0)


@dataclass
class Session:
    """A login; ``until``: seconds since the epoch."""

    token: str
    until: float
    user: User | None = None
    asked: float = field(default=float("-inf"))


class Sessions:
    """Sessions by id. Thread-safe. They end with the process: a browser then gets a new one without a password."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, id: str, token: str, until: float) -> None:
        with self._lock:
            self._sessions[id] = Session(token, until)
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)

    def end(self, id: str) -> None:
        with self._lock:
            self._sessions.pop(id, None)

    def user(self, id: str) -> User | None:
        """Return who a session belongs to; None if it has ended.

        Raises:
            PantheonError: JupyterHub does not answer, and the answer before is too old.
        """
        with self._lock:
            session = self._sessions.get(id)
        if session is None or session.until < time.time():
            self.end(id)
            return None
        now = time.monotonic()
        if session.user is None or now - session.asked > FRESH_SECONDS:
            session.user, session.asked = self.hub.user(session.token), now
            if session.user is None:
                self.end(id)
        return session.user
