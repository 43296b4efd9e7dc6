"""Around the application, as WSGI middleware: which requests are answered, and headers for every answer.

Any page in the same browser can send requests to this server. Pages of other sites are known by their ``Origin`` (and
``Sec-Fetch-Site``), pages whose name was changed to this machine's address (DNS rebinding) by their ``Host``. Forms
have a token besides (``browser.py``).
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Guard:
    """Passes on what is allowed.

    Args:
        port: in the address that people open on this machine.
        public: the address that people open elsewhere, such as ``https://robots.example.com``; empty: none.
    """

    def __init__(self, app: Application, port: int, public: str = "") -> None:
        self.app = app
        self.origins = {f"http://{name}{'' if port == 80 else f':{port}'}" for name in LOOPBACK}
        if public:
            self.origins.add(public.lower().rstrip("/"))
        self.hosts = {urlsplit(origin).netloc for origin in self.origins}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def fenced(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, *HEADERS], *error)

        if why := self.refusal(environ):
            fenced("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [why.encode()]
        return self.app(environ, fenced)

    def refusal(self, environ: dict[str, Any]) -> str:
        """Return why a request is not answered; empty if it is."""
        if environ.get("HTTP_HOST", "").lower() not in self.hosts:
            return f"This server answers only at {' and '.join(sorted(self.origins))}."
        if "HTTP_ORIGIN" in environ and environ["HTTP_ORIGIN"].lower() not in self.origins:
            return "This request comes from a page of another site."
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return ""
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none"):
            return "This request comes from a page of another site."
        return ""
