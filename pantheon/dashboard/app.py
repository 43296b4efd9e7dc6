"""The dashboard's pages (CherryPy). The login in front of it says who asks; each route checks what that role allows."""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, quote

import cherrypy
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pantheon.dashboard import words
from pantheon.dashboard.board import Sources
from pantheon.errors import PantheonError
from pantheon.hub.oauth import USER
from pantheon.hub.roles import DEFAULT, ROLES, role_in
from pantheon.hub.session import User
from pantheon.kubeflow.client import Failed
from pantheon.web.wsgi import REFUSED

HERE = Path(__file__).parent
EXAMPLES = HERE / "examples"
LOG_BYTES = 64 << 10  # of a log's end that a page shows
CHANGES = 200  # of the page with all of them
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def route(*methods: str) -> Callable[[_Handler], _Handler]:
    """A method as a route for these HTTP methods; others get 405."""

    def expose(handler: _Handler) -> _Handler:
        return cast(_Handler, cherrypy.expose(cherrypy.tools.allow(methods=methods)(handler)))

    return expose


class Dashboard:
    """The routes. Methods of programs and forms are the same: what is refused is refused to both.

    Args:
        links: addresses of other services, by title.
    """

    def __init__(self, sources: Sources, links: dict[str, str]) -> None:
        self.sources, self.links = sources, links
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {
            "ago": words.ago, "size": words.size, "moment": words.moment, "address": lambda text: quote(text, safe=""),
            "yaml": lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True),
        }  # fmt: skip

    @route("GET", "HEAD")
    def index(self, profile: str = "") -> str:
        """Show what runs in a profile."""
        user, profile = self.visitor(profile)
        values: dict[str, Any] = {"kinds": [], "changes": [], "models": [], "problems": []}
        reads: tuple[tuple[str, str, Callable[[], Any]], ...] = (
            ("kinds", "objects.see", lambda: self.sources.kinds(user, profile)),
            ("changes", "activity.see", lambda: self.sources.kubeflow(user.name).changes(profile, 8)),
            ("models", "models.see", self.sources.models),
        )
        for name, action, read in reads:
            if not user.may(action, DEFAULT if name == "models" else profile):
                continue
            try:
                values[name] = read()
            except (PantheonError, OSError) as error:  # the rest of the page is still of use
                values["problems"].append(str(error))
        return self.page("overview", user, profile, examples=examples(), links=self.links, **values)

    @route("GET", "HEAD")
    def activity(self, profile: str = "") -> str:
        """Show who did what."""
        user, profile = self.visitor(profile)
        self.need(user, "activity.see", profile)
        changes = self.sources.kubeflow(user.name).changes(profile, CHANGES)
        return self.page("activity", user, profile, changes=changes)

    @route("GET", "HEAD")
    def people(self, profile: str = "") -> str:
        """Show who may do what."""
        user, profile = self.visitor(profile)
        self.need(user, "people.see", profile)
        return self.page("people", user, profile, roles=ROLES, **self.sources.who_may(user))

    @route("GET", "HEAD")
    def volumes(self, profile: str = "") -> str:
        """Show the folders of the deployment with their sizes."""
        user, profile = self.visitor(profile)
        self.need(user, "volumes.see", DEFAULT)
        return self.page("volumes", user, profile, volumes=self.sources.volumes())

    @route("GET", "HEAD", "POST")
    def models(self, profile: str = "") -> str:
        """Show the models; a POST makes a version the champion."""
        user, profile = self.visitor(profile)
        if cherrypy.request.method == "POST":
            self.need(user, "models.promote", DEFAULT)
            form = typed()
            name, version = form.get("model", ""), form.get("version", "")
            if problems := self.sources.store.verify(name, version):
                raise PantheonError(f"version {version} of {name} is damaged: {problems[0]}", "Choose another version.")
            self.sources.store.promote(name, version, expected=form.get("champion") or None, by=user.name)
            return go(f"/models?profile={quote(profile)}")
        self.need(user, "models.see", DEFAULT)
        may = user.may("models.promote", DEFAULT)
        return self.page("models", user, profile, models=self.sources.models(), may_promote=may)

    @route("GET", "HEAD", "POST")
    def apply(self, profile: str = "", example: str = "") -> str:
        """Show a form for manifests, and apply them."""
        user, profile = self.visitor(profile)
        self.need(user, "objects.apply", profile)
        text = examples().get(example, "")
        if cherrypy.request.method != "POST":
            return self.page("apply", user, profile, text=text, problem=None)
        text = typed().get("manifests", "")
        try:
            # The service refuses manifests that name another profile.
            done = self.sources.kubeflow(user.name).apply(text.encode(), profile)
        except Failed as error:
            cherrypy.response.status = error.code
            return self.page("apply", user, profile, text=text, problem=error)
        first, client = done[0], self.sources.kubeflow(user.name)
        plural = next(each["plural"] for each in client.kinds() if each["name"] == first["kind"])
        return go(f"/objects/{profile}/{plural}/{quote(first['name'])}" if len(done) == 1 else f"/?profile={profile}")

    @route("GET", "HEAD", "POST")
    def objects(self, profile: str, plural: str, name: str = "", action: str = "", log: str = "") -> str:
        """Show the objects of a kind, or one of them; a POST deletes it or does one of its kind's actions."""
        user, profile = self.visitor(profile)
        client = self.sources.kubeflow(user.name)
        here = f"/objects/{quote(profile)}/{quote(plural)}"
        if action and cherrypy.request.method == "POST":
            self.need(user, "objects.delete" if action == "delete" else "objects.act", profile)
            if action == "delete":
                client.delete(plural, name, profile)
                return go(here)
            client.act(plural, name, action, profile)
            return go(f"{here}/{quote(name)}")
        if action or cherrypy.request.method == "POST":
            raise cherrypy.HTTPError(405, "Send a POST to an action's address.")
        self.need(user, "objects.see", profile)
        kind = next((each for each in client.kinds() if each["plural"] == plural), None)
        if kind is None:
            raise cherrypy.HTTPError(404, f"There is no kind {plural[:60]!r} here.")
        if not name:
            rows = client.table(plural, namespace=profile)["rows"][::-1]
            return self.page("kind", user, profile, kind=kind, rows=rows)
        found, logs, text = client.get(plural, name, profile), client.logs(plural, name, profile), ""
        if log:
            text = client.log(plural, name, log, -LOG_BYTES, profile)[0].decode(errors="replace")
        may = {"delete": user.may("objects.delete", profile), "act": user.may("objects.act", profile)}
        return self.page("object", user, profile, kind=kind, object=found, logs=logs, log=log, text=text, may=may)

    def visitor(self, profile: str) -> tuple[User, str]:
        """Return who asks, and the profile: the one that the address names, else the user's first.

        Raises:
            cherrypy.HTTPError: the user has no role there.
        """
        user: User = cherrypy.request.wsgi_environ[USER]
        seen = self.sources.profiles(user)
        if profile and profile not in seen:  # the same answer whether it exists or not
            raise cherrypy.HTTPError(403, f"{user.name} has no role in a profile {profile[:63]!r}.")
        if not seen:
            raise cherrypy.HTTPError(403, f"{user.name} has no role in any profile.")
        return user, profile or seen[0]

    def need(self, user: User, action: str, profile: str) -> None:
        """Refuse what the user's role does not allow."""
        if not user.may(action, profile):
            role = role_in(user.profiles, profile)
            has = f"has the role {role}" if role else "has no role"
            raise cherrypy.HTTPError(403, f"{user.name} {has} in the profile {profile}, which does not allow {action}.")

    def page(self, name: str, user: User, profile: str, **values: Any) -> str:
        cherrypy.response.headers.update(HEADERS)
        around = {"user": user, "profile": profile, "profiles": self.sources.profiles(user), "here": name}
        return self.templates.get_template(f"{name}.html").render(**around, **values)


