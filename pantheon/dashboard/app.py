"""The dashboard's pages (CherryPy). The login in front of it says who asks; each route checks what that role allows."""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cherrypy
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pantheon.dashboard import beginning, words
from pantheon.dashboard.board import Sources
from pantheon.dashboard.http import JSON, body, content_type, go, route, typed, wants_json
from pantheon.dashboard.orders import KeyUsed, Missing, read_order, shown
from pantheon.errors import PantheonError
from pantheon.hub.oauth import USER
from pantheon.hub.roles import DEFAULT, ROLES, role_in
from pantheon.hub.session import User
from pantheon.kubeflow.client import Failed

HERE = Path(__file__).parent
EXAMPLES = HERE / "examples"
LOG_BYTES = 64 << 10  # of a log's end that a page shows
LINKS = {"Notebooks": "servers.start", "Servers of others": "servers.stop", "TensorBoard": "tensorboard.see"}
RUNS = "pipelineruns"
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
            "yaml": words.yaml, "short": words.short, "heading": words.heading,
        }  # fmt: skip

    @route("GET", "HEAD")
    def index(self, profile: str = "") -> str:
        """Show what runs in a profile."""
        user, profile = self.visitor(profile)
        values: dict[str, Any] = {"kinds": [], "changes": [], "models": [], "orders": [], "servers": [], "problems": []}
        reads: tuple[tuple[str, str, Callable[[], Any]], ...] = (
            ("kinds", "objects.see", lambda: self.sources.kinds(user, profile)),
            ("changes", "activity.see", lambda: self.sources.changes(user, profile, 8)),
            ("models", "models.see", self.sources.models),
            ("orders", "orders.see", lambda: self.sources.orders.all(profile)),
            ("servers", "servers.see", lambda: self.sources.servers.of(profile)),
        )
        for name, action, read in reads:
            if not user.may(action, DEFAULT if name == "models" else profile):
                continue
            try:
                values[name] = read()
            except (PantheonError, OSError) as error:  # the rest of the page is still of use
                values["problems"].append(str(error))
        links = self.links_of(user, profile)
        return self.page("overview", user, profile, examples=examples(), links=links, **values)

    @route("GET", "HEAD")
    def servers(self, profile: str = "") -> str:
        """Show the servers with JupyterLab of the profile's members."""
        user, profile = self.visitor(profile)
        self.need(user, "servers.see", profile)
        found, links = self.sources.servers.of(profile), self.links_of(user, profile)
        return self.page("servers", user, profile, servers=found, links=links)

    @route("GET", "HEAD")
    def activity(self, profile: str = "") -> str:
        """Show who did what."""
        user, profile = self.visitor(profile)
        self.need(user, "activity.see", profile)
        changes = self.sources.changes(user, profile, CHANGES)
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
    def run(self, profile: str = "") -> str:
        """Show a form that starts a run of the workflow; a POST starts it."""
        user, profile = self.visitor(profile)
        self.need(user, "runs.start", profile)
        values, problem = {"dataset": self.sources.dataset()}, None
        if cherrypy.request.method == "POST":
            values = typed()
            try:
                name = beginning.start(self.sources.kubeflow(user.name), self.sources.state, values, profile)
                return go(f"/objects/{profile}/{RUNS}/{quote(name)}")
            except PantheonError as error:
                cherrypy.response.status, problem = error.code if isinstance(error, Failed) else 422, error
        datasets = self.sources.datasets()
        fields = beginning.PARAMS
        return self.page("run", user, profile, values=values, problem=problem, datasets=datasets, fields=fields)

    @route("GET", "HEAD", "POST")
    def orders(self, id: str = "", profile: str = "") -> str | bytes:
        """Show the orders, one of them, or a form (``new``); a POST places one, as a form or as JSON."""
        if cherrypy.request.method == "POST":
            if id:
                raise cherrypy.HTTPError(405, "Send a POST to /orders.")
            return self.place_json() if content_type() == JSON else self.place_form(profile)
        if id and id != "new":
            return self.order(id)
        user, profile = self.visitor(profile)
        if id:
            self.need(user, "orders.place", profile)
            return self.order_form(user, profile, {"key": beginning.new_key()}, None)
        self.need(user, "orders.see", profile)
        found = self.sources.orders.all(profile)
        if wants_json():
            return self.json({"orders": [shown(*each) for each in found]})
        return self.page("orders", user, profile, orders=found)

    def order(self, id: str) -> str | bytes:
        """Show one order; who may not see it gets the same answer as for one that does not exist."""
        user: User = cherrypy.request.wsgi_environ[USER]
        placed = self.sources.orders.placed(id)
        profile = placed.order.namespace
        if not user.may("orders.see", profile):
            raise Missing(f"there is no order {id[:40]!r}.", "See them: `bin/pantheon orders list`")
        record = self.sources.orders.record(id)
        if wants_json():
            return self.json(shown(placed, record))
        return self.page("order", user, profile, placed=placed, record=record)

    def place_json(self) -> bytes:
        """Place an order of a program; the header Idempotency-Key has its key."""
        order = read_order(body())
        user, profile = self.visitor(order.namespace)
        self.need(user, "orders.place", profile)
        key = str(cherrypy.request.headers.get("Idempotency-Key", ""))
        if not key:
            cause = "the header Idempotency-Key is missing: with it, an order that is sent twice is placed once."
            raise PantheonError(cause, "Send a new UUID with each new order.")
        placed, new = self.sources.orders.place(key, user.name, order)
        cherrypy.response.status = 201 if new else 200
        cherrypy.response.headers["Location"] = f"/orders/{placed.id}"
        return self.json(shown(placed, self.sources.orders.record(placed.id)))

    def place_form(self, profile: str) -> str:
        """Place an order of the form, or show the form again with what is wrong."""
        user, profile = self.visitor(profile)
        self.need(user, "orders.place", profile)
        form = typed()
        try:
            order = read_order(beginning.order_of(form, profile))
            placed, _ = self.sources.orders.place(form.get("key", ""), user.name, order)
        except PantheonError as error:
            cherrypy.response.status = 409 if isinstance(error, KeyUsed) else 422
            return self.order_form(user, profile, form, error)
        return go(f"/orders/{placed.id}")

    def order_form(self, user: User, profile: str, values: dict[str, str], problem: PantheonError | None) -> str:
        given = {"values": values, "problem": problem, "sections": beginning.SECTIONS, "params": beginning.PARAMS}
        return self.page("order_form", user, profile, **given)

    @route("GET", "HEAD", "POST")
    def objects(self, profile: str, plural: str, name: str = "", action: str = "", log: str = "") -> str:
        """Show the objects of a kind, or one of them; a POST deletes it or does one of its kind's actions."""
        user, profile = self.visitor(profile)
        client = self.sources.kubeflow(user.name)
        here = f"/objects/{quote(profile)}/{quote(plural)}"
        if action and cherrypy.request.method == "POST":
            of_runs = {"stop": "runs.stop", "resume": "runs.start"} if plural == RUNS else {}
            needed = "objects.delete" if action == "delete" else of_runs.get(action, "objects.act")
            self.need(user, needed, profile)
            if action == "delete":
                client.delete(plural, name, profile)
                return go(here)
            client.act(plural, name, action, profile)
            return go(f"{here}/{quote(name)}")
        if action or cherrypy.request.method == "POST":
            raise cherrypy.HTTPError(405, "Send a POST to an action's address.")
        self.need(user, "runs.see" if plural == RUNS else "objects.see", profile)
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

    def links_of(self, user: User, profile: str) -> dict[str, str]:
        """Return the addresses of other services that a user may open."""
        return {title: at for title, at in self.links.items() if user.may(LINKS.get(title, "runs.see"), profile)}

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

    def json(self, value: Any) -> bytes:
        cherrypy.response.headers.update(HEADERS)
        cherrypy.response.headers["Content-Type"] = JSON
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    def page(self, name: str, user: User, profile: str, **values: Any) -> str:
        cherrypy.response.headers.update(HEADERS)
        around = {"user": user, "profile": profile, "profiles": self.sources.profiles(user), "here": name}
        return self.templates.get_template(f"{name}.html").render(**around, **values)


def examples() -> dict[str, str]:
    """Return manifests to begin with, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))}


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
            status = 404 if isinstance(error, Missing) else 409 if isinstance(error, KeyUsed) else status
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
