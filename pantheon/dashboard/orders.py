"""Orders: a model from a repository at a commit, with data from another one, for someone who knows nothing of Kubeflow.

An order is checked at once, and its repositories before anything starts. It is placed once for each key of a user, also
if it is sent twice; what it says never changes. ``Orders.carry_out`` can be called again after a kill at any point.

Layout of the folder: ``ID/order.json`` (what was ordered, by whom), ``ID/record.json`` (how far it is) and
``ID/sources/`` (``model`` and ``data``, fetched completely or not there).
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import structs

from pantheon.dashboard.sources import Fetcher, Source, inside
from pantheon.errors import PantheonError
from pantheon.files import Busy, atomic_folder, lock, write_bytes, write_once
from pantheon.versioning import pipeline
from pantheon.workflow.run import Params

T = TypeVar("T")

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
        spec: the path of its dataset's spec; empty: none, it is inferred.
        credentials: for git.
        remote: for DVC's remote in S3.
    """

    url: str
    commit: str
    path: str
    spec: str = ""
    credentials: str = ""
    remote: str = ""


class Order(Struct):
    """What is ordered.

    Attributes:
        params: parameters of the run, in place of those in the model repository.
        namespace: the profile that it is for.
    """

    model: ModelSource
    data: DataSource
    params: dict[str, Any] = {}
    namespace: str = "default"
    note: str = ""


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
        run: the name of what was started.
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


@dataclass(frozen=True)
class Prepared:
    """An order whose sources are there.

    Attributes:
        model: the folder of the model repository.
        data: the data file.
        spec: the spec's file; None to infer it.
    """

    placed: Placed
    model: Path
    data: Path
    spec: Path | None
    params: Params
    commits: dict[str, str]


class Progress(Struct):
    """How far a run is.

    Attributes:
        ended: whether it has.
        failed: why it failed; empty if it has not.
        result: of one that succeeded: the model, its version and the gate's decision.
    """

    said: str = ""
    ended: bool = False
    failed: str = ""
    result: dict[str, Any] = {}


class Runner(Protocol):
    """What carries an order out: the pipeline."""

    def start(self, prepared: Prepared) -> str:
        """Start the run of an order, and return its name; called again after a kill: then it is the same run."""

    def progress(self, run: str) -> Progress:
        """Return how far a run is."""


class KeyUsed(PantheonError):
    """The key belongs to another order."""


