"""The instructor's pages (CherryPy): the board, the login, and the board as JSON."""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import cherrypy
import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pantheon.tiers import find
from pantheon.workshop import board
from pantheon.workshop.place import Place
from serving import formatting
from serving.page.access import Access, TooMany
from serving.page.routes import route, typed

HERE = Path(__file__).parent
STATIC = HERE.parent / "page" / "static"
FORM_BYTES = 64 * 1024
STATES = {"up": "good", "starting": "", "trouble": "bad", "down": "bad"}


class Board:
    """The routes."""

    def __init__(self, place: Place, access: Access) -> None:
        self.place, self.access = place, access
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {"ago": formatting.ago}

    @route("GET", "HEAD")
    def index(self) -> str:
        """Show who is where."""
        cherrypy.response.headers["Cache-Control"] = "no-store"
        workshop = self.place.read()
        seats = board.seats(self.place, workshop) if workshop else []
        tiers = list(dict.fromkeys(seat.tier for seat in seats if seat.tier))
        return self.templates.get_template("board.html").render(
            title=find(workshop.tier).title if workshop else "The workshop has ended",
            seats=seats,
            exercises={tier: board.exercises(tier) for tier in tiers},
            states=STATES,
            up=sum(seat.state == "up" for seat in seats),
            passed=sum(len(seat.passed) for seat in seats),
        )

    @route("GET", "HEAD")
    def board_json(self) -> bytes:
        """Return everybody's seat as JSON."""
        cherrypy.response.headers["Content-Type"] = "application/json"
        workshop = self.place.read()
        return msgspec.json.encode({"people": board.seats(self.place, workshop) if workshop else []}) + b"\n"

    @route("GET", "HEAD", "POST")
    def login(self, token: str = "") -> str:
        """Log in with a link (``token``) or with the form's password."""
        cherrypy.response.headers["Cache-Control"] = "no-store"
        if cherrypy.request.method == "POST":
            try:
                cookie = self.access.with_password(typed().get("password", ""))
            except TooMany as error:
                cherrypy.response.status = 429
                return self.login_page(f"Too many wrong passwords. Try again in {error.seconds} s.")
            if not cookie:
                cherrypy.response.status = 403
                return self.login_page("This is not the password.")
            return self.go("/", cookie)
        if token:
            cookie = self.access.with_link(token)
            return self.go("/", cookie) if cookie else self.login_page("This link has expired, or was used.")
        return self.login_page()

    @route("POST")
    def logout(self) -> str:
        return self.go("/login", self.access.log_out(cherrypy.request.headers.get("Cookie", "")))

    def login_page(self, problem: str = "") -> str:
        return self.templates.get_template("login.html").render(problem=problem)

    def go(self, address: str, cookie: str) -> str:
        """Send the browser to ``address``; ``cookie`` is a ``Set-Cookie`` header."""
        response = cherrypy.response
        response.status = 303
        response.headers |= {"Location": address, "Set-Cookie": cookie}
        return ""


def application(pages: Board) -> Any:
    """Return the pages as a WSGI app."""
    cherrypy.config.update({"environment": "production", "log.screen": False})

    def error_page(status: str, message: str, traceback: str, version: str) -> str:
        cherrypy.response.headers["Content-Type"] = "application/json"
        return json.dumps({"error": message})

    def failed() -> None:
        traceback.print_exc(file=sys.stderr)
        cherrypy.response.status = 500
        cherrypy.response.body = [b"An internal error occurred; see page.log."]

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
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": str(STATIC)},
    }
    app = cherrypy.Application(pages, "", config)
    app.log.access_log.disabled = True  # it would log the addresses of login links
    return app
