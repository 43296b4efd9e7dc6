"""The page: CherryPy routes and Jinja2 templates. Works without JavaScript; with it, htmx updates parts of the page."""

import re
import sys
import traceback
from pathlib import Path
from typing import Any

import cherrypy
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pantheon.errors import PantheonError
from pantheon.state import set_served
from pantheon.store import ModelStore
from serving import formatting
from serving.endpoint.remote import Endpoint
from serving.model.champion import Champion
from serving.page import views
from serving.page.access import Access, TooMany
from serving.page.answer import Spoken
from serving.page.features import FeaturesPage
from serving.page.form import controls
from serving.page.operate import Context, Operations
from serving.page.pressing import judgement, pressed
from serving.page.recent import Recent
from serving.page.routes import route, typed
from serving.problems import Problem
from serving.questions.answers import Questions
from serving.state import State

HERE = Path(__file__).parent
FORM_BYTES = 1024 * 1024
NOTE_CHARACTERS = 2000  # of a note, at most
WHY = {  # the reasons in the address of the login page
    "link": "This link has expired or was already used. Get a new one, or enter the password.",
    "ended": "You are no longer logged in. Nothing was changed.",
}
PLOT = re.compile(r"[A-Za-z0-9_-]{1,80}\.[a-z]{3}")
PICTURE = {".svg": "image/svg+xml", ".png": "image/png"}
# A picture that is opened directly must not run scripts.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class Page:
    """The page. Its parts are polled with ``seen``, the fingerprint of their displayed content."""

    def __init__(
        self,
        state: State,
        store: ModelStore,
        champion: Champion,
        questions: Questions,
        access: Access,
        endpoint: Endpoint,
    ) -> None:
        self.state, self.store, self.champion, self.questions = state, store, champion, questions
        self.access = access
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {"ago": formatting.ago, "title_words": formatting.title}
        self.recent = Recent(state, champion, questions)
        self.plots = Plots(champion)
        self.parts = Parts(self)
        self.endpoint = endpoint
        known = questions.entities.features
        around = Context(
            self.render, state, store, questions.store, champion, self.endpoint, questions.requests.log, known
        )
        operations = Operations(around)
        self.log, self.feedback, self.routing = operations.log, operations.feedback, operations.routing
        self.monitoring, self.keys = operations.monitoring, operations.keys
        self.features = FeaturesPage(around)

    def render(self, name: str, **values: Any) -> str:
        return self.templates.get_template(name).render(named=self.state.named, **values)

    def whole(self, **ask: Any) -> str:
        """Return the complete page; ``ask`` as for ``asked``, ``notice`` after a decision.

        Without a login: the form with its answer, and the architecture.
        """
        notice, about = ask.pop("notice", None), [ask.pop(name, "") for name in ("at", "request", "entity")]
        current = self.champion.current
        lead, card = views.card(current.card) if current else ("", "")
        parts = {
            **self.status(),
            **self.asked(**ask),
            "logged_in": self.logged_in(),
            "operations": self.endpoint.active,
            "features": self.questions.entities.features.active,
            "here": "/",
            "tier": self.state.tier,
            "variant": self.state.variant,
            "diagram": views.diagram(self.state.picture),
            "lead": lead,
        }
        cherrypy.response.headers["Cache-Control"] = "no-store"
        if not parts["logged_in"]:
            return self.render("page.html", **parts, **self.login_form())
        parts |= self.services() | self.runs() | self.versions(notice) | self.answers(*about)
        model = {
            "card": card,
            "figures": views.figures(current.metrics) if current else None,
            "plots": views.plots(current) if current else [],
            "calibration": (current.metrics.get("calibration") or None) if current else None,
        }
        return self.render("page.html", **parts, **model)

    def logged_in(self) -> bool:
        headers = cherrypy.request.headers
        return self.access.logged_in(headers.get("Cookie", ""), headers.get("Authorization", ""))

    def login_form(self, problem: str = "") -> dict[str, Any]:
        """Return the values of the login form; ``problem``: why a login is needed or failed."""
        return {"login_problem": problem, "status_command": f"bin/pantheon status{self.state.named}"}

    def login_page(self, problem: str = "") -> str:
        return self.render("login.html", **self.login_form(problem))

    def asked(
        self,
        values: dict[str, str] | None = None,
        problem: Problem | None = None,
        said: Spoken | None = None,
        judged: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the form's values, with the prediction or the error after the button was pressed.

        Args:
            judged: the tone and the words after the person said whether a prediction was right.
        """
        current = self.champion.current
        fields = controls(current.signature, values, problem) if current else []
        return {
            "current": current,
            "controls": fields,
            "said": said,
            "problem": problem,
            "judged": judged,
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

    def answers(self, at: str = "", request: str = "", entity: str = "") -> dict[str, Any]:
        """Return the answers about the architecture for what was typed: a time T, the id of a request, an entity."""
        shown = self.recent(at, request, entity)
        return {"q": shown, "questions_seen": views.fingerprint([shown["questions"], shown["problem"]])}

    @route("GET", "HEAD")
    def index(self, at: str = "", request: str = "", entity: str = "") -> str:
        return self.whole(at=at, request=request, entity=entity)

    @route("POST")
    def press(self) -> str:
        """Handle the button: predict."""
        values = typed()
        current = self.champion.current
        ask: dict[str, Any] = {"values": values}
        if current is not None:
            try:
                ask["said"] = pressed(current, self.endpoint, values)
            except Problem as problem:
                ask["problem"] = problem
        if cherrypy.request.headers.get("HX-Request"):
            return self.render("_ask.html", **self.asked(**ask))
        return self.whole(**ask)

    @route("POST")
    def judge(self) -> str:
        """Handle "Was this right?"."""
        try:
            self.endpoint.feedback(judgement(typed(), self.champion.current))
            judged = ("good", "Thank you. Your answer is in the log beside the prediction.")
        except Problem as problem:
            judged = ("bad", problem.message)
        if cherrypy.request.headers.get("HX-Request"):
            return self.render("_judge.html", said=None, judged=judged)
        return self.whole(judged=judged)

    @route("GET", "HEAD", "POST")
    def login(self, token: str = "", why: str = "") -> str:
        """Log in with a link (``token``) or with the form's password, and send the browser to an address without it."""
        cherrypy.response.headers["Cache-Control"] = "no-store"
        if cherrypy.request.method == "POST":
            try:
                cookie = self.access.with_password(typed().get("password", ""))
            except TooMany as error:
                cherrypy.response.status = 429
                cherrypy.response.headers["Retry-After"] = str(error.seconds)
                wait = f"{error.seconds} second{'s' if error.seconds > 1 else ''}"
                return self.login_page(f"Too many wrong passwords. Try again in {wait}, or use a login link.")
            if not cookie:
                cherrypy.response.status = 403
                return self.login_page("This is not the password.")
            return self.go("/", cookie)
        if token and cherrypy.request.method == "GET":
            cookie = self.access.with_link(token)
            return self.go("/" if cookie or self.logged_in() else "/login?why=link", cookie)
        return self.go("/") if self.logged_in() else self.login_page(WHY.get(why, ""))

    @route("POST")
    def logout(self) -> str:
        return self.go("/", self.access.log_out(cherrypy.request.headers.get("Cookie", "")))

    def go(self, address: str, cookie: str = "") -> str:
        """Send the browser to ``address``; ``cookie`` is a ``Set-Cookie`` header."""
        response = cherrypy.response
        response.status = 303
        response.headers["Location"] = address
        if cookie:
            response.headers["Set-Cookie"] = cookie
        return ""

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
        """Handle a decision about a version, unless the challenger or champion changed since the page was loaded."""
        values = typed()
        model, version, note = (
            values.get("model", ""),
            values.get("version", ""),
            values.get("note", "").strip()[:NOTE_CHARACTERS],
        )
        try:
            if verb == "approve":
                self.store.approve(model, version=version, by="page", note=note)
                notice = self.serve(model, version, "is approved")
            elif verb == "rollback":
                self.go_back(model, version, values.get("champion", ""), note)
                notice = self.serve(model, version, "is the champion again")
            else:
                self.store.hold(model, version=version, by="page", note=note)
                notice = ("good", f"Version {version} is held; your note was saved.")
        except (PantheonError, OSError) as error:
            notice = ("bad", str(error))
        if cherrypy.request.headers.get("HX-Request"):
            return self.render("_versions.html", **self.versions(notice))
        return self.whole(notice=notice)

    def go_back(self, model: str, version: str, champion: str, note: str) -> None:
        """Make an older version the champion, replacing ``champion``, the version that the page showed."""
        if problems := self.store.verify(model, version):
            raise PantheonError(f"version {version} is damaged: {problems[0]}")
        note = note or f"rollback from version {champion}"
        self.store.promote(model, version, expected=champion or None, by="page", note=note)
        self.store.drop(model, "challenger", expected=version)  # it no longer waits for approval

    def serve(self, model: str, version: str, done: str) -> tuple[str, str]:
        """Serve the champion of ``model`` immediately. Return the notice for the page."""
        set_served(self.state.folder, model)
        self.champion.refresh()
        if self.champion.refusal:
            return "bad", f"Version {version} {done}, but cannot be served: {self.champion.refusal.why}"
        return "good", f"Version {version} {done} and is serving now."


class Parts:
    """The parts that the page polls; 204 if the page already shows the current content."""

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
    def questions(self, seen: str = "", at: str = "", request: str = "", entity: str = "") -> str:
        return self._part("questions", self._page.answers(at, request, entity), seen)


class Plots:
    """The pictures of the current bundle and of earlier ones: ``/plots/VERSION/FILE``.

    The checksums were verified when the bundle was loaded. Earlier versions are included because browsers load pictures
    when they scroll into view, and the version may have changed since the page was loaded.
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


def failed() -> None:
    """Handle a bug in Pantheon: log the traceback and answer with a message."""
    traceback.print_exc(file=sys.stderr)
    cherrypy.response.status = 500
    cherrypy.response.headers["Content-Type"] = "text/plain;charset=utf-8"
    cherrypy.response.body = [b"An internal error occurred; see the button's log."]


def application(page: Page) -> Any:
    """Return the page as a WSGI app."""
    cherrypy.config.update({"environment": "production", "log.screen": False})

    def error_page(status: str, message: str, traceback: str, version: str) -> str:
        return page.render("error.html", status=status, message=message)

    config = {
        "/": {
            "request.process_request_body": False,
            "request.error_response": failed,
            "error_page.default": error_page,
            "request.show_tracebacks": False,
            "tools.trailing_slash.on": False,  # /log is a page
            "tools.encode.on": True,
            "tools.encode.encoding": "utf-8",
            "tools.response_headers.on": True,
            "tools.response_headers.headers": [("Server", "pantheon")],
        },
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": str(HERE / "static")},
    }
    app = cherrypy.Application(page, "", config)
    app.log.access_log.disabled = True  # it would log the addresses of login links
    return app
