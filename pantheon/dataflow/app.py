"""The service's HTTP interface: two addresses for programs with the token, one for whoever looks whether it lives."""

import hmac
import json
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pantheon.dataflow.runs import Runs
from pantheon.workflow.run import RUN_ID, Run

BODY = 65536  # bytes of a request's body, which says nothing and is read all the same
REASONS = {
    200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Refusal(Exception):
    """A request that is not served."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class App:
    """The WSGI application. Every answer is JSON; an error is ``{"error": "…"}``.

    ``POST /runs/ID/continue``: 200 where all is done, else 202: the rest is under way or waits for its turn.
    ``GET /runs/ID``: how it stands. ``GET /healthz``: 200, without a token.

    Args:
        state: the deployment's state folder.
        runs: does the work.
        token: the file of the token that callers give as ``Authorization: Bearer …``.
    """

    def __init__(self, state: Path, runs: Runs, token: Path) -> None:
        self.state, self.runs, self.token = state, runs, token

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, value, headers = self.answer(environ)
        except Refusal as refusal:
            status, value, headers = refusal.status, {"error": refusal.message}, refusal.headers
        except Exception:  # noqa: BLE001 - the service goes on; the log has it
            traceback.print_exc(file=sys.stderr)
            status, value, headers = 500, {"error": "The service had a fault; its log says which."}, {}
        data = json.dumps(value).encode() + b"\n"
        sent = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Cache-Control": "no-store"}
        start_response(f"{status} {REASONS[status]}", list({**sent, **headers}.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [data]

    def answer(self, environ: dict[str, Any]) -> Answer:
        self.read_body(environ)
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/healthz":
            self.allow(method, "GET", "HEAD")
            return 200, {"status": "ok", **self.runs.counts()}, {}
        self.check_token(environ.get("HTTP_AUTHORIZATION", ""))
        words = path.split("/")
        if words[:2] != ["", "runs"] or len(words) not in (3, 4) or words[3:] not in ([], ["continue"]):
            raise Refusal(404, "There is nothing here. There are /runs/ID, /runs/ID/continue and /healthz.")
        if words[3:]:
            self.allow(method, "POST")
            return self.go_on(self.find(words[2]))
        self.allow(method, "GET", "HEAD")
        return 200, self.runs.look(self.find(words[2])), {}

    def go_on(self, run: Run) -> Answer:
        found = self.runs.go_on(run)
        if found["state"] == "done":
            return 200, {key: found[key] for key in ("run", "state", "outcome")}, {}
        if found["state"] == "interrupted" and self.runs.stopping:
            raise Refusal(503, "The service is stopping.", Retry_After="5")
        state = found["state"] if found["state"] == "waiting" else "running"  # it may have ended again already
        return 202, {"run": run.id, "state": state}, {"Location": f"/runs/{run.id}"}

    def read_body(self, environ: dict[str, Any]) -> None:
        """Bodies say nothing to this service; one within bounds is read, so that the connection can be kept."""
        try:
            if len(environ["wsgi.input"].read(BODY + 1)) > BODY:
                raise Refusal(413, f"A body here has at most {BODY} bytes; none is needed.")
        except TimeoutError:
            raise Refusal(408, "The body did not arrive in time.") from None
        except ValueError as error:
            raise Refusal(400, f"The body is malformed: {error}.") from None

    def allow(self, method: str, *allowed: str) -> None:
        if method not in allowed:
            raise Refusal(405, f"Use {' or '.join(allowed)}.", Allow=", ".join(allowed))

    def check_token(self, header: str) -> None:
        """Compare in a time that does not tell where two tokens differ. The file is read anew: it may be changed."""
        try:
            token = self.token.read_bytes().strip()
        except OSError as error:
            raise Refusal(503, f"The service's token cannot be read: {error.strerror}.") from None
        scheme, _, given = header.partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token)
        if not token or scheme.lower() != "bearer" or not same:
            raise Refusal(401, "A token is needed: Authorization: Bearer TOKEN.", WWW_Authenticate="Bearer")

    def find(self, name: str) -> Run:
        run = Run(self.state / "runs" / name)
        if not RUN_ID.fullmatch(name) or not (run.folder / "run.json").is_file():
            raise Refusal(404, f"There is no run {name[:80]!r}.")
        return run
