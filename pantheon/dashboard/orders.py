"""Orders: a model from a repository at a commit, with data from another one, for someone who knows nothing of Kubeflow.

An order is checked at once, and its repositories before anything starts (``carrying``). It is placed once for each key
of a user, also if it is sent twice; what it says never changes.

Layout of the folder: ``ID/order.json`` (what was ordered, by whom), ``ID/record.json`` (how far it is) and
``ID/sources/`` (``model`` and ``data``, fetched completely or not there; removed when the order ends).
"""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from pantheon.dashboard.sources import Source
from pantheon.dashboard.tracked import inside
from pantheon.errors import PantheonError
from pantheon.files import write_bytes, write_once
from pantheon.workflow.data.origin import bundled, stem_of
from pantheon.workflow.run import Params

T = TypeVar("T")

MODEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
KEY = re.compile(r"[\x21-\x7e]{1,128}")
CHECKING, FETCHING, RUNNING, DONE, FAILED = "checking", "fetching", "running", "done", "failed"
FINISHED = (DONE, FAILED)


class Struct(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON object with these keys only."""


class ModelSource(Struct):
    """Where the model's code is: ``params.yaml`` and ``extensions/``, as in a deployment's repository."""

    url: str
    commit: str
    credentials: str = ""


class DataSource(Struct):
    """Where the data is.

    Attributes:
        path: of the file in the repository; DVC may track it.
        spec: the path of its dataset's spec; empty: that of the deployment's dataset, if there is one, else inferred.
        target: the column to predict, for a spec that is inferred.
        credentials: for git.
        remote: credentials for DVC's remote.
    """

    url: str
    commit: str
    path: str
    spec: str = ""
    target: str = ""
    credentials: str = ""
    remote: str = ""


class Order(Struct):
    """What is ordered.

    Attributes:
        name: of the dataset and of its model; empty: after the data's file.
        params: parameters of the run, in place of those in the model repository.
        namespace: the profile that it is for.
    """

    model: ModelSource
    data: DataSource
    name: str = ""
    params: dict[str, Any] = {}
    namespace: str = "default"
    note: str = ""

    @property
    def model_name(self) -> str:
        """The name of the dataset and of its model."""
        return self.name or stem_of(Path(self.data.path).name)


class Placed(Struct):
    """``order.json``."""

    id: str
    key: str
    by: str
    at: str
    order: Order


class Record(Struct):
    """``record.json``: how far an order is.

    Attributes:
        state: checking, fetching, running, done or failed.
        commits: repository → full hash, once they are fetched.
        params: of the run, complete.
        run: the name of its PipelineRun.
        progress: a line for people.
        reason, cure: why it failed.
        result: what came out, such as the model's version; with ``by``.
    """

    state: str = CHECKING
    at: str = ""
    commits: dict[str, str] = {}
    params: dict[str, Any] = {}
    run: str = ""
    progress: str = ""
    reason: str = ""
    cure: str = ""
    result: dict[str, Any] = {}


class KeyUsed(PantheonError):
    """The key belongs to another order."""


class Missing(PantheonError):
    """There is no such order."""


class Orders:
    """All orders of a deployment. Several threads and processes may use one folder.

    Args:
        folder: theirs; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._finished: set[str] = set()

    def place(self, key: str, by: str, order: Order) -> tuple[Placed, bool]:
        """Place an order; nothing is started yet.

        Args:
            key: chosen by the caller, so that an order that is sent twice is placed once.
            by: who orders.
            order: as ``read_order`` returns it.

        Returns:
            The order, and whether it is a new one.

        Raises:
            KeyUsed: this user has used the key for another order.
            PantheonError: the key is not valid.
        """
        if not KEY.fullmatch(key):
            raise PantheonError("the key must have 1 to 128 visible characters.", "For example: a UUID.")
        id = hashlib.sha256(f"{by}\0{key}".encode()).hexdigest()[:16]
        placed = Placed(id=id, key=key, by=by, at=now(), order=order)
        path = self.folder / id / "order.json"
        if write_once(path, msgspec.json.encode(placed), mode=0o600, fsync=True):
            return placed, True
        existing = self.placed(id)
        if existing.order != order:
            raise KeyUsed(f"the key {key!r} was used for another order of {by}.", "Choose another key.")
        return existing, False

    def placed(self, id: str) -> Placed:
        """Return an order.

        Raises:
            Missing: there is none.
            PantheonError: it is damaged.
        """
        path = self.folder / id / "order.json"
        if not re.fullmatch(r"[0-9a-f]{16}", id) or not path.exists():
            raise Missing(f"there is no order {id[:40]!r}.", "See them: `bin/pantheon orders list`")
        return _read(path, Placed)

    def record(self, id: str) -> Record:
        """Return how far an order is. Raises the same errors as ``placed``."""
        placed = self.placed(id)
        path = self.folder / placed.id / "record.json"
        return _read(path, Record) if path.exists() else Record(at=placed.at)

    def save(self, id: str, record: Record, **changes: Any) -> Record:
        """Write how far an order is, with these changes; return it."""
        changed = structs.replace(record, at=now(), **changes)
        write_bytes(self.folder / id / "record.json", msgspec.json.encode(changed), mode=0o600, fsync=True)
        return changed

    def ids(self) -> list[str]:
        """Return the ids of all orders, also of damaged ones."""
        return sorted(path.parent.name for path in self.folder.glob("*/order.json"))

    def all(self, namespace: str = "") -> list[tuple[Placed, Record]]:
        """Return all orders, or those of a profile, newest first.

        Raises:
            PantheonError: one is damaged.
        """
        found = [placed for id in self.ids() if namespace in ("", (placed := self.placed(id)).order.namespace)]
        newest = sorted(found, key=lambda placed: (placed.at, placed.id), reverse=True)
        return [(placed, self.record(placed.id)) for placed in newest]

    def unfinished(self) -> list[str]:
        """Return the orders to carry out, and damaged ones. Finished ones are read once: they never change."""
        found = []
        for id in self.ids():
            if id in self._finished:
                continue
            try:
                if self.record(id).state in FINISHED:
                    self._finished.add(id)
                    continue
            except PantheonError:
                pass  # ``carry_out`` names what is damaged
            found.append(id)
        return found


def shown(placed: Placed, record: Record) -> dict[str, Any]:
    """Return an order for programs: what was ordered, by whom, and how far it is."""
    order: dict[str, Any] = msgspec.to_builtins(placed.order)
    found: dict[str, Any] = msgspec.to_builtins(record)
    ordered = {"id": placed.id, "key": placed.key, "by": placed.by, "placed": placed.at}
    return ordered | found | {"name": placed.order.model_name, "order": order}


def read_order(body: bytes) -> Order:
    """Return an order from JSON, checked as far as possible without its repositories.

    Raises:
        PantheonError: it is not valid; names the field.
    """
    try:
        order = msgspec.json.decode(body, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said, _, place = str(error).partition(" - at ")
        field = place.strip("`").removeprefix("$").removeprefix(".")
        raise PantheonError(f"{field or 'the order'}: {said}.", "See the example on the page of orders.") from None
    for source in sources(order):
        source.check()
    for field, path in (("data.path", order.data.path), ("data.spec", order.data.spec or "none")):
        inside(Path("/repository"), path, field)
    if not MODEL.fullmatch(order.model_name):
        cure = "Use at most 63 lower-case letters, digits and hyphens, such as sales-2024."
        raise PantheonError(f"name: {order.model_name[:80]!r} is not valid.", cure)
    if not MODEL.fullmatch(order.namespace):
        raise PantheonError(f"namespace: {order.namespace[:80]!r} is not a profile.", "For example: default")
    if order.model_name in bundled():
        cure = "Choose another one, such as sales-2024."
        raise PantheonError(f"name: {order.model_name} is a dataset that ships with Pantheon.", cure)
    Params.read(order.params)
    return order


def sources(order: Order) -> tuple[Source, Source]:
    """Return the repositories of an order: the model's and the data's."""
    model, data = order.model, order.data
    return (
        Source("the model repository", "model", model.url, model.commit, model.credentials),
        Source("the data repository", "data", data.url, data.commit, data.credentials),
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PantheonError(f"{path} is damaged: {error}.", f"Remove it: `rm -r {path.parent}`", 1) from None
