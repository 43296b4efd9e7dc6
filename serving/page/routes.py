"""Routes of the page, and the forms that are submitted to them."""

from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import cherrypy

from pantheon.web.wsgi import REFUSED

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def route(*methods: str) -> Callable[[_Handler], _Handler]:
    """A method of a page's class as a route for these HTTP methods; others get 405."""

    def expose(handler: _Handler) -> _Handler:
        return cast(_Handler, cherrypy.expose(cherrypy.tools.allow(methods=methods)(handler)))

    return expose


def typed() -> dict[str, str]:
    """Return the submitted form; the last value if a name occurs twice.

    Raises:
        cherrypy.HTTPError: it is too large, has another type, is not UTF-8, or has too many fields.
    """
    return dict(pairs())


def pairs() -> list[tuple[str, str]]:
    """Return the names and values of the submitted form, in order; raises as ``typed``."""
    environ = cherrypy.request.wsgi_environ
    if environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise cherrypy.HTTPError(415, "Send a form.")
    if refused := environ[REFUSED]:
        raise cherrypy.HTTPError(refused.status, refused.message)
    try:
        text = environ["wsgi.input"].read().decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except ValueError:
        raise cherrypy.HTTPError(400, "The form is malformed.") from None
