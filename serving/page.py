"""The page: CherryPy routes and Jinja2 templates. Whole without JavaScript; htmx swaps parts where there is some."""

import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import cherrypy
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pantheon.errors import PantheonError
from pantheon.store import ModelStore
from pantheon.workflow.run import write_json
from serving import body, views, words
from serving.answer import Spoken, spoken
from serving.champion import Champion
from serving.form import controls, row
from serving.problems import Problem
from serving.questions import Questions
from serving.recent import Recent
from serving.state import State

HERE = Path(__file__).parent
FORM_BYTES = 1024 * 1024
NOTE = 2000  # characters of a note, at most
PLOT = re.compile(r"[A-Za-z0-9_-]{1,80}\.[a-z]{3}")
PICTURE = {".svg": "image/svg+xml", ".png": "image/png"}
# A picture opened by itself must not run what it may hold.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def route(*methods: str) -> Callable[[_Handler], _Handler]:
    """A method of a page's class as a route for these HTTP methods; others get 405."""

    def expose(handler: _Handler) -> _Handler:
        return cast(_Handler, cherrypy.expose(cherrypy.tools.allow(methods=methods)(handler)))

    return expose


class Page:
    """Everything people look at. Parts are polled with ``seen``, the fingerprint of what they show already."""

    def __init__(self, state: State, store: ModelStore, champion: Champion, questions: Questions) -> None:
        self.state, self.store, self.champion, self.questions = state, store, champion, questions
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {"ago": words.ago, "title_words": words.title}
        self.recent = Recent(state, champion, questions)
        self.plots = Plots(champion)
        self.parts = Parts(self)

    def render(self, name: str, **values: Any) -> str:
        return self.templates.get_template(name).render(**values)

    def whole(self, **ask: Any) -> str:
        """The page with everything on it; ``ask`` as for ``asked``, ``notice`` after a decision."""
        notice, at = ask.pop("notice", None), ask.pop("at", "")
        current = self.champion.current
        tier = self.state.tier
        lead, card = views.card(current.card) if current else ("", "")
        parts = self.status() | self.services() | self.runs() | self.versions(notice) | self.asked(**ask)
        parts |= self.answers(at)
        model = {
            "tier": tier,
            "variant": self.state.variant,
            "diagram": views.diagram(self.state.picture),
            "lead": lead,
            "card": card,
            "figures": views.figures(current.metrics) if current else None,
            "plots": views.plots(current) if current else [],
            "calibration": (current.metrics.get("calibration") or None) if current else None,
        }
        return self.render("page.html", **parts, **model)

    def asked(
        self, values: dict[str, str] | None = None, problem: Problem | None = None, said: Spoken | None = None
    ) -> dict[str, Any]:
        """The form, with the answer or the problem when the button was pressed."""
        current = self.champion.current
        fields = controls(current.signature, values, problem) if current else []
        return {
            "current": current,
            "controls": fields,
            "said": said,
            "problem": problem,
            "misfit": next((c for c in fields if c.error), None),
        }

    def status(self) -> dict[str, Any]:
        current, refusal = self.champion.current, self.champion.refusal
        seen = views.fingerprint([current and [current.model, current.version], refusal and vars(refusal)])
        return {"current": current, "refusal": refusal, "status_seen": seen}

    def services(self) -> dict[str, Any]:
        shown = views.services(self.state)
        return {**shown, "services_seen": views.fingerprint(shown)}

    def runs(self) -> dict[str, Any]:
        shown = views.runs(self.state)
        return {"runs": shown, "runs_seen": views.fingerprint(shown)}

    def versions(self, notice: tuple[str, str] | None = None) -> dict[str, Any]:
        shown = views.versions(self.state, self.questions.store, self.champion.current)
        return {"v": shown, "versions_seen": views.fingerprint(shown), "notice": notice}

    def answers(self, at: str = "") -> dict[str, Any]:
        """What the architecture can answer; ``at`` is the time T that was typed."""
        shown = self.recent(at)
        return {"q": shown, "questions_seen": views.fingerprint([shown["questions"], shown["problem"]])}

    @route("GET", "HEAD")
    def index(self, at: str = "") -> str:
        return self.whole(at=at)

    @route("POST")
    def press(self) -> str:
        """The button."""
        values = typed()
        current = self.champion.current
        ask: dict[str, Any] = {"values": values}
        if current is not None:
            try:
                ask["said"] = spoken(current, current.predict([row(current.signature, values)]))
            except Problem as problem:
                ask["problem"] = problem
        if cherrypy.request.headers.get("HX-Request"):
            return self.render("_ask.html", **self.asked(**ask))
        return self.whole(**ask)

    @route("POST")
    def approve(self) -> str:
        return self.decide("approve")

    @route("POST")
    def hold(self) -> str:
        return self.decide("hold")

    @route("POST")
    def rollback(self) -> str:
        return self.decide("rollback")

    def decide(self, verb: str) -> str:
        """A person's word on a version; the challenger or champion they looked at must still be the one."""
        values = typed()
        model, version, note = values.get("model", ""), values.get("version", ""), values.get("note", "").strip()[:NOTE]
        try:
            if verb == "approve":
                self.store.approve(model, version=version, by="page", note=note)
                notice = self.serve(model, version, "is approved")
            elif verb == "rollback":
                self.go_back(model, version, values.get("champion", ""), note)
                notice = self.serve(model, version, "is the champion again")
            else:
                self.store.hold(model, version=version, by="page", note=note)
                notice = ("good", f"Version {version} is held; your note is kept with it.")
        except (PantheonError, OSError) as error:
            notice = ("bad", str(error))
        if cherrypy.request.headers.get("HX-Request"):
            return self.render("_versions.html", **self.versions(notice))
        return self.whole(notice=notice)

    def go_back(self, model: str, version: str, champion: str, note: str) -> None:
        """Make an older version the champion in place of ``champion``, the one that was shown."""
        if problems := self.store.verify(model, version):
            raise PantheonError(f"version {version} is damaged: {problems[0]}")
        note = note or f"back from version {champion}"
        self.store.promote(model, version, expected=champion or None, by="page", note=note)
        self.store.drop(model, "challenger", expected=version)  # decided, if it waited

    def serve(self, model: str, version: str, done: str) -> tuple[str, str]:
        """Have the champion of ``model`` answer, at once; the notice that tells it."""
        write_json(self.state.folder / "state" / "serving.json", {"model": model})
        self.champion.look()
        if self.champion.refusal:
            return "bad", f"Version {version} {done}, but cannot be served: {self.champion.refusal.why}"
        return "good", f"Version {version} {done} and answers now."


