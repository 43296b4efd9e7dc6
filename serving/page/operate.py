"""The operators' pages, from epimetheus on: the log, feedback, routing, monitoring and API keys; only after a login."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import cherrypy

from pantheon import keys
from pantheon.errors import PantheonError
from pantheon.state import is_model_name
from pantheon.store import ModelStore
from serving import memory
from serving.endpoint.remote import Endpoint
from serving.inference import context
from serving.model.champion import Champion, message
from serving.model.predictor import Predictor
from serving.page import logged
from serving.page.reported import report
from serving.page.routes import route
from serving.page.traffic import changed, described
from serving.problems import Problem
from serving.questions.reader import Reader
from serving.remote.features import Features
from serving.remote.log import Log, LogError
from serving.state import State

NO_LOG = "This deployment has no prediction log. The first tier that has one is epimetheus, which adds an endpoint."
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; frame-ancestors 'none'"
)
ROWS = 50  # of a list, unless the address says otherwise


@dataclass(frozen=True)
class Context:
    """What the pages need.

    Attributes:
        render: renders a template.
        store: to change routing policies; ``reader`` to read it.
    """

    render: Callable[..., str]
    state: State
    store: ModelStore
    reader: Reader
    champion: Champion
    endpoint: Endpoint
    log: Log
    features: Features

    def need(self) -> None:
        """Raise 404 if the deployment has no log."""
        if not self.endpoint.active:
            raise cherrypy.HTTPError(404, NO_LOG)

    def show(self, name: str, title: str, **values: Any) -> str:
        """Render a page; ``problem`` in ``values`` is why it is not complete, or empty."""
        cherrypy.response.headers["Cache-Control"] = "no-store"
        around: dict[str, Any] = {"here": f"/{name}", "title": title, "logged_in": True}
        around |= {"operations": self.endpoint.active, "features": self.features.active}
        return self.render(f"{name}.html", **{"problem": "", "notice": None, **around, **values})

    def models(self) -> list[str]:
        """Return the names of the store's models; those that are known anyway if it does not answer."""
        try:
            return self.reader.ask(self.store.names)
        except (PantheonError, OSError):
            return [self.state.served] if self.state.served else []

    def model(self, named: str) -> str:
        """Return the model that an address names, or else the served one."""
        return named if is_model_name(named) else self.state.served or self.state.deployment.dataset


class Operations:
    """The pages, as attributes for CherryPy."""

    def __init__(self, around: Context) -> None:
        self.log, self.feedback = LogPage(around), FeedbackPage(around)
        self.routing, self.monitoring, self.keys = RoutingPage(around), MonitoringPage(around), KeysPage(around)


class _Shown:
    def __init__(self, around: Context) -> None:
        self._around = around

    def _failed(self, error: LogError) -> dict[str, Any]:
        """Return the values of a page without an answer of the log."""
        cherrypy.response.status = error.status
        return {"problem": str(error)}