def examples() -> dict[str, str]:
    """Return manifests to begin with, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))}


def go(address: str) -> str:
    cherrypy.response.status = 303
    cherrypy.response.headers["Location"] = address
    return ""


def typed() -> dict[str, str]:
    """Return the submitted form.

    Raises:
        cherrypy.HTTPError: it is too large, incomplete, or no form.
    """
    environ = cherrypy.request.wsgi_environ
    if environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise cherrypy.HTTPError(415, "Send a form.")
    if refused := environ.get(REFUSED):
        raise cherrypy.HTTPError(refused.status, refused.message)
    try:
        text = environ["wsgi.input"].read().decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError:
        raise cherrypy.HTTPError(400, "The form is malformed.") from None


def wants_json() -> bool:
    return "text/html" not in str(cherrypy.request.headers.get("Accept", ""))


def application(dashboard: Dashboard) -> Any:
    """Return the application for a WSGI server."""
    cherrypy.config.update({"environment": "production", "log.screen": False})

    def answer(status: int, message: str, cure: str) -> bytes:
        cherrypy.response.status = status
        cherrypy.response.headers.update(HEADERS)
        if wants_json():
            cherrypy.response.headers["Content-Type"] = "application/json"
            return json.dumps({"error": {"message": message, "cure": cure}}).encode() + b"\n"
        cherrypy.response.headers["Content-Type"] = "text/html;charset=utf-8"
        text = dashboard.templates.get_template("error.html").render(status=status, message=message, cure=cure)
        return text.encode()

    def error_page(status: str, message: str, traceback: str, version: str) -> bytes:
        return answer(int(status.split()[0]), message, "")

    def failed() -> None:
        """Answer errors of the services with their cause; log others, which are bugs."""
        error = sys.exc_info()[1]
        if isinstance(error, PantheonError):
            status = error.code if isinstance(error, Failed) else 409 if error.status == 1 else 422
            cherrypy.response.body = [answer(status, error.cause, error.cure)]
            return
        traceback.print_exc(file=sys.stderr)
        cherrypy.response.body = [answer(500, "An internal error occurred; see the service's log.", "")]

    config = {
        "/": {
            "request.process_request_body": False,
            "request.error_response": failed,
            "error_page.default": error_page,
            "request.show_tracebacks": False,
            "tools.encode.on": True,
            "tools.encode.encoding": "utf-8",
        },
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": str(HERE / "static")},
    }
    app = cherrypy.Application(dashboard, "", config)
    app.log.access_log.disabled = True
    return app
