"""Run the front end with Pantheon's server: ``python -m serving.frontend``.

Environment: ``FRONTEND_HOST`` the address to bind, and what ``settings.py`` lists. This is the only file here that
knows Pantheon: a copy of this folder runs without it, in any WSGI server (docs/front-end.md).
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
from serving.frontend import settings
from serving.frontend.app import FORM_BYTES
from serving.frontend.guard import HEADERS, Guard

THREADS = 16  # each may wait for the endpoint


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
    try:
        service = Service(settings.made())
    except (ValueError, OSError) as error:
        print(f"frontend: {error}", file=sys.stderr)
        return 2
    host = os.environ.get("FRONTEND_HOST", "127.0.0.1")
    given = process.Settings("frontend", Path(), host, settings.port(), ())
    return process.run(given, service, lambda: None, lambda: None)


if __name__ == "__main__":
    leave(main())