class LogPage(_Shown):
    """``/log``: what was answered, newest first; ``/log/ID``: all that is known about one request."""

    @route("GET", "HEAD")
    def index(
        self,
        model: str = "",
        version: str = "",
        key: str = "",
        since: str = "",
        until: str = "",
        most: str = str(ROWS),
        id: str = "",
    ) -> str:
        around = self._around
        around.need()
        if id.strip():
            cherrypy.response.status = 303
            cherrypy.response.headers["Location"] = f"/log/{quote(id.strip()[:80], safe='')}"
            return ""
        wanted = {"model": model, "version": version, "key": key, "since": since, "until": until, "most": most}
        wanted = {name: value.strip() for name, value in wanted.items()}
        values: dict[str, Any] = {"rows": [], "where": ""}
        try:
            found = around.log.predictions(**wanted)
            values = {"rows": [logged.row(each) for each in found["rows"]], "where": around.state.place(found["where"])}
        except LogError as error:
            values |= self._failed(error)
        older = logged.older(wanted, values["rows"], int(most) if most.isdecimal() else ROWS)
        return around.show("log", "Log", wanted=wanted, older=older, models=around.models(), **values)

    @route("GET", "HEAD")
    def default(self, id: str = "", explain: str = "") -> str:
        around = self._around
        around.need()
        values: dict[str, Any] = {"id": id[:80], "rows": [], "count": 0, "where": "", "versions": {}, "why": None}
        try:
            found = around.log.prediction(id)
        except LogError as error:
            return around.show("request", "Request", **values | self._failed(error))
        versions = {row["version"]: row["model"] for row in found["rows"] if row["version"]}
        values |= {
            "id": found["rows"][0]["id"],
            "rows": [logged.row(each) for each in found["rows"]],
            "count": found["count"],
            "where": around.state.place(found["where"]),
            "versions": {version: self._release(model, version) for version, model in versions.items()},
        }
        chosen = next((row for row in found["rows"] if explain == str(row["row"]) and not row["shadow"]), None)
        if chosen:
            values["why"] = self._explained(chosen)
        return around.show("request", "Request", **values)

    def _release(self, model: str, version: str) -> dict[str, Any]:
        try:
            found = self._around.reader.describe(model, version)
            history = self._around.reader.history(model) or []
        except (PantheonError, OSError) as error:
            return {"problem": f"The store knows nothing about it: {error}"}
        released = min((each.since for each in history if each.version == version), default="")
        return logged.release(found, released)

    def _explained(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return why the version answered so: computed again here, so that it does not add a request to the log."""
        from serving.model.explain import explain

        problem = {"row": row["row"], "bars": [], "words": "", "same": None}
        try:
            predictor = self._predictor(row["model"], row["version"])
            given = context.without([row["input"]], predictor.signature.names)
            [why] = explain(predictor, given)
            again = predictor.predict(given, False).prediction[0]
        except Problem as error:
            return {**problem, "problem": error.message}
        except Exception as error:  # noqa: BLE001 - a version that was removed, or cannot be loaded any more
            return {**problem, "problem": message(error)}
        finally:
            memory.give_back()
        return logged.explanation(row, why, again)

    def _predictor(self, model: str, version: str) -> Predictor:
        current = self._around.champion.current
        if current and (current.model, current.version) == (model, version):
            return current
        store = self._around.store
        return self._around.reader.ask(lambda: Predictor(store.get(model, version), model, version))


class FeedbackPage(_Shown):
    """``/feedback``: what users said, newest answers first, and how often they called each version right."""

    @route("GET", "HEAD")
    def index(self, model: str = "", since: str = "", most: str = str(ROWS)) -> str:
        around = self._around
        around.need()
        wanted = {"model": model.strip(), "since": since.strip(), "most": most}
        values: dict[str, Any] = {"rows": [], "versions": []}
        try:
            found = around.log.feedback(**wanted)
            values = {
                "rows": [logged.row(each) for each in found["rows"]],
                "versions": [logged.judged(each) for each in found["versions"]],
            }
            wanted["since"] = found["since"]
        except LogError as error:
            values |= self._failed(error)
        return around.show("feedback", "Feedback", wanted=wanted, models=around.models(), **values)


class RoutingPage(_Shown):
    """``/routing``: which version answers which requests, and the forms that change it."""

    @route("GET", "HEAD")
    def index(self, model: str = "") -> str:
        return self._page(model, None)

    def _page(self, model: str, notice: tuple[str, str] | None) -> str:
        around = self._around
        around.need()
        name = around.model(model)
        values: dict[str, Any] = {"r": None}
        try:
            values["r"] = described(around.store, around.reader, around.log, name)
        except (PantheonError, OSError) as error:
            values["problem"] = str(error)
        return around.show("routing", "Routing", model=name, models=around.models(), notice=notice, **values)

    @route("POST")
    def change(self) -> str:
        """Handle a form; the policy must be as the page showed it."""
        self._around.need()
        model, notice = changed(self._around.store)
        return self._page(model, notice)


class MonitoringPage(_Shown):
    """``/monitoring``: the newest report of the monitor."""

    @route("GET", "HEAD")
    def index(self, model: str = "") -> str:
        around = self._around
        around.need()
        name = around.model(model)
        values: dict[str, Any] = {"m": None, "reports": 0, "evidently": False}
        try:
            found = around.log.monitoring(name)
            values = {"m": report(found["report"]), "reports": found["reports"], "evidently": found["evidently"]}
        except LogError as error:
            values |= self._failed(error)
        except ValueError as error:
            values["problem"] = f"The report cannot be read: {error}."
        return around.show("monitoring", "Monitoring", model=name, models=around.models(), **values)

    @route("GET", "HEAD")
    def evidently(self, model: str = "") -> bytes:
        """Return Evidently's report as it is: a page with scripts, which can reach neither this page nor any server."""
        around = self._around
        around.need()
        try:
            found = around.log.evidently(around.model(model))["html"]
        except LogError as error:
            raise cherrypy.HTTPError(error.status, str(error)) from None
        if found is None:
            raise cherrypy.HTTPError(404, "There is no report of Evidently beside the newest one of the monitor.")
        cherrypy.response.headers["Content-Security-Policy"] = REPORT_POLICY
        cherrypy.response.headers["Cache-Control"] = "no-store"
        return str(found).encode()


class KeysPage(_Shown):
    """``/keys``: the API keys, and the commands that add and revoke them.

    The page changes no keys: they are in a folder that no service can write to, so that whoever gets into a service
    cannot give themselves a key.
    """

    @route("GET", "HEAD")
    def index(self, name: str = "", models: str = "", per_minute: str = "") -> str:
        around = self._around
        around.need()
        values: dict[str, Any] = {"keys": []}
        try:
            values["keys"] = [logged.key(each) for each in keys.read(around.state.folder)]
        except PantheonError as error:
            values["problem"] = str(error)
        command = logged.key_command(around.state.deployment.name, name, models, per_minute)
        typed = {"name": name, "models": models, "per_minute": per_minute}
        return around.show("keys", "Keys", typed=typed, command=command, models=around.models(), **values)
