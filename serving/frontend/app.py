"""The application: CherryPy routes and one page. It works without JavaScript; ``static/app.js`` saves the reloads."""

import math
import sys
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import cherrypy
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import wording
from .answer import Answer, answer
from .browser import Browser, Cookies
from .client import Away, Endpoint, Refused
from .form import controls, entered, row
from .outbox import Full, Outbox

HERE = Path(__file__).parent
FORM_BYTES = 1024 * 1024
DISCARDED = 16 * FORM_BYTES  # bytes of a form that is too large: a server may close the connection on what is not read
COMMENT = 2000  # characters
DELIVERY_SECONDS = 1.5  # that a person waits to read that the feedback has arrived
STALE = "This page was open for too long, or cookies are blocked. Nothing was sent: please press the button again."

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def route(*methods: str) -> Callable[[_Handler], _Handler]:
    """A method as a route for these HTTP methods; others get 405."""

    def expose(handler: _Handler) -> _Handler:
        return cast(_Handler, cherrypy.expose(cherrypy.tools.allow(methods=methods)(handler)))

    return expose


class Frontend:
    """The routes."""

    def __init__(self, endpoint: Endpoint, outbox: Outbox, cookies: Cookies) -> None:
        self.endpoint, self.outbox, self.cookies = endpoint, outbox, cookies
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {"title_words": wording.title, "moment": wording.moment, "iso": wording.iso}

    @route("GET", "HEAD")
    def index(self, about: str = "") -> str:
        """Show the form; with ``about``, the id of a request, also its answer."""
        browser = self.visitor()
        self.endpoint.refresh()
        shown = browser.find(about) if isinstance(about, str) else None
        return self.page(browser, values=shown.values if shown and shown.values else None, shown=shown)

    @route("POST")
    def predict(self) -> str:
        """Answer the form."""
        browser, form = self.visitor(), typed()
        signature = self.endpoint.signature
        if signature is None:
            self.endpoint.refresh()
            return self.page(browser, status=503)
        values = entered(signature, form)
        if not self.cookies.is_token(form.get("token", ""), browser, "predict"):
            return self.page(browser, values=values, problem=STALE, status=403)
        try:
            reply = self.endpoint.predict(row(signature, values), self.cookies.mark("routing", browser.id))
        except Away as away:
            return self.page(browser, values=values, away=str(away), status=503)
        except Refused as refused:  # the model may have other inputs than a moment ago
            self.endpoint.refresh(force=True)
            return self.page(browser, values=values, refused=refused, status=422)
        shown = answer(signature, reply, values)
        browser.add(shown)
        self.remember(browser)
        return self.page(browser, values=values, shown=shown, fresh=True)

    @route("POST")
    def feedback(self) -> str:
        """Keep what the person says about an answer, and send the browser back to that answer."""
        browser, form = self.visitor(), typed()
        request, shown = form.get("id", ""), browser.find(form.get("id", ""))
        if not self.cookies.is_token(form.get("token", ""), browser, f"feedback {request}"):
            return self.page(browser, shown=shown, problem=STALE, status=403)
        try:
            said = feedback(self.endpoint.signature, shown, form)
            self.outbox.put(said)
        except Refused as refused:
            return self.page(browser, shown=shown, said=form, problem=refused.message, status=422)
        except Full as full:
            return self.page(browser, shown=shown, said=form, problem=str(full), status=503)
        if shown:
            shown.said = "yes" if said["correct"] else "no"
            self.remember(browser)
        self.outbox.delivered(request, 0 if self.endpoint.away else DELIVERY_SECONDS)
        return go(f"/?about={request}#feedback")

    @route("POST")
    def forget(self) -> str:
        """Forget this browser's answers."""
        browser = self.visitor()
        if not self.cookies.is_token(typed().get("token", ""), browser, "forget"):
            return self.page(browser, problem=STALE, status=403)
        self.remember(Browser())
        return go("/")

    @route("GET", "HEAD")
    def status(self) -> bytes:
        """Return whether the endpoint answers, and how much of this browser's feedback waits, for ``app.js``."""
        browser = self.visitor()
        cherrypy.response.headers["Content-Type"] = "application/json"
        cherrypy.response.headers["Cache-Control"] = "no-store"
        away = "true" if self.endpoint.away else "false"
        return f'{{"away": {away}, "waiting": {self.waiting(browser)}}}'.encode()

    @route("GET", "HEAD")
    def healthz(self) -> bytes:
        """Return 200 while this process works: without the endpoint it still shows the form and keeps feedback."""
        cherrypy.response.headers["Content-Type"] = "application/json"
        return b'{"status": "ok"}'

    def page(
        self,
        browser: Browser,
        *,
        values: dict[str, str] | None = None,
        shown: Answer | None = None,
        refused: Refused | None = None,
        away: str = "",
        problem: str = "",
        said: dict[str, str] | None = None,
        fresh: bool = False,
        status: int = 200,
    ) -> str:
        """Return the page.

        Args:
            values: in the form, by input; None: the signature's examples.
            shown: the answer to show.
            refused: why there is no answer.
            away: why the endpoint does not answer; empty: as at its last request.
            problem: another reason why something was not done.
            said: the form with feedback that was not accepted, to show it again.
            fresh: the answer was just given.
        """
        cherrypy.response.status = status
        cherrypy.response.headers["Cache-Control"] = "no-store"
        signature = self.endpoint.signature
        fields = controls(signature, values, refused) if signature else []
        ours = signature is not None and shown is not None and shown.model == signature["name"]
        return self.templates.get_template("page.html").render(
            signature=signature,
            title=wording.title(str(signature["name"])) if signature else "",
            question=wording.question(signature) if signature else "One moment, please",
            target=wording.title(str(signature["output"]["name"])) if signature else "",
            controls=fields,
            wrong=next((field for field in fields if field.error), None),
            shown=shown,
            fresh=fresh,
            choices=choices(signature) if signature and ours else [],
            number=bool(ours and signature and not signature["output"].get("classes")),
            said=said or {},
            refused=refused,
            problem=problem,
            away=away or self.endpoint.away,
            answers=browser.answers,
            waiting=self.waiting(browser),
            waits=lambda answer: not self.outbox.delivered(answer.id),
            token=lambda action: self.cookies.token(browser, action),
        )

    def visitor(self) -> Browser:
        """Return the browser of this request; one without a valid cookie gets a new one."""
        browser = self.cookies.read(header("Cookie"))
        if browser is None:
            browser = Browser()
            self.remember(browser)
        return browser

    def remember(self, browser: Browser) -> None:
        cherrypy.response.headers["Set-Cookie"] = self.cookies.write(browser)

    def waiting(self, browser: Browser) -> int:
        """Return about how many of a browser's answers feedback waits to be delivered."""
        return sum(not self.outbox.delivered(answer.id) for answer in browser.answers if answer.said)


