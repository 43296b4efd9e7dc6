"""The service's API over HTTP: finds the handler of a request, runs it in a thread, and sends its answer (ASGI)."""

import asyncio
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from pantheon import files
from pantheon.errors import PantheonError, describe
from pantheon.features.api import Answer, Problem, Request, refusal
from pantheon.features.login import Receive, Scope, Send, answer, refuse

HEALTH = "/healthz"
BODY_BYTES = 4 << 30
CHUNK_SECONDS = 30.0  # for the next bytes of a body
THREADS = 12  # requests that are handled at once; more wait
PIECE = 1 << 20  # bytes of an answer's file that are sent at once

Handle = Callable[[Request], Any]


class Gone(Exception):
    """The client closed the connection."""


class Api:
    """Answers requests by the ``routes``: method and path pattern → handler.

    Args:
        incoming: the folder of bodies and of answers that are sent; what an earlier process left in it is removed.
        away: says which service an error is about (``service.unavailable``).
    """

    def __init__(
        self, routes: Mapping[tuple[str, str], Handle], incoming: Path, away: Callable[[BaseException], str]
    ) -> None:
        self.routes = [(method, pattern_of(path), handle) for (method, path), handle in routes.items()]
        self.incoming, self.away = incoming, away
        self.threads = ThreadPoolExecutor(THREADS, "request")
        incoming.mkdir(parents=True, exist_ok=True)
        for left in incoming.iterdir():
            left.unlink(missing_ok=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["path"] == HEALTH:
            await answer(send, 200, b'{"status": "ok"}\n', "application/json")
            return
        body = files.part_of(self.incoming / "body")
        try:
            handle, parameters = self.find(scope["method"], scope["path"])
            await self.read(body, receive)
            request = Request(scope["method"], scope["path"], parameters, scope["query_string"].decode("latin-1"), body)
            status, found = await asyncio.get_running_loop().run_in_executor(self.threads, self.work, handle, request)
        except Gone:
            return
        except Problem as error:
            status, found = refusal(error)
        except OSError as error:  # such as a full disk
            status, found = refusal(describe(error, self.incoming))
        finally:
            body.unlink(missing_ok=True)
        if isinstance(found, Answer) and found.lines is not None:
            await self.send_lines(receive, send, found, found.lines)
        else:
            await self.send(send, status, found)

    def find(self, method: str, path: str) -> tuple[Handle, dict[str, str]]:
        """Return the handler of a request, and the parameters of its path.

        Raises:
            Problem: 404: there is none.
        """
        methods = []
        for each, pattern, handle in self.routes:
            if match := pattern.fullmatch(path):
                if each == method:
                    return handle, match.groupdict()
                methods.append(each)
        what = f"it takes {', '.join(methods)}" if methods else "the feature store has nothing there"
        raise Problem(
            404, f"{method} {path[:200]} is not answered: {what}.", "docs/feature-store.md lists the requests."
        )

    async def read(self, body: Path, receive: Receive) -> None:
        """Write the request's body to the file ``body``.

        Raises:
            Problem: 413: it is too large; 400: it stopped.
            Gone: the client closed the connection.
        """
        size = 0
        with os.fdopen(files.create(body, 0o600), "wb") as file:
            while True:
                try:
                    message = await asyncio.wait_for(receive(), CHUNK_SECONDS)
                except TimeoutError:
                    raise Problem(400, "The request's body did not arrive in time.", "Send it again.") from None
                if message["type"] == "http.disconnect":
                    raise Gone
                piece = message.get("body", b"")
                size += len(piece)
                if size > BODY_BYTES:
                    raise Problem(413, f"The body is larger than {BODY_BYTES >> 30} GB.", "Send it in parts.")
                file.write(piece)
                if not message.get("more_body"):
                    return

    def work(self, handle: Handle, request: Request) -> tuple[int, Any]:
        """Run a handler; return the status, and an Answer or what becomes JSON."""
        begin = time.monotonic()
        try:
            found = handle(request)
            return (found.status if isinstance(found, Answer) else 200), found
        except PantheonError as error:
            return refusal(error)
        except Exception as error:  # noqa: BLE001 - the client must get an answer
            if name := self.away(error):
                what = f"{name}, which the feature store needs, does not answer: {' '.join(str(error).split())[:200]}"
                return refusal(Problem(503, what, f"It may be starting. Its log: `logs --service {name}`"))
            if isinstance(error, OSError):
                return refusal(describe(error, self.incoming))
            print(f"feast: {request.method} {request.path} failed:", file=sys.stderr)
            traceback.print_exc(file=sys.stderr)
            cure = "This is a fault of Pantheon. The traceback: `logs --service feast`"
            return refusal(Problem(503, f"{type(error).__name__}: {str(error)[:200]}.", cure))
        finally:
            if (seconds := time.monotonic() - begin) > 1.0:
                print(f"feast: {request.method} {request.path} took {seconds:.1f} s", file=sys.stderr, flush=True)

    async def send(self, send: Send, status: int, found: Any) -> None:
        if not isinstance(found, Answer):
            await answer(send, status, msgspec.json.encode(found) + b"\n", "application/json")
        elif found.file is None:
            await answer(send, status, found.body, found.content_type, found.headers)
        else:
            await self.send_file(send, found, found.file)

    async def send_lines(self, receive: Receive, send: Send, found: Answer, lines: Iterator[bytes]) -> None:
        """Send lines as they come, until they or the client end."""
        loop = asyncio.get_running_loop()
        gone = loop.create_task(until_gone(receive))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", found.content_type.encode())]}
        )
        try:
            while True:
                line: asyncio.Future[bytes] = loop.run_in_executor(self.threads, next, lines, b"")
                both: set[asyncio.Future[Any]] = {line, gone}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() or not (piece := await line):
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            if close := getattr(lines, "close", None):
                await loop.run_in_executor(self.threads, close)

    async def send_file(self, send: Send, found: Answer, path: Path) -> None:
        try:
            with path.open("rb") as file:
                headers = {"content-type": found.content_type, "content-length": str(path.stat().st_size)}
                encoded = [
                    (name.encode(), value.encode("latin-1")) for name, value in (headers | found.headers).items()
                ]
                await send({"type": "http.response.start", "status": found.status, "headers": encoded})
                while piece := file.read(PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except FileNotFoundError:
            await refuse(send, 503, "The answer is missing.", "Ask again.")
        finally:
            path.unlink(missing_ok=True)


def pattern_of(path: str) -> re.Pattern[str]:
    """Return the pattern of a path such as ``/views/{view}/parts``."""
    parts = re.split(r"(\{[a-z]+\})", path)
    return re.compile("".join(f"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else re.escape(part) for part in parts))


async def until_gone(receive: Receive) -> None:
    """Wait until the client closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def lifespan(receive: Receive, send: Send) -> None:
    """Take part in ASGI's lifespan, for an app that has nothing to start."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
