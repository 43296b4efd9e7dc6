"""The catalogue of the feature store, from hephaestus on; only after a login."""

from typing import Any

import cherrypy

from pantheon.features import usage
from serving.formatting import time
from serving.page import featured
from serving.page.operate import Context
from serving.page.routes import route
from serving.remote.features import FeatureError

NO_FEATURES = "This deployment has no feature store. The first tier that has one is hephaestus, which adds Feast."
ENTITIES = 20  # of one lookup
CHARACTERS = 300  # of what was typed


class FeaturesPage:
    """``/features``: the views, or an entity's features if one is named; ``/features/VIEW``: one view."""

    def __init__(self, around: Context) -> None:
        self._around = around

    @route("GET", "HEAD")
    def index(self, q: str = "", entity: str = "", at: str = "", view: str = "") -> str:
        self._need()
        if entity.strip():
            return self._known(entity.strip()[:CHARACTERS], at, view.strip()[:CHARACTERS])
        around, words = self._around, q.strip()[:CHARACTERS]
        values: dict[str, Any] = {"views": [], "count": 0}
        try:
            views = around.features.catalogue()
            usage.attach(around.reader, views)
            shown = [featured.summary(view) for view in views if featured.matches(view, words)]
            values |= {"views": shown, "count": len(views)}
        except FeatureError as error:
            values |= self._failed(error)
        return around.show("features", "Features", q=words, lookup=featured.lookup(), **values)

    def _known(self, typed: str, at: str, view: str) -> str:
        """Return the page with what entities' features were."""
        around, moment = self._around, None
        column, ids = featured.entities(typed)
        values: dict[str, Any] = {"rows": [], "lookup": featured.lookup(typed, at, view), "asked": bool(ids)}
        try:
            moment = time(at) if at else None
        except ValueError:
            values["problem"] = f"“{at[:40]}” is not a valid time. Use, for example, 2026-11-22T10:00 (UTC)."
            return around.show("features_at", "Features of an entity", here="/features", when="", **values)
        if len(ids) > ENTITIES:
            values["problem"] = f"At most {ENTITIES} entities at once."
        elif ids:
            try:
                views = around.features.catalogue()
                wanted = {each["name"]: each["entity"] for each in views if column in ("", each["entity"])}
                found = around.features.at(ids, moment, view)
                values["rows"] = featured.known([row for row in found if row["view"] in wanted], wanted)
            except FeatureError as error:
                values |= self._failed(error)
        return around.show(
            "features_at", "Features of an entity", here="/features", when=featured.when(moment), **values
        )

    @route("GET", "HEAD")
    def default(self, view: str = "") -> str:
        self._need()
        around = self._around
        try:
            found = around.features.view(view)
        except FeatureError as error:
            return around.show("feature_view", view[:80], v=None, here="/features", **self._failed(error))
        usage.attach(around.reader, [found])
        shown = featured.described(found)
        lookup = featured.lookup(view=found["name"]) if found["entity"] else None
        return around.show("feature_view", found["name"], v=shown, lookup=lookup, here="/features")

    def _need(self) -> None:
        """Raise 404 if the deployment has no feature store."""
        if not self._around.features.active:
            raise cherrypy.HTTPError(404, NO_FEATURES)

    def _failed(self, error: FeatureError) -> dict[str, Any]:
        """Return the values of a page without an answer."""
        cherrypy.response.status = error.status
        return {"problem": str(error)}