class Orders:
    """All orders of a deployment. Thread-safe, and several processes may use one folder.

    Args:
        folder: theirs; made if it is missing.
        fetcher: of the repositories.
        runner: what carries them out.
    """

    def __init__(self, folder: Path, fetcher: Fetcher, runner: Runner) -> None:
        self.folder, self.fetcher, self.runner = folder, fetcher, runner

    def place(self, key: str, by: str, body: bytes) -> tuple[Placed, bool]:
        """Place an order; nothing is started yet.

        Args:
            key: chosen by the caller, so that an order that is sent twice is placed once.
            by: who orders.
            body: an ``Order`` as JSON.

        Returns:
            The order, and whether it is a new one.

        Raises:
            KeyUsed: this user has used the key for another order.
            PantheonError: it is not valid; names the field.
        """
        if not KEY.fullmatch(key):
            raise PantheonError("the key must have 1 to 128 visible characters.", "For example: a UUID.")
        order = read_order(body)
        id = hashlib.sha256(f"{by}\0{key}".encode()).hexdigest()[:16]
        placed = Placed(id=id, key=key, by=by, at=_now(), order=order)
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
            PantheonError: there is none.
        """
        path = self.folder / id / "order.json"
        if not re.fullmatch(r"[0-9a-f]{16}", id) or not path.exists():
            raise PantheonError(f"there is no order {id[:40]!r}.", "See the list of orders.")
        return _read(path, Placed)

    def record(self, id: str) -> Record:
        """Return how far an order is."""
        path = self.folder / self.placed(id).id / "record.json"
        return _read(path, Record) if path.exists() else Record(at=self.placed(id).at)

    def all(self) -> list[Placed]:
        """Return all orders, newest first."""
        found = [_read(path, Placed) for path in self.folder.glob("*/order.json")]
        return sorted(found, key=lambda placed: (placed.at, placed.id), reverse=True)

    def unfinished(self) -> list[str]:
        """Return the orders to carry out, oldest first, such as after a start."""
        return [placed.id for placed in reversed(self.all()) if self.record(placed.id).state not in FINISHED]

    def carry_out(self, id: str) -> Record:
        """Go on with an order as far as possible now, and return how far it is: call it again while it runs.

        A fault of what was ordered ends it with the reason.

        Raises:
            OSError: the disk is full, or the like: call it again later.
        """
        placed = self.placed(id)
        try:
            with lock(self.folder / id / ".lock", timeout=0):
                record = self.record(id)
                if record.state in FINISHED:
                    return record
                try:
                    return self._go_on(placed, record)
                except PantheonError as error:
                    return self._save(id, record, state=FAILED, reason=error.cause, cure=error.cure)
        except Busy:
            return self.record(id)  # another thread or process is at it

    def _go_on(self, placed: Placed, record: Record) -> Record:
        id = placed.id
        if record.state != RUNNING:
            if record.state == CHECKING:
                for source in sources(placed.order):
                    self.fetcher.reachable(source)
                record = self._save(id, record, state=FETCHING, progress="the repositories answer")
            prepared = self._prepare(placed)
            run = self.runner.start(prepared)
            record = self._save(
                id,
                record,
                state=RUNNING,
                run=run,
                progress="started",
                commits=prepared.commits,
                params=asdict(prepared.params),
            )
        progress = self.runner.progress(record.run)
        if progress.failed:
            return self._save(id, record, state=FAILED, reason=progress.failed, progress=progress.said)
        if progress.ended:
            result = {**progress.result, "by": placed.by, "order": id, "commits": record.commits}
            return self._save(id, record, state=DONE, result=result, progress=progress.said)
        return self._save(id, record, progress=progress.said) if progress.said != record.progress else record

    def _prepare(self, placed: Placed) -> Prepared:
        """Fetch what is missing: each repository is there completely, or not at all."""
        folder, order = self.folder / placed.id / "sources", placed.order
        model, data = sources(order)
        commits = {}
        for source in (model, data):
            target = folder / source.field
            if not target.is_dir():
                with atomic_folder(target) as part:
                    commit = self.fetcher.fetch(source, part)
                    (part / ".git" / "pantheon-commit").write_text(commit, encoding="utf-8")
            commits[source.field] = (target / ".git" / "pantheon-commit").read_text(encoding="utf-8")
        file = self.fetcher.pull(data, folder / "data", order.data.path, order.data.remote)
        spec = inside(folder / "data", order.data.spec, "data.spec") if order.data.spec else None
        if spec and not spec.is_file():
            raise PantheonError(f"the data repository has no file {order.data.spec}.", "Correct data.spec.")
        return Prepared(placed, folder / "model", file, spec, params_of(order, folder / "model"), commits)

    def _save(self, id: str, record: Record, **changes: Any) -> Record:
        changed = structs.replace(record, at=_now(), **changes)
        write_bytes(self.folder / id / "record.json", msgspec.json.encode(changed), mode=0o600, fsync=True)
        return changed


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
    Params.read(order.params)
    return order


def sources(order: Order) -> tuple[Source, Source]:
    """Return the repositories of an order: the model's and the data's."""
    model, data = order.model, order.data
    return (
        Source("the model repository", "model", model.url, model.commit, model.credentials),
        Source("the data repository", "data", data.url, data.commit, data.credentials),
    )


def params_of(order: Order, model: Path) -> Params:
    """Return a run's parameters: those of the order, else of ``params.yaml`` in the model repository, else defaults.

    Raises:
        PantheonError: they are not valid.
    """
    path = inside(model, "params.yaml", "model")
    if not path.is_file() and not (model / "extensions").is_dir():
        cure = "It has the layout of a deployment's repository; see the tier odysseus."
        raise PantheonError("the model repository has neither params.yaml nor extensions/.", cure)
    found: dict[str, Any] = {}
    if path.is_file():
        groups = pipeline.parse(path.read_text(encoding="utf-8", errors="replace"), "params.yaml")
        for group in groups.values():
            found |= group if isinstance(group, dict) else {}
    return Params.read({**found, **order.params})


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PantheonError(f"{path} is damaged: {error}.", f"Remove it: `rm -r {path.parent}`", 1) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