class Parts:
    """What the page polls: nothing (204) while it shows the newest already."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def _part(self, name: str, values: dict[str, Any], seen: str) -> str:
        cherrypy.response.headers["Cache-Control"] = "no-store"
        if seen == values[f"{name}_seen"]:
            cherrypy.response.status = 204
            return ""
        return self._page.render(f"_{name}.html", **values)

    @route("GET", "HEAD")
    def status(self, seen: str = "") -> str:
        return self._part("status", self._page.status(), seen)

    @route("GET", "HEAD")
    def services(self, seen: str = "") -> str:
        return self._part("services", self._page.services(), seen)

    @route("GET", "HEAD")
    def runs(self, seen: str = "") -> str:
        return self._part("runs", self._page.runs(), seen)

    @route("GET", "HEAD")
    def versions(self, seen: str = "") -> str:
        return self._part("versions", self._page.versions(), seen)

    @route("GET", "HEAD")
    def questions(self, seen: str = "", at: str = "") -> str:
        return self._part("questions", self._page.answers(at), seen)


class Plots:
    """The pictures of a bundle that answers or has answered: ``/plots/VERSION/FILE``.

    Its checksums were verified when it was loaded. Versions before this one too, since a page's pictures are asked for
    as they come into view, and the version may have changed since the page was made.
    """

    def __init__(self, champion: Champion) -> None:
        self._champion = champion

    @route("GET", "HEAD")
    def default(self, version: str = "", file: str = "") -> bytes:
        folder, suffix = self._champion.folders.get(version), Path(file).suffix
        if folder is None or suffix not in PICTURE or not PLOT.fullmatch(file):
            raise cherrypy.NotFound()
        try:
            picture = (folder / "plots" / file).read_bytes()
        except OSError:
            raise cherrypy.NotFound() from None
        headers = cherrypy.response.headers
        headers["Content-Type"] = PICTURE[suffix]
        headers["Content-Security-Policy"] = PICTURE_POLICY
        headers["Cache-Control"] = "no-cache"
        return picture


def typed() -> dict[str, str]:
    """The form that was sent; the last value where a name comes twice.

    Raises:
        cherrypy.HTTPError: too large, of another type, not UTF-8, or of absurdly many fields.
    """
    environ = cherrypy.request.wsgi_environ
    if environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise cherrypy.HTTPError(415, "Send a form.")
    try:
        text = body.read(environ, FORM_BYTES).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=10_000))
    except Problem as problem:
        raise cherrypy.HTTPError(problem.status, problem.message) from None
    except ValueError:
        raise cherrypy.HTTPError(400, "The form is malformed.") from None


def failed() -> None:
    """A bug of ours: its trace goes to the log, a sentence to the person."""
    traceback.print_exc(file=sys.stderr)
    cherrypy.response.status = 500
    cherrypy.response.headers["Content-Type"] = "text/plain;charset=utf-8"
    cherrypy.response.body = [b"Something went wrong on our side; the button's log has more."]


def application(page: Page) -> Any:
    """The page as a WSGI app."""
    cherrypy.config.update({"environment": "production", "log.screen": False})

    def error_page(status: str, message: str, traceback: str, version: str) -> str:
        return page.render("error.html", status=status, message=message)

    config = {
        "/": {
            "request.process_request_body": False,
            "request.error_response": failed,
            "error_page.default": error_page,
            "request.show_tracebacks": False,
            "tools.encode.on": True,
            "tools.encode.encoding": "utf-8",
            "tools.response_headers.on": True,
            "tools.response_headers.headers": [("Server", "pantheon")],
        },
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": str(HERE / "static")},
    }
    return cherrypy.Application(page, "", config)
