"""What the dashboard's routes share: methods, forms, JSON, and redirections."""

from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import cherrypy

from pantheon.web.wsgi import REFUSED

FORM, JSON = "application/x-www-form-urlencoded", "application/json"

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def route(*methods: str) -> Callable[[_Handler], _Handler]:
    """A method as a route for these HTTP methods; others get 405."""

    def expose(handler: _Handler) -> _Handler:
        return cast(_Handler, cherrypy.expose(cherrypy.tools.allow(methods=methods)(handler)))

    return expose


def go(address: str) -> str:
    """Send the browser to another page."""
    cherrypy.response.status = 303
    cherrypy.response.headers["Location"] = address
    return ""


def typed() -> dict[str, str]:
    """Return the submitted form.

    Raises:
        cherrypy.HTTPError: it is too large, incomplete, or no form.
    """
    if content_type() != FORM:
        raise cherrypy.HTTPError(415, "Send a form.")
    try:
        text = body().decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError:
        raise cherrypy.HTTPError(400, "The form is malformed.") from None


def body() -> bytes:
    """Return the request's body.

    Raises:
        cherrypy.HTTPError: it is too large, or incomplete.
    """
    environ = cherrypy.request.wsgi_environ
    if refused := environ.get(REFUSED):
        raise cherrypy.HTTPError(refused.status, refused.message)
    content: bytes = environ["wsgi.input"].read()
    return content


def content_type() -> str:
    return str(cherrypy.request.wsgi_environ.get("CONTENT_TYPE", "")).split(";")[0].strip().lower()


def wants_json() -> bool:
    return "text/html" not in str(cherrypy.request.headers.get("Accept", ""))
