"""A run's folder, where stages read named inputs and write named outputs, so that any runner can run a single stage.

Layout: ``run.json`` (the request, never changed), ``spec.toml`` (a copy of the dataset's spec), ``stages/NAME.json``
(one file per stage, so that stages in different processes never write the same file) and the outputs of the stages.
"""

import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import msgspec

from pantheon.errors import PantheonError
from pantheon.files import atomic, atomic_folder, write_json
from pantheon.state import Outcome, RunRecord, StageRecord

T = TypeVar("T")

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
NOUNS: dict[Any, str] = {int: " whole number", float: " number", str: " string"}


class Ordered(TypedDict):
    """Who ordered a run, and from which repositories, each at which commit.

    Attributes:
        id: the order's.
        by: who placed it.
        data_path: the file in the data repository.
    """

    id: str
    by: str
    model_repository: str
    model_commit: str
    data_repository: str
    data_commit: str
    data_path: str


@dataclass(frozen=True)
class Params:
    """The parameters of a run; with the data, they determine its result.

    Attributes:
        seed: seed of every random choice.
        trials: hyperparameter trials per family of models.
        folds: folds of cross-validation.
        test_share: the held-out share of rows, 0..1.
        tuning_rows: rows of the training part that cross-validation and tuning use, at most.
        time_limit: seconds after which tuning stops; the run is then marked as not reproducible.
        threads: threads of every fit and prediction; fixed, so that sums are computed in the same order everywhere.
        approval: "auto" promotes what passes the gate; "required" keeps it a challenger until a person approves.
        metric: the metric to rank models by; empty: the task's default.
    """

    seed: int = 42
    trials: int = 10
    folds: int = 5
    test_share: float = 0.2
    tuning_rows: int = 100_000
    time_limit: float = 3600.0
    threads: int = 2
    approval: str = "auto"
    metric: str = ""

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "Params":
        types = {field.name: field.type for field in fields(cls)}
        unknown = sorted(set(raw) - set(types))
        if unknown:
            raise PantheonError(f"unknown parameter {unknown[0]!r}.", f"The parameters are {', '.join(types)}.")
        for name, value in raw.items():
            kinds = (int, float) if types[name] is float else (types[name],)
            if isinstance(value, bool) or not isinstance(value, kinds):  # type: ignore[arg-type]
                raise PantheonError(f"{name} must be a{NOUNS[types[name]]}, not {value!r}.")
        params = cls(**raw)
        if params.approval not in ("auto", "required"):
            raise PantheonError(f"APPROVAL={params.approval} is not valid.", "Use APPROVAL=auto or APPROVAL=required.")
        for name, low in (("trials", 1), ("folds", 2), ("threads", 1), ("tuning_rows", 100)):
            if getattr(params, name) < low:
                raise PantheonError(f"{name} must be at least {low}, not {getattr(params, name)}.")
        if not 0 < params.test_share < 0.9:
            raise PantheonError(f"test_share must be between 0 and 0.9, not {params.test_share}.")
        return params


def now() -> str:
    """Return the current time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_as(path: Path, kind: type[T], cure: str = "") -> T:
    """Read a JSON file and check it against a type.

    Args:
        cure: what a person can do about a damaged file.

    Raises:
        FileNotFoundError: the file does not exist.
        PantheonError: it cannot be read, is not JSON, or not of this type; names the place in the file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise PantheonError(f"{path} is damaged: {str(error)[:300]}.", cure, 1) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PantheonError(f"{path} cannot be read: {error.strerror}.", cure, 1) from None


