"""Client of the service ``feast``, for stages, commands, the endpoint and tests; see ``pantheon.features.contract``."""

import os
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pantheon.errors import PantheonError
from pantheon.features.contract import Chosen, Known, Materialized, Pushed, View, Written
from pantheon.web.client import Answer, Client

NAME = "the feature store"
CURE = "Look at it: `bin/pantheon status`, `bin/pantheon logs --service feast`."
RETRY_SECONDS = 60.0  # a killed service takes about ten seconds to come back
LONG_SECONDS = 900.0  # reads and writes of many rows
LARGEST = 4 << 30  # bytes of an answer
T = TypeVar("T")


class Refused(PantheonError):
    """The feature store refused a request; ``code`` is the HTTP status."""

    def __init__(self, code: int, cause: str, cure: str) -> None:
        super().__init__(cause, cure, 1 if code >= 500 else 2)
        self.code = code


class Features:
    """Asks the feature store of one deployment. Thread-safe. Every method raises PantheonError.

    Args:
        address: such as ``http://feast:6568``.
        key_file: contains the key; read at every request, since it may be replaced.
        retry_seconds: how long requests are repeated while the service does not answer. All can be repeated safely.
    """

    def __init__(self, address: str, key_file: Path, retry_seconds: float = RETRY_SECONDS) -> None:
        self.address, self.key_file, self.retry_seconds = address, key_file, retry_seconds
        self._client = Client(address, NAME, CURE, timeout=LONG_SECONDS, largest=LARGEST)

    @classmethod
    def here(cls, retry_seconds: float = RETRY_SECONDS) -> "Features":
        """Return the client of the deployment that this process belongs to, by ``FEATURES_URL`` and
        ``FEATURES_KEY_FILE``.

        Raises:
            PantheonError: the environment does not name them.
        """
        address, key_file = os.environ.get("FEATURES_URL", ""), os.environ.get("FEATURES_KEY_FILE", "")
        if not address or not key_file:
            raise PantheonError(
                "this deployment has no feature store: FEATURES_URL or FEATURES_KEY_FILE is not set.",
                "Start one: `make tier-hephaestus up`",
            )
        return cls(address, Path(key_file), retry_seconds)

    def apply(self, views: Iterable[View]) -> list[View]:
        """Define views, or bring them up to date.

        Returns:
            The views with the names that they have in the store, in the same order. A name may differ: if a field was
            added, removed or has another type, the old view stays for the models that use it, and the new one is called
            ``robots_2``.
        """
        given = list(views)
        names = self._json("PUT", "/views", given, dict[str, list[str]])["applied"]
        return [msgspec.structs.replace(view, name=name) for view, name in zip(given, names, strict=True)]

    def write(self, view: str, rows: bytes, run: str = "") -> Written:
        """Store rows of a view: those that are new, or have other values than stored.

        Args:
            view: its name in the store.
            rows: a Parquet file with the key, ``event_timestamp``, ``created`` and the view's fields.
            run: the id of the run that computed them.
        """
        query = urllib.parse.urlencode({"run": run})
        return self._json("POST", f"/views/{_quoted(view)}/parts?{query}", rows, Written)

    def choose(self, chosen: Chosen) -> str:
        """Define a feature service; return its name."""
        return self._json("PUT", f"/services/{_quoted(chosen.name)}", chosen, dict[str, str])["applied"]

    def historical(self, service: str, asked: bytes) -> bytes:
        """Return features as they were known at a time (point in time), as a Parquet file.

        Args:
            asked: a Parquet file with ``row_id``, the key, ``event_timestamp``.

        Returns:
            ``row_id`` and the service's features, named by field; in any order.
        """
        return self._send("POST", f"/services/{_quoted(service)}/historical", asked).data

    def materialize(self, views: Iterable[str] | None = None, *, everything: bool = False) -> dict[str, Materialized]:
        """Bring online what is new since the last time.

        Args:
            views: names; None: all views.
            everything: read all rows again, such as after the online store was lost.
        """
        body = {"views": None if views is None else list(views), "all": everything}
        return self._json("POST", "/materialize", body, dict[str, dict[str, Materialized]])["views"]

    def push(self, view: str, rows: Iterable[Mapping[str, Any]]) -> Pushed:
        """Write fresh values, by column or field; online at once. Rows may have an ``event_timestamp``, ISO 8601."""
        return self._json("POST", "/push", {"view": view, "rows": [dict(row) for row in rows]}, Pushed)

    def catalogue(self) -> list[dict[str, Any]]:
        """Return a summary of every view."""
        return self._json("GET", "/catalogue", None, dict[str, list[dict[str, Any]]])["views"]

    def described(self, view: str) -> dict[str, Any]:
        """Return what is known about a view: fields, checks, distributions, freshness, parts, models."""
        return self._json("GET", f"/catalogue/{_quoted(view)}", None, dict[str, Any])

    def at(self, entities: Iterable[Any], time: str, view: str = "") -> list[Known]:
        """Return the features of entities as they were known at ``time``, ISO 8601; of one view, or of all."""
        body = {"entities": list(entities), "time": time} | ({"view": view} if view else {})
        return self._json("POST", "/at", body, dict[str, list[Known]])["rows"]

    def forget(self, column: str, value: Any) -> dict[str, int]:
        """Remove the rows with this value in this column from all views, offline and online; return counts."""
        return self._json("POST", "/forget", {"column": column, "value": value}, dict[str, int])

    def online(self, entities: Iterable[Any], view: str = "") -> list[Known]:
        """Return what the online store has about entities now; of one view, or of all."""
        body = {"entities": list(entities)} | ({"view": view} if view else {})
        return self._json("POST", "/online", body, dict[str, list[Known]])["rows"]

    def missing(self, view: str, lacking: str, since: str = "") -> bytes:
        """Return stored rows of a view that the view ``lacking`` of the same set has not, as a Parquet file.

        Args:
            since: only rows of this time and later, ISO 8601; empty: all.
        """
        query = urllib.parse.urlencode({"lacking": lacking, "since": since})
        return self._send("GET", f"/views/{_quoted(view)}/rows?{query}", None).data

    def _json(self, method: str, path: str, body: Any, kind: type[T]) -> T:
        given = body if isinstance(body, bytes) else msgspec.to_builtins(body)
        answer = self._send(method, path, given)
        try:
            return msgspec.json.decode(answer.data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PantheonError(f"{NAME} at {self.address} sent an invalid answer: {error}.", CURE, 1) from None

    def _send(self, method: str, path: str, body: Any) -> Answer:
        try:
            key = self.key_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            what = f"the key of the feature store cannot be read: {self.key_file}: {error.strerror}."
            raise PantheonError(what, "Write it again: `bin/pantheon up`", 1) from None
        headers = {"Authorization": f"Bearer {key}"}
        answer = self._client.ask(method, path, body, retry_seconds=self.retry_seconds, headers=headers)
        if not answer.ok:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: Answer) -> Refused:
        if answer.status == 401:
            cause = f"{NAME} at {self.address} does not accept the key in {self.key_file}."
            return Refused(401, cause, "Start the service again: `bin/pantheon up`")
        cause = answer.reason("error", "message")
        if cause.startswith("status "):
            cause = f"{NAME} at {self.address} answered with {cause}."
        cure = answer.reason("error", "cure")
        return Refused(answer.status, cause, CURE if cure.startswith("status ") else cure)


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