def feedback(signature: dict[str, Any] | None, shown: Answer | None, form: dict[str, str]) -> dict[str, Any]:
    """Return what the form says about an answer, as the endpoint takes it.

    Raises:
        Refused: it is not valid.
    """
    try:
        request = str(uuid.UUID(form.get("id", "")))
    except ValueError:
        raise Refused("The feedback is not about an answer of this page.") from None
    if form.get("correct") not in ("yes", "no"):
        raise Refused("Say whether the answer was right: press Yes or No.")
    comment = form.get("comment", "").replace("\r\n", "\n").strip()
    if len(comment) > COMMENT:
        raise Refused(f"The comment is too long: at most {COMMENT:,} characters.")
    said: dict[str, Any] = {"id": request, "row": 0, "correct": form["correct"] == "yes", "comment": comment}
    typed, classes = form.get("value", "").strip(), (signature or {}).get("output", {}).get("classes") or []
    if typed and classes:
        if not typed.isdecimal() or int(typed) >= len(classes):
            raise Refused("Choose one of the listed values.")
        said["value"] = classes[int(typed)]
    elif typed:
        try:
            said["value"] = float(typed.replace(",", "."))
        except ValueError:
            said["value"] = math.nan
        if not math.isfinite(said["value"]):
            raise Refused("What was it really? Enter a number.")
    elif shown and not said["correct"] and len(classes) == 2 and shown.predicted in classes:
        said["value"] = next(each for each in classes if each != shown.predicted)  # of two, it was the other one
    return said


def choices(signature: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the classes for "What was it really?", (place, label); none of two classes: there "no" says it."""
    classes = signature["output"].get("classes") or []
    if len(classes) <= 2:
        return []
    return [(str(place), wording.label(signature["output"], each)) for place, each in enumerate(classes)]


def header(name: str) -> str:
    return str(cherrypy.request.headers.get(name, ""))


def go(address: str) -> str:
    cherrypy.response.status = 303
    cherrypy.response.headers["Location"] = address
    return ""


def typed() -> dict[str, str]:
    """Return the submitted form; the last value if a name occurs twice.

    Raises:
        cherrypy.HTTPError: it is too large, has another type, is not UTF-8, or did not arrive completely.
    """
    environ = cherrypy.request.wsgi_environ
    if environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise cherrypy.HTTPError(415, "Send a form.")
    length = environ.get("CONTENT_LENGTH") or "0"
    stream = environ["wsgi.input"]
    data = stream.read(FORM_BYTES + 1)
    if not length.isdecimal() or int(length) > FORM_BYTES or len(data) > FORM_BYTES:
        discarded = 0
        while discarded < DISCARDED and (part := stream.read(64 * 1024)):
            discarded += len(part)
        raise cherrypy.HTTPError(413, "The form is too large.")
    if len(data) < int(length):
        raise cherrypy.HTTPError(400, "The form did not arrive completely.")
    try:
        return dict(parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000))
    except ValueError:
        raise cherrypy.HTTPError(400, "The form is malformed.") from None


def failed() -> None:
    """Handle a bug: log the traceback and answer with a message."""
    traceback.print_exc(file=sys.stderr)
    cherrypy.response.status = 500
    cherrypy.response.headers["Content-Type"] = "text/plain;charset=utf-8"
    cherrypy.response.body = [b"Something went wrong here. Please go back and try again."]


def application(frontend: Frontend) -> Any:
    """Return the application for a WSGI server."""
    cherrypy.config.update({"environment": "production", "log.screen": False})

    def error_page(status: str, message: str, traceback: str, version: str) -> str:
        return frontend.templates.get_template("error.html").render(status=status, message=message)

    config = {
        "/": {
            "request.process_request_body": False,
            "request.error_response": failed,
            "error_page.default": error_page,
            "request.show_tracebacks": False,
            "tools.encode.on": True,
            "tools.encode.encoding": "utf-8",
        },
        "/static": {
            "tools.staticdir.on": True,
            "tools.staticdir.dir": str(HERE / "static"),
            "tools.response_headers.on": True,
            "tools.response_headers.headers": [("Cache-Control", "no-cache")],  # asked for again after a release
        },
    }
    app = cherrypy.Application(frontend, "", config)
    app.log.access_log.disabled = True  # addresses have ids of requests in them
    return app
