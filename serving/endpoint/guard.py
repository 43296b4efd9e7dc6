"""Host and Origin checks for every route, and security headers for every response.

All services listen on loopback, but any page in the same browser can send requests to them. Pages of other sites are
detected by their Origin (and ``Sec-Fetch-Site``), and pages whose name resolves to 127.0.0.1 (DNS rebinding) by their
Host.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from pantheon.web.messages import Headers, Response
from pantheon.web.server import Request
from serving.problems import Problem

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS: Headers = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    (
        "referrer-policy",
        "same-origin",
    ),  # with no-referrer, browsers would send the page's own forms with "Origin: null"
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
]


class Guard:
    """Decides which requests are answered.

    Args:
        port: the port in the page's address.
        hosts: allowed names in addition to the loopback names, as ``name`` or ``name:port``.
    """

    def __init__(self, port: int, hosts: Iterable[str] = ()) -> None:
        given = set(hosts)
        self.hosts = {f"{host}:{port}" for host in LOOPBACK} | given
        if port == 80:
            self.hosts |= set(LOOPBACK)
        # a proxy before this server may speak TLS to browsers
        self.origins = {f"http://{host}" for host in self.hosts} | {f"https://{host}" for host in given}

    def refusal(self, request: Request) -> str:
        """Return why the request is rejected; empty if it is allowed. A header that is not ASCII counts as empty."""
        headers = request.headers
        if request.header("host").lower() not in self.hosts:
            return f"This server only accepts the hosts {min(self.hosts)} and localhost."
        if "origin" in headers and headers["origin"].lower() not in self.origins:
            return "This request comes from a page of another site."
        if request.method in ("GET", "HEAD"):
            return ""
        # same-site means another port of this machine, such as a notebook, which must not send predictions either
        if "sec-fetch-site" in headers and headers["sec-fetch-site"] not in ("same-origin", "none"):
            return "This request comes from a page of another site."
        return ""


def repeated(query: str) -> str:
    """Return a parameter that occurs more than once in a query: which value counts would depend on who reads it. Empty
    if there is none."""
    if not query:
        return ""
    seen: set[str] = set()
    for name, _ in parse_qsl(query.replace(";", "&"), keep_blank_values=True):
        if name in seen:
            return name[:80]
        seen.add(name)
    return ""


def fenced(response: Response) -> Response:
    """Add the missing security headers to the response."""
    existing = {name.lower() for name, _ in response.headers}
    response.headers.extend(header for header in HEADERS if header[0] not in existing)
    return response


def forbidden(why: str) -> Response:
    return Problem(403, why).response()
