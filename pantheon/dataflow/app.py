"""The service's HTTP interface: two addresses that require the token, and a health check that does not."""

import asyncio
import hmac
import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pantheon.dataflow.runs import Runs
from pantheon.web.messages import BodyError, Response
from pantheon.web.server import Request
from pantheon.workflow.run import RUN_ID, Run

BODY = 65536  # bytes; request bodies are read and ignored
THREADS = 4  # for requests that read a run's files

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Refusal(Exception):
    """A rejected request."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class App:
    """The application. Every answer is JSON; an error is ``{"error": "…"}``.

    ``POST /runs/ID/continue``: 200 if the run is done, else 202: it is running or queued.
    ``GET /runs/ID``: its state. ``GET /healthz``: 200, without a token.

    Args:
        state: the deployment's state folder.
        runs: does the work.
        token: the file with the token that callers send as ``Authorization: Bearer …``.
    """

    def __init__(self, state: Path, runs: Runs, token: Path) -> None:
        self.state, self.runs, self.token = state, runs, token
        self.threads = ThreadPoolExecutor(THREADS, "request")

    async def __call__(self, request: Request) -> Response:
        await self.read_body(request)
        in_thread = asyncio.get_running_loop().run_in_executor
        return await in_thread(self.threads, self.answered, request)

    def quick(self, request: Request) -> None:
        """None: every request reads files."""

    def refuse(self, status: int, message: str) -> Response:
        return response(status, {"error": message})

    def answered(self, request: Request) -> Response:
        try:
            status, value, headers = self.answer(request)
        except Refusal as refusal:
            status, value, headers = refusal.status, {"error": refusal.message}, refusal.headers
        except Exception:  # noqa: BLE001 - the service keeps running; the error is logged
            traceback.print_exc(file=sys.stderr)
            status, value, headers = 500, {"error": "An internal error occurred; see the service's log."}, {}
        return response(status, value, headers)

    def answer(self, request: Request) -> Answer:
        path, method = request.path, request.method
        if path == "/healthz":
            self.allow(method, "GET", "HEAD")
            return 200, {"status": "ok", **self.runs.counts()}, {}
        self.check_token(request.header("authorization"))
        parts = path.split("/")
        if parts[:2] != ["", "runs"] or len(parts) not in (3, 4) or parts[3:] not in ([], ["continue"]):
            raise Refusal(404, "Not found. Use /runs/ID, /runs/ID/continue or /healthz.")
        if parts[3:]:
            self.allow(method, "POST")
            return self.resume(self.find(parts[2]))
        self.allow(method, "GET", "HEAD")
        return 200, self.runs.status(self.find(parts[2])), {}

    def resume(self, run: Run) -> Answer:
        status = self.runs.resume(run)
        if status["state"] == "done":
            return 200, {key: status[key] for key in ("run", "state", "outcome")}, {}
        if status["state"] == "interrupted" and self.runs.stopping:
            raise Refusal(503, "The service is stopping.", Retry_After="5")
        state = status["state"] if status["state"] == "waiting" else "running"  # it may have ended already
        return 202, {"run": run.id, "state": state}, {"Location": f"/runs/{run.id}"}

    async def read_body(self, request: Request) -> None:
        """Read and ignore a body up to ``BODY`` bytes, so that the connection can be reused."""
        try:
            await request.body(BODY)
        except BodyError as error:
            if error.status != 413:
                raise
            raise BodyError(413, f"The request's body is larger than {BODY} bytes. Send none.") from None

    def allow(self, method: str, *allowed: str) -> None:
        if method not in allowed:
            raise Refusal(405, f"Use {' or '.join(allowed)}.", Allow=", ".join(allowed))

    def check_token(self, header: str) -> None:
        """Check the token in constant time. The file is read for every request, because it may change."""
        try:
            token = self.token.read_bytes().strip()
        except OSError as error:
            raise Refusal(503, f"The service's token cannot be read: {error.strerror}.") from None
        scheme, _, given = header.partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token)
        if not token or scheme.lower() != "bearer" or not same:
            raise Refusal(401, "This request requires a token: Authorization: Bearer TOKEN.", WWW_Authenticate="Bearer")

    def find(self, name: str) -> Run:
        run = Run(self.state / "runs" / name)
        if not RUN_ID.fullmatch(name) or not (run.folder / "run.json").is_file():
            raise Refusal(404, f"The run {name[:80]!r} does not exist.")
        return run


def response(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    sent = {"content-type": "application/json", "cache-control": "no-store", **(headers or {})}
    return Response(status, json.dumps(value).encode() + b"\n", list(sent.items()))
