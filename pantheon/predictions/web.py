"""What the page asks about the log, over HTTP: JSON, for who has the page's key.

``GET /predictions`` (``model``, ``version``, ``key``, ``since``, ``until``, ``most``), ``/predictions/ID``,
``/feedback`` (``model``, ``since``, ``until``, ``most``), ``/routing`` (``model``, ``since``, ``judged_since``),
``/monitoring`` and ``/evidently`` (``model``) answer as ``pantheon.log_reader``. ``GET /healthz`` needs no key. An
error is ``{"error": "…"}``: 400 for a wrong question, 401, 404, 405, 503 if the log cannot be read in time.
"""

import hmac
import re
import uuid
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from pantheon.errors import PantheonError
from pantheon.predictions.asking import SECONDS, Reader
from pantheon.state import is_model_name
from pantheon.web.messages import Response
from pantheon.web.server import Request

BODY = 65536  # bytes; request bodies are read and ignored
MOST = 500  # rows of one answer
_TIME = re.compile(r"[0-9A-Za-z:.+ -]{1,40}")
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_VERSION = re.compile(r"[0-9]{1,9}")
QUESTIONS: Final = {
    "/predictions": ("predictions", {"model", "version", "key", "since", "until", "most"}, False),
    "/feedback": ("feedback", {"model", "since", "until", "most"}, False),
    "/routing": ("routing", {"model", "since", "judged_since"}, True),
    "/monitoring": ("monitoring", {"model"}, True),
    "/evidently": ("evidently report", {"model"}, True),
}
"""The path of a question → its name, its parameters, and whether it needs a model."""


class Refusal(Exception):
    """A rejected request."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class App:
    """The application for ``pantheon.web.server``.

    Args:
        state: the deployment's state folder.
        key: the file with the key that the page sends as ``Authorization: Bearer …``.
        seconds: for an answer.
    """

    def __init__(self, state: Path, key: Path, seconds: float = SECONDS) -> None:
        self.key, self.state, self.seconds = key, state, seconds
        self.reader: Reader | None = None

    async def __call__(self, request: Request) -> Response:
        await request.body(BODY)
        try:
            return _response(200, await self.answer(request))
        except Refusal as refusal:
            return _response(refusal.status, {"error": refusal.message}, refusal.headers)
        except PantheonError as error:
            status = 400 if error.status == 2 else 503
            return _response(status, {"error": str(error)}, {"retry-after": "5"} if status == 503 else {})

    def quick(self, request: Request) -> None:
        """None: every request is answered on the loop."""

    def refuse(self, status: int, message: str) -> Response:
        return _response(status, {"error": message})

    async def answer(self, request: Request) -> Any:
        """Return the answer's value; raises Refusal, and PantheonError as ``Reader.ask``."""
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "Use GET or HEAD.", Allow="GET, HEAD")
        if request.path == "/healthz":
            return {"status": "ok"}
        self.check_key(request.header("authorization"))
        self.reader = self.reader or Reader(self.state, self.seconds)
        if request.path.startswith("/predictions/"):
            parameters(request.query, set(), False)
            id = request_id(request.path.removeprefix("/predictions/"))
            found = await self.reader.ask("prediction", {"id": id})
            if not found["rows"]:
                raise Refusal(404, f"The log in {found['where']} has no request {id}.")
            return found
        if request.path not in QUESTIONS:
            raise Refusal(404, f"Not found. Use {', '.join(QUESTIONS)}, /predictions/ID or /healthz.")
        name, allowed, needs_model = QUESTIONS[request.path]
        return await self.reader.ask(name, parameters(request.query, allowed, needs_model))

    def check_key(self, header: str) -> None:
        """Check the key in constant time. The file is read for every request, because it may change."""
        try:
            key = self.key.read_bytes().strip()
        except OSError as error:
            raise Refusal(503, f"The service's key cannot be read: {error.strerror}.") from None
        scheme, _, given = header.partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), key)
        if not key or scheme.lower() != "bearer" or not same:
            raise Refusal(401, "This needs the page's key: Authorization: Bearer KEY.", WWW_Authenticate="Bearer")


def parameters(query: str, allowed: set[str], needs_model: bool) -> dict[str, Any]:
    """Return the parameters in a query, checked; raises Refusal 400."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise Refusal(400, "The query is malformed.") from None
    given: dict[str, Any] = {name: value for name, value in pairs if value}
    if len(dict(pairs)) < len(pairs):
        raise Refusal(400, "A parameter appears twice.")
    if others := sorted({name for name, _ in pairs} - allowed):
        known = f"Use {', '.join(sorted(allowed))}." if allowed else "There are none here."
        raise Refusal(400, f'There is no parameter "{others[0][:80]}". {known}')
    if needs_model and "model" not in given:
        raise Refusal(400, "Name a model: ?model=NAME.")
    for name, fits, expected in (
        ("model", is_model_name, "the name of a model"),
        ("version", _VERSION.fullmatch, "the number of a version"),
        ("key", _KEY.fullmatch, "the name of an API key"),
        ("since", _TIME.fullmatch, "a time such as 2h, 7d or 2026-03-01T12:30"),
        ("until", _TIME.fullmatch, "a time such as 2h, 7d or 2026-03-01T12:30"),
        ("judged_since", _TIME.fullmatch, "a time such as 2h, 7d or 2026-03-01T12:30"),
        ("most", lambda text: re.fullmatch(r"[0-9]{1,4}", text) and 1 <= int(text) <= MOST, f"1 to {MOST}"),
    ):
        if name in given and not fits(given[name]):
            raise Refusal(400, f'"{name}" must be {expected}, not {given[name][:80]!r}.')
    if "most" in given:
        given["most"] = int(given["most"])
    return given


def request_id(text: str) -> str:
    """Return the id of a request; raises Refusal 400."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        found = None
    if found is None or found.version != 7:
        raise Refusal(400, f"{text[:80]!r} is not the id of a request: the header x-request-id of its answer.")
    return str(found)


def _response(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    sent = {"content-type": "application/json", "cache-control": "no-store", **(headers or {})}
    return Response(status, msgspec.json.encode(value) + b"\n", list(sent.items()))
