"""What the service ``feast`` answers about features: the catalogue, and what was known at a time.

All answers come from the definitions in Feast's registry and from the parts that the service mirrors.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pantheon.features import history
from pantheon.features.api import Problem
from pantheon.features.catalogue import Catalogue
from pantheon.features.contract import Chosen, Known, View


class At(msgspec.Struct):
    """The body of ``POST /at``; without a view: all views that have an entity."""

    entities: list[Any]
    time: str
    view: str = ""


class Look:
    """Answers questions; thread-safe.

    Args:
        views, services: read the definitions.
        parts: returns the mirrored files of a view, oldest first.
    """

    def __init__(
        self,
        views: Callable[[], Sequence[View]],
        services: Callable[[], Sequence[Chosen]],
        parts: Callable[[str], Sequence[Path]],
    ) -> None:
        self.views, self.services, self.parts = views, services, parts
        self._catalogue = Catalogue()

    def catalogue(self) -> dict[str, Any]:
        """Return ``{"views": summaries}``, see ``Catalogue.listed``."""
        views = self.views()
        parts = {view.name: self.parts(view.name) for view in views}
        return {"views": self._catalogue.listed(views, self.services(), parts, datetime.now(UTC))}

    def view(self, name: str) -> dict[str, Any]:
        """Return all about a view, see ``Catalogue.described``; raises Problem."""
        view = self.named(name)
        paths = self.parts(name)
        return self._catalogue.described(view, self.views(), self.services(), paths, datetime.now(UTC))

    def named(self, name: str) -> View:
        """Return the definition of a view.

        Raises:
            Problem: 404: there is none.
        """
        views = self.views()
        for view in views:
            if view.name == name:
                return view
        names = ", ".join(sorted(view.name for view in views)) or "there are none yet; a run makes them"
        raise Problem(404, f"there is no feature view {name[:100]!r}.", f"The views: {names}.")

    def at(self, asked: At) -> dict[str, list[Known]]:
        """Return ``{"rows": …}``: what was known about entities at a time, in each view that has them.

        Raises:
            Problem: 400: an id or the time is not one, or the view has no entity; 404: there is no such view.
        """
        time = moment(asked.time)
        if not asked.entities or len(asked.entities) > history.ENTITIES:
            raise Problem(400, f"name 1 to {history.ENTITIES:,} entities.", 'For example {"entities": [7]}.')
        if asked.view:
            views = [self.named(asked.view)]
            if not views[0].entity:
                cause = f"the feature view {asked.view} has no entity, so nothing can be looked up in it."
                raise Problem(400, cause, "Its rows are read for training only.")
        else:
            views = [view for view in self.views() if view.entity]
        try:
            rows = [row for view in views for row in history.at(view, self.parts(view.name), asked.entities, time)]
        except ValueError as error:
            raise Problem(400, f"{error}.", "Use a text or a number, such as 7.") from None
        return {"rows": rows}

    def rows(self, name: str, other: str, since: str) -> pl.DataFrame:
        """Return the rows of a view that another one of its set lacks, see ``history.missing_rows``."""
        view, lacking = self.named(name), self.named(other)
        if view.set != lacking.set or view.key != lacking.key:
            raise Problem(400, f"{other} is not computed from {name}.", "Name a view of the same dataset.")
        begin = moment(since) if since else None
        return history.missing_rows(view, self.parts(name), lacking, self.parts(other), begin)


def moment(text: str) -> datetime:
    """Return a time; in UTC if it names no zone.

    Raises:
        Problem: 400: it is not one.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        cause = f"{text[:40]!r} is not a time."
        raise Problem(400, cause, "Use ISO 8601, such as 2026-03-01T12:30:00Z.") from None
