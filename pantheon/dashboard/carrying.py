"""Carry orders out: check and fetch the repositories, start the run, and follow it to its end.

``Carrier.carry_out`` can be called again after a kill at any point: each step is done completely or not at all, and a
run that was started is the same run when it is started again.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pantheon.dashboard.orders import CHECKING, DONE, FAILED, FETCHING, FINISHED, RUNNING, Order, Orders, Placed, Record
from pantheon.dashboard.orders import sources as sources_of
from pantheon.dashboard.sources import Fetcher
from pantheon.dashboard.tracked import inside
from pantheon.errors import PantheonError
from pantheon.files import Busy, atomic_folder, lock, remove_parts
from pantheon.versioning import pipeline
from pantheon.workflow.run import Params


@dataclass(frozen=True)
class Prepared:
    """An order whose sources are there.

    Attributes:
        model: the folder of the model repository.
        data: the data file.
        spec: the spec's file; None: the data repository has none.
    """

    placed: Placed
    model: Path
    data: Path
    spec: Path | None
    params: Params
    commits: dict[str, str]


class Progress(msgspec.Struct, kw_only=True):
    """How far a run is.

    Attributes:
        said: a line for people.
        ended: whether it has.
        failed: why it failed; empty if it has not.
        result: of one that succeeded: the model, its version and the gate's decision.
    """

    said: str = ""
    ended: bool = False
    failed: str = ""
    result: dict[str, Any] = {}


class Later(PantheonError):
    """What is needed does not answer now; the order goes on when it does."""


class Runner(Protocol):
    """What carries an order out: the pipeline."""

    def start(self, prepared: Prepared) -> str:
        """Start the run of an order, and return its name; called again after a kill: then it is the same run.

        Raises:
            Later: try again later.
            PantheonError: what was ordered cannot be run.
        """

    def progress(self, placed: Placed) -> Progress:
        """Return how far the run of an order is. Raises the same errors."""

    def clear(self, placed: Placed) -> None:
        """Remove what only a run that goes on needs."""


@dataclass(frozen=True)
class Carrier:
    """Carries orders out. Thread-safe, and several processes may use one folder.

    Attributes:
        fetcher: of the repositories.
        runner: what carries them out.
    """

    orders: Orders
    fetcher: Fetcher
    runner: Runner

    def carry_out(self, id: str) -> Record:
        """Go on with an order as far as possible now, and return how far it is: call it again while it runs.

        A fault of what was ordered ends it with the reason.

        Raises:
            Later: a service does not answer: call it again later.
            OSError: the disk is full, or the like: call it again later.
            PantheonError: the order's files are damaged.
        """
        placed = self.orders.placed(id)
        try:
            with lock(self.orders.folder / id / ".lock", timeout=0):
                record = self.orders.record(id)
                if record.state in FINISHED:
                    return record
                try:
                    return self._go_on(placed, record)
                except Later:
                    raise
                except PantheonError as error:
                    now = self.orders.record(id)
                    return self._end(placed, now, state=FAILED, reason=error.cause, cure=error.cure)
        except Busy:
            return self.orders.record(id)  # another thread or process is at it

    def fail(self, id: str, reason: str) -> None:
        """End an order that cannot go on."""
        self.orders.save(id, self.orders.record(id), state=FAILED, reason=reason)

    def _go_on(self, placed: Placed, record: Record) -> Record:
        id = placed.id
        if record.state != RUNNING:
            if record.state == CHECKING:
                for source in sources_of(placed.order):
                    self.fetcher.reachable(source)
                record = self.orders.save(id, record, state=FETCHING, progress="the repositories answer")
            prepared = self._prepare(placed)
            run = self.runner.start(prepared)
            record = self.orders.save(
                id,
                record,
                state=RUNNING,
                run=run,
                progress="started",
                commits=prepared.commits,
                params=asdict(prepared.params),
            )
        progress = self.runner.progress(placed)
        if progress.failed:
            return self._end(placed, record, state=FAILED, reason=progress.failed, progress=progress.said)
        if progress.ended:
            result = {**progress.result, "by": placed.by, "order": id, "commits": record.commits}
            return self._end(placed, record, state=DONE, result=result, progress=progress.said)
        return self.orders.save(id, record, progress=progress.said) if progress.said != record.progress else record

    def _end(self, placed: Placed, record: Record, **changes: Any) -> Record:
        """Save an order's end, after what it does not need any more is gone: a kill in between repeats both."""
        self.runner.clear(placed)
        sources = self.orders.folder / placed.id / "sources"
        if sources.exists():
            shutil.rmtree(sources)
        return self.orders.save(placed.id, record, **changes)

    def _prepare(self, placed: Placed) -> Prepared:
        """Fetch what is missing: each repository is there completely, or not at all."""
        folder, order = self.orders.folder / placed.id / "sources", placed.order
        remove_parts(folder)  # of a process that was killed: this one has the lock
        model, data = sources_of(order)
        commits = {}
        for source in (model, data):
            target = folder / source.field
            if not target.is_dir():
                with atomic_folder(target) as part:
                    commit = self.fetcher.fetch(source, part)
                    (part / ".git" / "pantheon-commit").write_text(commit, encoding="utf-8")
            commits[source.field] = (target / ".git" / "pantheon-commit").read_text(encoding="utf-8")
        params = params_of(order, folder / "model")
        file = self.fetcher.pull(data, folder / "data", order.data.path, order.data.remote)
        spec = inside(folder / "data", order.data.spec, "data.spec") if order.data.spec else None
        if spec and not spec.is_file():
            raise PantheonError(f"the data repository has no file {order.data.spec}.", "Correct data.spec.")
        return Prepared(placed, folder / "model", file, spec, params, commits)


def params_of(order: Order, model: Path) -> Params:
    """Return a run's parameters: those of the order, else of ``params.yaml`` in the model repository, else defaults.

    Raises:
        PantheonError: they are not valid.
    """
    path = inside(model, "params.yaml", "model")
    if not path.is_file() and not (model / "extensions").is_dir():
        cure = "It has the layout of a deployment's repository; see the tier odysseus."
        raise PantheonError("the model repository has neither params.yaml nor extensions/.", cure)
    found = asdict(pipeline.read_params(path)) if path.is_file() else {}
    return Params.read({**found, **order.params})
