"""The page's login: what is open to everyone, who is logged in, and which sessions and links have ended.

Open to everyone on this machine: the form, its prediction and whether that was right, and the API that programs use.
Everything else needs a login, also routes that are added later: approve, hold and rollback, and all that describes the
training data, the runs, the services and the log.

A person logs in with the deployment's password, or with a link that the command line signs with it and that works once.
Both give a cookie with a signed token: it is valid after a restart, until it expires or the person logs out. Commands
send a token of their own.
"""

import hmac
import math
import os
import threading
import time
from pathlib import Path

from pantheon.web import tokens

OPEN = {"/", "/press", "/judge", "/login", "/parts/status", "/predict", "/signature", "/healthz", "/openapi.json"}
OPEN_FOLDER = "/static/"
SESSION_SECONDS = 24 * 3600
ATTEMPTS = 5  # wrong passwords in a row, of all clients together: all come from this machine
ATTEMPT_SECONDS = 6.0  # after which one more is allowed


class TooMany(Exception):
    """Too many wrong passwords; ``seconds`` until the next attempt."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Access:
    """Decides who may see and change what.

    Args:
        password: the file with the deployment's password; read at every check, so that a new one counts immediately and
            ends all sessions. Without it nobody can log in.
        ended: a folder for the ids of sessions that were logged out and of links that were used.
        port: the page's port, for the cookie's name: browsers send cookies of one port to all others.
    """

    def __init__(self, password: Path, ended: Path, port: int) -> None:
        self.password, self.ended, self.cookie = password, Ended(ended), f"pantheon-{port}"
        self.attempts = Attempts()

    @property
    def secret(self) -> str:
        """The password; empty if there is none."""
        try:
            return self.password.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return ""

    def is_open(self, path: str) -> bool:
        return path in OPEN or path.startswith(OPEN_FOLDER)

    def logged_in(self, cookies: str, authorization: str = "") -> bool:
        """Return whether a request's ``Cookie`` or ``Authorization`` header has a valid token."""
        return self.by_command(authorization) or self.session(cookies) is not None

    def allowed(self, method: str, cookies: str, authorization: str, origin: str) -> bool:
        """Return whether a request for a route that is not open is answered.

        A change with a cookie needs an ``Origin``, which every browser sends and ``Guard`` compares: pages on other
        ports of this machine are of the same site, so their requests have the cookie.
        """
        if self.by_command(authorization):
            return True
        return self.session(cookies) is not None and (method in ("GET", "HEAD") or bool(origin))

    def by_command(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and tokens.check(self.secret, "command", token.strip()) is not None

    def session(self, cookies: str) -> tokens.Token | None:
        """Return the valid session in a ``Cookie`` header; other cookies, also malformed ones, are ignored."""
        secret = self.secret
        for each in cookies.split(";"):
            name, _, value = each.strip().partition("=")
            token = tokens.check(secret, "session", value) if name == self.cookie else None
            if token and not self.ended.has(token.id):
                return token
        return None

    def with_password(self, typed: str) -> str:
        """Return the ``Set-Cookie`` header of a new session; empty if the password is wrong.

        Raises:
            TooMany: the password was not compared.
        """
        secret = self.secret
        self.attempts.take()
        if not secret or not hmac.compare_digest(typed.strip().encode(errors="replace"), secret.encode()):
            return ""
        self.attempts.give_back()
        return self.new_session(secret)

    def with_link(self, token: str) -> str:
        """Return the ``Set-Cookie`` header of a new session; empty if the link expired, was used, or is invalid."""
        secret = self.secret
        link = tokens.check(secret, "link", token)
        return self.new_session(secret) if link and self.ended.add(link) else ""

    def new_session(self, secret: str) -> str:
        return self.set_cookie(tokens.sign(secret, "session", SESSION_SECONDS), SESSION_SECONDS)

    def log_out(self, cookies: str) -> str:
        """End the sessions in a ``Cookie`` header; return the ``Set-Cookie`` header that deletes the cookie."""
        while token := self.session(cookies):
            self.ended.add(token)
        return self.set_cookie("", 0)

    def set_cookie(self, value: str, seconds: int) -> str:
        return f"{self.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"


class Ended:
    """Ids of tokens that are no longer valid although they have not expired.

    Empty files, so that two processes can use one folder. Also kept in memory, for when the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    def has(self, number: str) -> bool:
        return number in self._ids or (self.folder / number).exists()

    def add(self, token: tokens.Token) -> bool:
        """End a token; return False if it has already ended."""
        with self._lock:
            if self.has(token.id):
                return False
            self._ids.add(token.id)
            path = self.folder / token.id
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.tidy()
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
                os.utime(path, (token.expires, token.expires))
            except FileExistsError:
                return False
            except OSError:
                return True
            return True

    def tidy(self) -> None:
        """Delete the files of tokens that have expired: that is when they were last modified."""
        now = time.time()
        for path in self.folder.iterdir():
            if path.lstat().st_mtime + 60 < now:
                path.unlink()
                self._ids.discard(path.name)


class Attempts:
    """Limits how many passwords are tried: ``ATTEMPTS`` at once, then one every ``ATTEMPT_SECONDS``."""

    def __init__(self) -> None:
        self._left, self._at = float(ATTEMPTS), time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count an attempt.

        Raises:
            TooMany: it is not allowed yet.
        """
        with self._lock:
            now = time.monotonic()
            self._left = min(ATTEMPTS, self._left + (now - self._at) / ATTEMPT_SECONDS)
            self._at = now
            if self._left < 1:
                raise TooMany(math.ceil((1 - self._left) * ATTEMPT_SECONDS))
            self._left -= 1

    def give_back(self) -> None:
        """Do not count the last attempt: the password was right."""
        with self._lock:
            self._left = min(ATTEMPTS, self._left + 1)
