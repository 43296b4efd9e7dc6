"""Materialization intervals in Feast's registry, in PostgreSQL: what ``feast`` and its UI show, and where
``feast materialize-incremental`` begins.

Feast's own ``apply_materialization`` reads a view and writes it again in another transaction: a definition that is
applied in between is lost. Here the view's row is locked meanwhile.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from feast.feature_view import FeatureViewState
from feast.infra.registry.sql import SqlRegistry, feature_views
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, Select, select, update
from sqlalchemy.exc import DBAPIError

from pantheon.errors import PantheonError
from pantheon.features.contract import PROJECT

T = TypeVar("T")
KEPT = 100  # intervals of a view: Feast reads and writes all of them whenever it reads or writes the view
ATTEMPTS = 2  # a connection of the pool may be one that PostgreSQL closed when it was restarted


class Intervals:
    """Reads and adds intervals. Thread-safe. Every method raises PantheonError if PostgreSQL does not answer."""

    def __init__(self, registry: SqlRegistry, project: str = PROJECT) -> None:
        self._registry, self._project = registry, project

    def last(self, view: str) -> int | None:
        """Return the end of a view's last interval in microseconds since 1970; None: it has none."""

        def read(connection: Connection) -> int | None:
            row = connection.execute(self._of(view)).first()
            intervals = FeatureViewProto.FromString(row[0]).meta.materialization_intervals if row else []
            return max((each.end_time.ToMicroseconds() for each in intervals), default=None)

        return self._within(read)

    def add(self, view: str, start: int, end: int) -> None:
        """Add an interval, in microseconds since 1970; a view that is not defined any more has none."""

        def write(connection: Connection) -> None:
            row = connection.execute(self._of(view).with_for_update()).first()
            if row is None:
                return
            found = FeatureViewProto.FromString(row[0])
            interval = found.meta.materialization_intervals.add()
            interval.start_time.FromMicroseconds(start)
            interval.end_time.FromMicroseconds(end)
            del found.meta.materialization_intervals[:-KEPT]
            found.meta.state = FeatureViewState.AVAILABLE_ONLINE.to_proto()
            now = Timestamp()
            now.GetCurrentTime()
            values = {"feature_view_proto": found.SerializeToString(), "last_updated_timestamp": now.seconds}
            connection.execute(update(feature_views).where(*self._where(view)).values(values))

        self._within(write)
        self._registry.refresh(self._project)

    def _where(self, view: str) -> tuple[Any, Any]:
        return feature_views.c.feature_view_name == view, feature_views.c.project_id == self._project

    def _of(self, view: str) -> Select[Any]:
        return select(feature_views.c.feature_view_proto).where(*self._where(view))

    def _within(self, work: Callable[[Connection], T]) -> T:
        """Do something in one transaction."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._registry.write_engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if error.connection_invalidated and attempt < ATTEMPTS:
                    continue  # SQLAlchemy has emptied its pool
                what = f"Feast's registry in PostgreSQL does not answer: {str(error.orig).strip()}."
                cure = "It comes back by itself: `bin/pantheon logs --service postgres`"
                raise PantheonError(what, cure, 1) from None
        raise AssertionError
