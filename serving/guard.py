"""Who may ask: the Host and Origin checks on every route, and the headers that fence the page in.

Everything listens on loopback, but any page in the same browser can send requests there. A page of another site is told
apart by its Origin (and ``Sec-Fetch-Site``); one whose name was re-pointed at 127.0.0.1 (DNS rebinding) by its Host.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),  # no-referrer would make browsers send our own forms with "Origin: null"
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


class Guard:
    """WSGI middleware round every route.

    Args:
        app: what is guarded.
        port: the port people type in the browser.
        hosts: names allowed beside the loopback ones, each ``name`` or ``name:port``.
    """

    def __init__(self, app: App, port: int, hosts: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts = {f"{host}:{port}" for host in LOOPBACK} | set(hosts)
        if port == 80:
            self.hosts |= set(LOOPBACK)
        self.origins = {f"http://{host}" for host in self.hosts}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        why = self.refusal(environ)

        def with_headers(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            given = {name for name, _ in headers}
            return start_response(status, headers + [h for h in HEADERS if h[0] not in given], *rest)

        if not why:
            return self.app(environ, with_headers)
        error = {"message": why, "row": None, "field": None, "expected": None, "got": None}
        data = json.dumps({"error": error}).encode()
        with_headers("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [data]

    def refusal(self, environ: dict[str, Any]) -> str:
        """Why the request is refused; empty when it is not."""
        if environ.get("HTTP_HOST", "").lower() not in self.hosts:
            return f"This server answers to {min(self.hosts)} and localhost only, not to that Host."
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.lower() not in self.origins:
            return "This request comes from a page of another site."
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return ""
        # same-site is another port of this machine: a notebook, say, which must not press the button either
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
            return "This request comes from a page of another site."
        return ""