@dataclass(frozen=True)
class Run:
    """One run of the workflow, in the folder ``STATE/runs/ID``."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def state(self) -> Path:
        """The deployment's state folder, with models/, data/, extensions/ …"""
        return self.folder.parent.parent

    @property
    def extensions(self) -> Path:
        """The folder of user-defined candidates and features: the deployment's, or that of the run's order."""
        own = self.folder / "extensions"
        return own if own.is_dir() else self.state / "extensions"

    @property
    def order(self) -> Ordered | None:
        """``order.json``: who ordered the run, and from what; None if nobody did."""
        path = self.path("order.json")
        return read_as(path, Ordered, self._cure) if path.exists() else None

    def source(self, path: str) -> Path:
        """Resolve the ``path`` in a spec: a file in the deployment's ``data`` folder, else the path itself."""
        inside = self.state / "data" / Path(path).expanduser()
        return inside if inside.exists() else Path(path).expanduser()

    @property
    def _cure(self) -> str:
        return f"Restore it from a backup, or delete the run: `rm -r {self.folder}`"

    @property
    def record(self) -> RunRecord:
        """``run.json``: the request.

        Raises:
            PantheonError: it is missing or damaged.
        """
        path = self.folder / "run.json"
        try:
            return read_as(path, RunRecord, self._cure)
        except FileNotFoundError:
            raise PantheonError(f"{path} is missing.", self._cure, 1) from None

    @property
    def params(self) -> Params:
        return Params.read(self.record.params)

    @property
    def outcome(self) -> Outcome | None:
        """``outcome.json``: the gate's decision; None before it."""
        path = self.folder / "outcome.json"
        return read_as(path, Outcome, self._cure) if path.exists() else None

    def path(self, name: str) -> Path:
        """Return the path of the output ``name``, such as ``data/train.parquet``."""
        return self.folder / name

    def need(self, name: str, stage: str) -> Path:
        """Return the path of an earlier stage's output.

        Raises:
            PantheonError: it is missing; names the stage to run first.
        """
        path = self.path(name)
        if not path.exists():
            raise PantheonError(
                f"{name} is missing from run {self.id}.", f"Run `bin/pantheon stage {stage} --run {self.id}` first."
            )
        return path

    def read(self, name: str, stage: str, kind: type[T]) -> T:
        """Read an earlier stage's JSON file and check it against its type in ``pantheon.workflow.outputs``.

        Raises:
            PantheonError: it is missing, or not of this type; names the stage to run.
        """
        return read_as(self.need(name, stage), kind, f"Run `bin/pantheon stage {stage} --run {self.id}` again.")

    @contextmanager
    def output(self, name: str) -> Iterator[Path]:
        """Yield a temporary path for the output ``name``: complete if the block succeeds, else absent."""
        with atomic(self.path(name)) as part:
            yield part

    @contextmanager
    def output_folder(self, name: str) -> Iterator[Path]:
        """Yield a new folder for the output ``name``: complete if the block succeeds, else absent."""
        with atomic_folder(self.path(name)) as part:
            yield part

    def mark(self, record: StageRecord) -> None:
        """Write a stage's record."""
        write_json(self.path(f"stages/{record.stage}.json"), msgspec.to_builtins(record))

    def records(self) -> dict[str, StageRecord]:
        """Return the record of every stage that has started, by name.

        Raises:
            PantheonError: one is damaged.
        """
        records = (read_as(path, StageRecord, self._cure) for path in sorted(self.path("stages").glob("[a-z]*.json")))
        return {record.stage: record for record in records}

    @classmethod
    def create(
        cls, state: Path, spec: str, dataset: str, params: Params, tier: str = "", runner: str = "", by: str = ""
    ) -> "Run":
        """Create a new, empty run under ``state/runs``, atomically and with a unique id."""
        while True:
            name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            if run := cls._new(state, name, spec, dataset, params, tier, runner, by):
                return run

    @classmethod
    def ensure(
        cls,
        state: Path,
        name: str,
        spec: str,
        dataset: str,
        params: Params,
        tier: str = "",
        runner: str = "",
        by: str = "",
        fill: Callable[[Path], None] | None = None,
    ) -> "Run":
        """Return the run called ``name``; create it if it does not exist, so that a task can be retried.

        The tier, the runner and ``by`` are those of the first call: they do not affect the result, and the deployment
        may have changed its tier between two attempts.

        Args:
            fill: puts more files into the folder of a new run, before it can be seen.

        Raises:
            PantheonError: the name is not valid, or a run of this name has other data or parameters.
        """
        if not RUN_ID.fullmatch(name):
            raise PantheonError(f"{name!r} is not a valid name of a run.", "Use a name such as 20260131-142500-0a1b.")
        run = cls._new(state, name, spec, dataset, params, tier, runner, by, fill)
        if run:
            return run
        run = cls(state / "runs" / name)
        existing = run.record
        for key, value, wanted in (
            ("dataset", existing.dataset, dataset),
            ("parameters", existing.params, asdict(params)),
        ):
            if value != wanted:
                raise PantheonError(
                    f"run {name} already exists with other {key}: {value}, not {wanted}.", "Choose another name."
                )
        return run

    @classmethod
    def _new(
        cls,
        state: Path,
        name: str,
        spec: str,
        dataset: str,
        params: Params,
        tier: str,
        runner: str,
        by: str = "",
        fill: Callable[[Path], None] | None = None,
    ) -> "Run | None":
        """Create a run atomically; None if a run of this name exists already."""
        runs = state / "runs"
        folder = runs / name
        if folder.exists():
            return None
        runs.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=runs))
        try:
            part.chmod(0o755)
            (part / "spec.toml").write_text(spec, encoding="utf-8")
            record = RunRecord(name, now(), dataset, tier, runner, asdict(params), by)
            write_json(part / "run.json", msgspec.to_builtins(record))
            if fill:
                fill(part)
            try:
                part.rename(folder)  # fails if another process took the same name: that folder is not empty
            except OSError:
                if not folder.exists():
                    raise
                return None
            return cls(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @classmethod
    def find(cls, state: Path, name: str) -> "Run":
        """Return the run called ``name``; ``latest`` is the newest."""
        runs = cls.all(state)
        if name == "latest" and runs:
            return runs[0]
        for run in runs:
            if run.id == name:
                return run
        raise PantheonError(
            f"there is no run {name!r}.", "`bin/pantheon runs` lists them; `bin/pantheon run` starts one."
        )

    @classmethod
    def all(cls, state: Path) -> list["Run"]:
        """Return all runs, newest first."""
        folders = (state / "runs").glob("*") if (state / "runs").is_dir() else []
        return [cls(f) for f in sorted(folders, key=lambda f: f.name, reverse=True) if RUN_ID.fullmatch(f.name)]
