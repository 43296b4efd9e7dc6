"""The login in front of a service: people log in at JupyterHub (OAuth 2 with PKCE), and come back with a session.

WSGI middleware, so that nothing of the service is reached without it. The application finds who asks in the environ
(``USER``), with their roles. A program sends a token of JupyterHub's token page, as ``Authorization: Bearer TOKEN``.
"""

import base64
import hashlib
import hmac
import html
import json
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.hub.session import Hub, Refused, Sessions, User
from pantheon.web import tokens
from pantheon.web.wsgi import REFUSED

USER = "pantheon.user"  # the environ's key of the User
CALLBACK, LOGOUT = "/oauth_callback", "/logout"
SESSION_SECONDS = 12 * 60 * 60
STATE_SECONDS = 10 * 60  # to log in
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]
Headers = list[tuple[str, str]]


class Answered(Exception):
    """What is answered instead of the application."""

    def __init__(self, status: int, message: str = "", cure: str = "", headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.cure, self.headers = status, message, cure, headers or []


class Login:
    """Passes on requests of people who are logged in.

    Args:
        port: of the address that people open; JupyterHub sends them back to it.
        secret: the file with the service's token in JupyterHub, which also signs its cookies.
        title: the service's name in messages.
    """

    def __init__(self, app: Application, hub: Hub, port: int, secret: Path, title: str) -> None:
        self.app, self.hub, self.port, self.title = app, hub, port, title
        self.secret = secret.read_text(encoding="utf-8").strip()
        if not self.secret:
            raise PantheonError(f"the secret {secret} is empty.", "`up` makes the secrets.")
        self.sessions = Sessions(hub)
        self.cookie = f"pantheon-{hub.name}-{port}"  # browsers send cookies of one port to all others
        self.origin = f"http://127.0.0.1:{port}"

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        try:
            self.check_origin(environ)
            if body := environ.get(REFUSED):
                raise Answered(body.status, body.message)
            path = environ["PATH_INFO"]
            if path == CALLBACK:
                raise self.returned(environ)
            if path == LOGOUT:
                raise self.logged_out(environ)
            environ[USER] = self.user(environ)
        except Answered as answer:
            return self.answer(environ, start_response, answer)
        except PantheonError as error:
            status = error.status if isinstance(error, Refused) else 503
            return self.answer(environ, start_response, Answered(status, error.cause, error.cure))
        return self.app(environ, start_response)

    def check_origin(self, environ: Environ) -> None:
        """Refuse requests by another name (DNS rebinding), and changes by pages of other sites and other ports."""
        host = environ.get("HTTP_HOST", "").lower()
        if host not in {f"{name}:{self.port}" for name in LOOPBACK}:
            raise Answered(403, f"{self.title} answers only at {self.origin}.")
        if host != f"127.0.0.1:{self.port}" and environ["REQUEST_METHOD"] in SAFE and not bearer(environ):
            raise Answered(302, headers=[("Location", self.origin + address(environ))])
        if environ["REQUEST_METHOD"] in SAFE or bearer(environ):
            return
        origin, site = environ.get("HTTP_ORIGIN", "").lower(), environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
        if origin != self.origin or site != "same-origin":
            raise Answered(403, "This request comes from a page of another site.", "Send it from a page of this one.")

    def user(self, environ: Environ) -> User:
        """Return who asks; otherwise raise ``Answered``: to log in, or an error for what is not a page."""
        if token := bearer(environ):
            if found := self.hub.user(token):
                return found
            raise Answered(401, "JupyterHub does not know this token.", f"Make one at {self.hub.outside}/hub/token")
        session = tokens.check(self.secret, "session", cookies(environ).get(self.cookie, ""))
        if session and (found := self.sessions.user(session.id)):
            return found
        if not is_page(environ):
            raise Answered(401, "This request needs a login.", f"Open {self.origin} in a browser and log in.")
        state = tokens.sign(self.secret, "state", STATE_SECONDS)
        kept = base64.urlsafe_b64encode(address(environ).encode()).decode()
        cookie = self.set_cookie(self.state_cookie(state), f"{state}.{kept}", STATE_SECONDS, CALLBACK)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(self.verifier(state).encode()).digest()).decode().rstrip("=")
        )
        raise Answered(302, headers=[("Location", self.hub.login(state, challenge)), ("Set-Cookie", cookie)])

    def returned(self, environ: Environ) -> Answered:
        """Handle a browser that JupyterHub sent back: it begins a session, where this browser began the login."""
        query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
        state, code = query.get("state", ""), query.get("code", "")
        name = self.state_cookie(state)
        begun, _, kept = cookies(environ).get(name, "").partition(".")
        known = tokens.check(self.secret, "state", state) is not None and hmac.compare_digest(
            begun.encode(), state.encode()
        )
        if environ["REQUEST_METHOD"] != "GET" or not known:
            return Answered(400, "This login did not begin in this browser, or it took too long.", "Begin again.")
        if "error" in query or not code:
            return Answered(
                403, f"JupyterHub refused the login: {query.get('error', 'no code')[:100]}.", "Begin again."
            )
        token = self.hub.token(code, self.verifier(state), self.secret)
        session = tokens.sign(self.secret, "session", SESSION_SECONDS)
        known_session = tokens.check(self.secret, "session", session)
        assert known_session
        self.sessions.add(known_session.id, token, time.time() + SESSION_SECONDS)
        cookies_set = [
            self.set_cookie(self.cookie, session, SESSION_SECONDS, "/"),
            self.set_cookie(name, "", 0, CALLBACK),
        ]
        return Answered(
            302, headers=[("Location", self.origin + path_of(kept)), *(("Set-Cookie", each) for each in cookies_set)]
        )

    def logged_out(self, environ: Environ) -> Answered:
        """End the session here and at JupyterHub."""
        if environ["REQUEST_METHOD"] != "POST":
            return Answered(405, "To log out, send a POST.", headers=[("Allow", "POST")])
        session = tokens.check(self.secret, "session", cookies(environ).get(self.cookie, ""))
        if session:
            self.sessions.end(session.id)
        gone = self.set_cookie(self.cookie, "", 0, "/")
        return Answered(303, headers=[("Location", f"{self.hub.outside}/hub/logout"), ("Set-Cookie", gone)])

    def verifier(self, state: str) -> str:
        """Return PKCE's secret of a login, derived from its state: nothing is kept until the browser is back."""
        digest = hmac.digest(self.secret.encode(), f"verifier {state}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def state_cookie(self, state: str) -> str:
        """Return the cookie's name of one login: several tabs may log in at once."""
        return f"{self.cookie}-{hashlib.sha256(state.encode()).hexdigest()[:8]}"

    def set_cookie(self, name: str, value: str, seconds: int, path: str) -> str:
        return f"{name}={value}; Max-Age={seconds}; Path={path}; HttpOnly; SameSite=Lax"

    def answer(self, environ: Environ, start_response: Any, given: Answered) -> Iterable[bytes]:
        headers = [("Cache-Control", "no-store"), *given.headers]
        body, kind = b"", "text/plain; charset=utf-8"
        if given.status >= 400 and is_page(environ):
            body, kind = page(self.title, given.message, given.cure).encode(), "text/html; charset=utf-8"
            headers += [("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff")]
        elif given.status >= 400:
            error = {"message": given.message, "cure": given.cure}
            body, kind = json.dumps({"error": error}).encode() + b"\n", "application/json"
        start_response(f"{given.status} {HTTPStatus(given.status).phrase}", [("Content-Type", kind), *headers])
        return [body]


def bearer(environ: Mapping[str, Any]) -> str:
    """Return the token of a program; empty for a browser."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def cookies(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the cookies of a request; malformed ones are skipped."""
    pairs = (each.strip().partition("=") for each in environ.get("HTTP_COOKIE", "").split(";"))
    return {name: value for name, _, value in pairs}


def is_page(environ: Mapping[str, Any]) -> bool:
    """Whether a browser shows the answer as a page, so that it can be sent to the login."""
    mode = environ.get("HTTP_SEC_FETCH_MODE", "navigate")
    return (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and mode == "navigate"
        and "text/html" in environ.get("HTTP_ACCEPT", "")
    )


def address(environ: Mapping[str, Any]) -> str:
    """Return the path and query of a request, safe to be sent to."""
    path = urllib.parse.quote(environ["PATH_INFO"].encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
    query = environ.get("QUERY_STRING", "")
    return local(path + (f"?{query}" if query else ""))


def path_of(kept: str) -> str:
    """Return the path that a state's cookie keeps; ``/`` if it is not one of this service."""
    try:
        return local(base64.urlsafe_b64decode(kept.encode("ascii")).decode())
    except (ValueError, UnicodeError):
        return "/"


def local(path: str) -> str:
    """Return ``path`` if it stays on this server: a browser reads ``//host`` and ``/\\host`` as another one."""
    plain = path.isascii() and path.isprintable() and " " not in path
    return path if plain and path[:1] == "/" and path[1:2] not in ("/", "\\") and len(path) < 2000 else "/"


def page(title: str, message: str, cure: str) -> str:
    """Return a page with an error."""
    link = '<p><a href="/">Open it again</a></p>'
    texts = "".join(f"<p>{html.escape(text)}</p>" for text in (message, cure) if text)
    style = "body{font:16px system-ui;max-width:40em;margin:4em auto;padding:0 1em}"
    name = html.escape(title)
    return f"<!doctype html><title>{name}</title><style>{style}</style><h1>{name}</h1>{texts}{link}\n"
