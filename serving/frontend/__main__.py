"""Run the front end: ``python -m serving.frontend``.

Environment: ``ENDPOINT_ADDRESS`` where the endpoint is, ``ENDPOINT_KEY_FILE`` the file with an API key of it,
``FRONTEND_MODEL`` which of its models (default: its default model), ``FRONTEND_SECRET_FILE`` the file with a random
text of at least 32 characters, ``FRONTEND_DIR`` a folder of its own, ``FRONTEND_HOST`` and ``FRONTEND_PORT`` where it
listens, ``FRONTEND_ADDRESS`` the address that people open if it is not on this machine, such as
``https://robots.example.com``.

This is the only file that knows Pantheon: its server. Any other server for WSGI can run ``made``.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pantheon.web.granian import leave
from pantheon.web.messages import Quick, Response
from pantheon.web.server import Request
from pantheon.web.wsgi import Wsgi
from serving import memory, process
from serving.frontend.app import FORM_BYTES, Frontend, application
from serving.frontend.browser import Cookies
from serving.frontend.client import Endpoint
from serving.frontend.guard import HEADERS, Guard
from serving.frontend.outbox import Outbox

THREADS = 16  # each may wait for the endpoint


def made(port: int) -> Guard:
    """Return the application as the environment describes it, for a WSGI server that listens on ``port``.

    Raises:
        ValueError: a setting is missing or not valid.
        OSError: the folder cannot be written, or a secret cannot be read.
    """
    folder, public = Path(needed("FRONTEND_DIR")), os.environ.get("FRONTEND_ADDRESS", "")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = Path(needed("FRONTEND_SECRET_FILE")).read_text(encoding="utf-8").strip()
    key = Path(needed("ENDPOINT_KEY_FILE"))
    model = os.environ.get("FRONTEND_MODEL", "")
    endpoint = Endpoint(needed("ENDPOINT_ADDRESS"), key, folder / "signature.json", model)
    outbox = Outbox(folder / "outbox", endpoint)
    cookies = Cookies(secret, f"frontend-{port}", secure=public.startswith("https:"))
    outbox.start()
    return Guard(application(Frontend(endpoint, outbox, cookies)), port, public)


def needed(name: str) -> str:
    if value := os.environ.get(name, ""):
        return value
    raise ValueError(f"{name} is not set.")


class Service:
    """The WSGI application as one of ``pantheon.web.server``."""

    def __init__(self, guard: Guard) -> None:
        self.app = Wsgi(guard, ThreadPoolExecutor(THREADS, "page"), FORM_BYTES)

    async def __call__(self, request: Request) -> Response:
        if request.path == "/healthz":  # also while all threads wait for the endpoint
            return self.refuse(200, "ok")
        return await self.app(request)

    def quick(self, request: Request) -> Quick | None:
        return None

    def refuse(self, status: int, message: str) -> Response:
        headers = [("content-type", "text/plain; charset=utf-8"), *((name.lower(), value) for name, value in HEADERS)]
        return Response(status, message.encode(), headers)


def main() -> int:
    memory.limit()
    host, given = os.environ.get("FRONTEND_HOST", "127.0.0.1"), os.environ.get("FRONTEND_PORT") or "8000"
    try:
        if not given.isdecimal():
            raise ValueError(f"FRONTEND_PORT is {given!r}, not a port.")
        port = int(given)
        service = Service(made(port))
    except (ValueError, OSError) as error:
        print(f"frontend: {error}", file=sys.stderr)
        return 2
    return process.run(process.Settings("frontend", Path(), host, port, ()), service, lambda: None, lambda: None)


if __name__ == "__main__":
    leave(main())
