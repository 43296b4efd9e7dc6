"""Call the handler of a route: the method is checked, and errors become responses."""

import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pantheon.web.messages import Headers, Response
from pantheon.web.server import Request
from serving.endpoint.guard import HEADERS
from serving.model.predictor import Predictor
from serving.problems import Problem

JSON: Headers = [("content-type", "application/json"), ("cache-control", "no-store")]
FENCED_JSON: Headers = [*JSON, *HEADERS]
encode = msgspec.json.Encoder().encode

Answered = tuple[Any, Predictor | None]  # a JSON value, and the predictor that it is about
Handler = Callable[[Request], Awaitable[Answered | Response]]


async def dispatch(request: Request, allowed: str, handler: Handler, service: str) -> Response:
    """Answer a request.

    Args:
        allowed: the route's method; ``GET`` includes ``HEAD``.
        service: whose log has the traceback of an internal error, for the client.
    """
    method = request.method
    try:
        if method != allowed and (method, allowed) != ("HEAD", "GET"):
            allow = "GET, HEAD" if allowed == "GET" else allowed
            why = f"{method[:20]} is not supported for {request.path}."
            raise Problem(405, why, expected=allow, headers=(("allow", allow),))
        result = await handler(request)
    except Problem as problem:
        return problem.response()
    except Exception:  # noqa: BLE001 - a bug in Pantheon: report it to the client and log the traceback
        traceback.print_exc(file=sys.stderr)
        return Problem(500, f"An internal error occurred; see the {service}'s log.").response()
    return result if isinstance(result, Response) else answered(*result)


def answered(value: Any, predictor: Predictor | None) -> Response:
    """Return a JSON value as a response, with the version of the predictor that it is about."""
    headers = JSON.copy()
    if predictor is not None:
        headers.append(("x-model-version", predictor.version))
    return Response(200, encode(value), headers)
