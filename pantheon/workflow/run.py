"""A run's folder: where stages read named inputs and write named outputs, so that any runner can call one alone.

Layout: ``run.json`` (what was asked, never changed), ``spec.toml`` (the dataset's spec as used), ``stages/NAME.json``
(one file a stage, so that stages in different processes never write the same file) and the stages' own outputs.
"""

import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
NOUNS: dict[Any, str] = {int: " whole number", float: " number", str: " text"}


@dataclass(frozen=True)
class Params:
    """What decides a run's result besides its data.

    Attributes:
        seed: seeds every random choice.
        trials: hyperparameter trials for each family of models.
        folds: folds of cross-validation.
        test_share: the held-out share of rows, 0..1.
        tuning_rows: rows of the training part, at most, that cross-validation and tuning look at.
        time_limit: seconds of tuning after which a run stops searching and is marked not reproducible.
        threads: threads for every fit and prediction; fixed, so that sums are added in the same order everywhere.
        approval: "auto" promotes what passes the gate, "required" leaves it a challenger until a person approves.
        metric: the metric to rank models by; empty takes the task's default.
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
        known = {field.name: field.type for field in fields(cls)}
        unknown = sorted(set(raw) - set(known))
        if unknown:
            raise PantheonError(f"unknown parameter {unknown[0]!r}.", f"Known ones: {', '.join(known)}.")
        for name, value in raw.items():
            kinds = (int, float) if known[name] is float else (known[name],)
            if isinstance(value, bool) or not isinstance(value, kinds):  # type: ignore[arg-type]
                raise PantheonError(f"{name} must be a{NOUNS[known[name]]}, not {value!r}.")
        params = cls(**raw)
        if params.approval not in ("auto", "required"):
            raise PantheonError(f"APPROVAL={params.approval} is not known.", "Use APPROVAL=auto or APPROVAL=required.")
        for name, low in (("trials", 1), ("folds", 2), ("threads", 1), ("tuning_rows", 100)):
            if getattr(params, name) < low:
                raise PantheonError(f"{name} must be at least {low}, not {getattr(params, name)}.")
        if not 0 < params.test_share < 0.9:
            raise PantheonError(f"test_share must lie between 0 and 0.9, not {params.test_share}.")
        return params


def now() -> str:
    """The time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block ends well, and else vanishes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}.part")
    try:
        yield part
        if part.is_dir() and path.is_dir():  # a folder takes no other's place: the one of an earlier try goes first
            old = part.with_name(f"{part.name.removesuffix('.part')}.old.part")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` whole or not at all; NaN is refused, since JSON has none."""
    with atomic(path) as part:
        part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Run:
    """One run of the workflow, by its folder ``STATE/runs/ID``."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def state(self) -> Path:
        """The deployment's state folder (models/, data/, extensions/ … lie there)."""
        return self.folder.parent.parent

    @property
    def extensions(self) -> Path:
        """The folder of the user's own candidates and features."""
        return self.state / "extensions"

    def source(self, path: str) -> Path:
        """Where the file ``path`` of a spec lies: in the deployment's ``data`` folder, else where it says."""
        inside = self.state / "data" / Path(path).expanduser()
        return inside if inside.exists() else Path(path).expanduser()

    @property
    def asked(self) -> dict[str, Any]:
        """``run.json``: id, created, dataset, tier, runner, params."""
        asked: dict[str, Any] = read_json(self.folder / "run.json")
        return asked

    @property
    def params(self) -> Params:
        return Params.read(self.asked["params"])

    def path(self, name: str) -> Path:
        """Where the output ``name`` (such as ``data/train.parquet``) lies."""
        return self.folder / name

    def need(self, name: str, stage: str) -> Path:
        """The path of an earlier stage's output.

        Raises:
            PantheonError: it is not there; names the stage to run first.
        """
        path = self.path(name)
        if not path.exists():
            raise PantheonError(
                f"{name} is missing from run {self.id}.", f"Run `bin/pantheon stage {stage} --run {self.id}` first."
            )
        return path

    @contextmanager
    def output(self, name: str) -> Iterator[Path]:
        """A temporary path for the output ``name``: complete when the block ends well, else absent."""
        with atomic(self.path(name)) as part:
            yield part

    def mark(self, stage: str, **values: Any) -> None:
        """Record a stage's state (``running``, ``done``, ``failed``, ``interrupted``) with times and a summary."""
        write_json(self.path(f"stages/{stage}.json"), {"stage": stage, **values})

    def stages(self) -> dict[str, dict[str, Any]]:
        """Every stage that has begun, by name."""
        found = (read_json(path) for path in sorted(self.path("stages").glob("[a-z]*.json")))
        return {stage["stage"]: stage for stage in found}

    @classmethod
    def create(cls, state: Path, spec: str, dataset: str, params: Params, tier: str = "", runner: str = "") -> "Run":
        """A new, empty run under ``state/runs``; complete or absent, and never one that another process has."""
        while True:
            name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            if run := cls._new(state, name, spec, dataset, params, tier, runner):
                return run

    @classmethod
    def ensure(
        cls, state: Path, name: str, spec: str, dataset: str, params: Params, tier: str = "", runner: str = ""
    ) -> "Run":
        """The run called ``name``: made if it is not there, so that a task may be tried again.

        The tier and the runner are those of the first call: they do not decide a run's result, and a deployment may
        grow between two tries.

        Raises:
            PantheonError: the name is none of a run, or a run of this name has other data or parameters.
        """
        if not RUN_ID.fullmatch(name):
            raise PantheonError(f"{name!r} is no name of a run.", "It looks like 20260131-142500-0a1b.")
        run = cls._new(state, name, spec, dataset, params, tier, runner)
        if run:
            return run
        run = cls(state / "runs" / name)
        there, asked = run.asked, {"dataset": dataset, "params": asdict(params)}
        for key, value in asked.items():
            if there[key] != value:
                raise PantheonError(
                    f"run {name} is there already with another {key}: {there[key]}, not {value}.", "Take another name."
                )
        return run

    @classmethod
    def _new(
        cls, state: Path, name: str, spec: str, dataset: str, params: Params, tier: str, runner: str
    ) -> "Run | None":
        """A new run, None where one of this name is there: whole or not at all, whoever else tries."""
        runs = state / "runs"
        folder = runs / name
        if folder.exists():
            return None
        runs.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=runs))
        try:
            part.chmod(0o755)
            (part / "spec.toml").write_text(spec, encoding="utf-8")
            asked = {"id": name, "created": now(), "dataset": dataset, "tier": tier, "runner": runner}
            write_json(part / "run.json", asked | {"params": asdict(params)})
            try:
                part.rename(folder)  # fails where another process took the same name: the folder there is not empty
            except OSError:
                if not folder.exists():
                    raise
                return None
            return cls(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @classmethod
    def find(cls, state: Path, name: str) -> "Run":
        """The run called ``name``, or the newest for ``latest``."""
        runs = cls.all(state)
        if name == "latest" and runs:
            return runs[0]
        for run in runs:
            if run.id == name:
                return run
        raise PantheonError(
            f"there is no run {name!r}.", "`bin/pantheon runs` lists them; `bin/pantheon run` makes one."
        )

    @classmethod
    def all(cls, state: Path) -> list["Run"]:
        """Every run, newest first."""
        folders = (state / "runs").glob("*") if (state / "runs").is_dir() else []
        return [cls(f) for f in sorted(folders, key=lambda f: f.name, reverse=True) if RUN_ID.fullmatch(f.name)]
