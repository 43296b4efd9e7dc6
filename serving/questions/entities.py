"""What an entity's features were at a time, from the feature store."""

from datetime import UTC, datetime
from typing import Any

from pantheon.features.words import text
from pantheon.questions import can_answer
from serving.formatting import listed, moment
from serving.questions.answer import ANSWERED, CANNOT, UNANSWERED, Answer
from serving.remote.features import FeatureError, Features
from serving.state import State

FEATURES = 12  # of a view, in an answer
ID_CHARACTERS = 300
STORE = "the feature store"
SOURCE = "the feature store, from the rows that it knew at that time"


class Entities:
    """Answers with the feature store, if the deployment has one."""

    def __init__(self, features: Features, state: State) -> None:
        self.features, self.state = features, state

    def answer(self, entity: str = "", at: datetime | None = None) -> Answer:
        """Return the answer to "What were this entity's features at time T?".

        Args:
            entity: such as ``robot-id=7``, or ``7``; empty: the one with the newest row of the deployment's dataset.
            at: the time T; None: now.
        """
        if not can_answer("features_at", self.features.handover.route):
            return Answer(CANNOT, "")
        column, equals, id = entity[:ID_CHARACTERS].strip().partition("=")
        column, id = (column.strip(), id.strip()) if equals else ("", column.strip())
        time = at or datetime.now(UTC)
        try:
            catalogue = self.features.catalogue()
            if not any(view["rows"] for view in catalogue):
                return Answer(ANSWERED, "Nothing is known yet: the next run stores the first features.", STORE)
            views = [view for view in catalogue if view["entity"] and column in ("", view["entity"])]
            if not views:
                return self._nothing(column)
            if not id:
                newest = self._newest(views)
                if newest is None:
                    return Answer(UNANSWERED, "Name an entity: its feature views have no rows yet.", STORE)
                column, id = newest
            names = {view["name"]: view for view in views if column in ("", view["entity"])}
            rows = [row for row in self.features.at([id], time) if row["view"] in names]
        except FeatureError as error:
            return Answer(UNANSWERED, str(error))
        return self._told(id, time, rows, names)

    def _nothing(self, column: str) -> Answer:
        if column:
            text = f"No feature view has the entity {column}. See bin/pantheon features list"
            return Answer(UNANSWERED, text, STORE)
        return Answer(ANSWERED, "None: no dataset has an entity column, so features are read for training only.", STORE)

    def _newest(self, views: list[dict[str, Any]]) -> tuple[str, str] | None:
        """Return the entity of the newest row: its column and its id."""
        own = [view for view in views if view["set"] in (self.state.served, self.state.deployment.dataset)]
        known = [view for view in own or views if view["example"]]
        newest = max(known, key=lambda view: str(view["example"]["time"]), default=None)
        return (newest["entity"], newest["example"]["entity"]) if newest else None

    def _told(self, id: str, time: datetime, rows: list[dict[str, Any]], views: dict[str, Any]) -> Answer:
        when = moment(time.isoformat())
        called = " and ".join(sorted({views[row["view"]]["entity"] for row in rows})) or "entity"
        facts = {"entity": id, "time": time.astimezone(UTC).isoformat(), "rows": rows}
        told = [words(row) for row in rows if row["state"] != "unknown"]
        unknown = sorted(row["view"] for row in rows if row["state"] == "unknown")
        if not told:
            said = f"At {when}, nothing was known about {called} {id}, in {listed(unknown)}."
            return Answer(ANSWERED, said if unknown else f"Nothing is known about {id}.", SOURCE, facts)
        if unknown:
            told.append(f"{listed(unknown)}: unknown at that time")
        return Answer(ANSWERED, f"At {when}, {called} {id} had: {'; '.join(told)}.", SOURCE, facts)


def words(row: dict[str, Any]) -> str:
    """Return a row of ``POST /at`` as words."""
    since = f"since {moment(row['time'])}" if row["time"] else ""
    if row["state"] == "expired":
        return f"{row['view']}: expired, the last values are those of {moment(row['time'])}"
    shown = [f"{name} {text(given)}" for name, given in row["features"].items()]
    return f"{listed(shown, FEATURES)} ({', '.join(filter(None, (row['view'], since)))})"
