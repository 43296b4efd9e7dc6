"""Retraining: when the monitor says so, with what users said, once for the same feedback, and with pauses in between.

The new data is that of the deployed model's run, and the rows of the log whose truth users told. These are only trained
on: the new model is judged on the same held-out rows as the deployed one, so that wrong feedback cannot let itself
pass. The gate decides as about any other run.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pantheon import durations, files
from pantheon.errors import PantheonError
from pantheon.files import lock
from pantheon.monitoring import feedback
from pantheon.monitoring.report import Report
from pantheon.predictions.place import Place
from pantheon.predictions.read import Reader, Wanted
from pantheon.state import Outcome
from pantheon.store import ModelStore
from pantheon.workflow.data.spec import Column, Source, Spec
from pantheon.workflow.data.spec_file import dump_spec, read_spec
from pantheon.workflow.run import RUN_ID, read_as

STATE = "retraining.state.json"
MARK = "from-feedback"  # the column that says which rows are only trained on
SUFFIX = "-feedback"  # of the dataset's name
LEAST = 100  # rows with a truth
MOST = 100_000  # the newest rows with feedback that are used
COOL_DOWN = timedelta(hours=24)
BEGUN = timedelta(minutes=30)  # for the caller to start a run that it was told to start
CHECKS = ("performance", "drift", "predictions", "fairness")  # what other data can mend: not what callers send wrongly
RECENT = 100  # retrainings that are remembered


class Retraining(msgspec.Struct):
    """One retraining.

    Attributes:
        run: the run's ID.
        at: ISO 8601, UTC.
        reason: why, as a sentence.
        sha256: of the feedback.
        rows: how many rows of feedback there were.
        begun: whether the run was started.
        decision, why: the gate's; empty: not yet.
    """

    run: str
    model: str
    dataset: str
    at: str
    reason: str
    sha256: str
    rows: int
    begun: bool = False
    decision: str = ""
    why: str = ""


class Started(msgspec.Struct, frozen=True):
    """What to do now: start the run ``retraining``, or nothing, and why."""

    start: bool
    why: str
    retraining: Retraining | None = None


class Data(msgspec.Struct, frozen=True):
    """A dataset that was made: ``rows`` of feedback, and why other feedback could not be used."""

    dataset: str
    rows: int
    sha256: str
    left_out: dict[str, int]


def reason(report: Report) -> str:
    """Return why a model should be trained again, as sentences; empty: there is no reason."""
    return " ".join(alert.text for alert in report.alerts if alert.check in CHECKS)


def history(folder: Path) -> list[Retraining]:
    """Return the last retrainings, oldest first.

    Raises:
        PantheonError: the file is damaged.
    """
    path = folder / STATE
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Retraining])
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        cure = f"Move it away: `mv {path} {path}.old`. Feedback that was used already may then be used once more."
        raise PantheonError(f"{path} is damaged: {error}.", cure, 1) from None


def begin(
    state: Path,
    folder: Path,
    store: ModelStore,
    place: Place,
    spool: Path | None,
    model: str,
    why: str,
    *,
    cool_down: timedelta = COOL_DOWN,
    now: datetime | None = None,
) -> Started:
    """Decide whether to train a model again now, and make the data for it.

    Args:
        state: the deployment's state folder.
        folder: the monitor's.
        why: the reason, as a sentence.
        cool_down: between the starts of two retrainings of a model.

    Returns:
        What to do. If it is called again before ``mark_begun``, it returns the same run: its caller was interrupted.

    Raises:
        PantheonError: the deployed model has no data here; or the log or the store cannot be read.
    """
    at = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / ".retraining.lock"):
        known = history(folder)
        mine = [each for each in known if each.model == model]
        if mine:
            last, since = mine[-1], at - datetime.fromisoformat(mine[-1].at)
            if not last.begun and since < BEGUN:
                return Started(True, why, last)
            if last.begun and not last.decision and since < cool_down:
                return Started(False, f"the run {last.run} has not ended yet.")
            if since < cool_down:
                left = durations.words((cool_down - since).total_seconds())
                return Started(False, f"the last retraining was at {last.at[:16]}; the next one may start in {left}.")
        refused = next((each for each in reversed(mine) if each.decision == "refused"), None)
        data = make(state, store, place, spool, model, datetime.fromisoformat(refused.at) if refused else None)
        if data.rows < LEAST:
            of = f" of the feedback since the run {refused.run}, which was refused: {refused.why}" if refused else "."
            few = f"the truth is known of {data.rows:,} rows only, and {LEAST} are needed{of}"
            return Started(False, f"{few}{_said(data)}")
        for each in reversed(mine):
            if each.sha256 == data.sha256 and each.begun:
                became = f"was {each.decision}." if each.decision else f"has not ended; `run --resume {each.run}`"
                return Started(False, f"there is no new feedback: the run {each.run} {became}")
        run = f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        made = Retraining(run, model, data.dataset, at.isoformat(timespec="seconds"), why, data.sha256, data.rows)
        _write(folder, [*known, made])
        return Started(True, why, made)


def mark_begun(folder: Path, run: str) -> None:
    """Record that a run was started."""
    _change(folder, lambda each: setattr(each, "begun", True) if each.run == run else None)


def settle(state: Path, folder: Path) -> list[Retraining]:
    """Record what the gate said about runs that have ended since; return them."""
    ended: list[Retraining] = []

    def look(each: Retraining) -> None:
        path = state / "runs" / each.run / "outcome.json"
        if each.decision or not RUN_ID.fullmatch(each.run) or not path.is_file():
            return
        try:
            outcome = read_as(path, Outcome)
        except PantheonError:
            return
        each.begun, each.decision, each.why = True, outcome.decision, outcome.reason
        ended.append(each)

    _change(folder, look)
    return ended


def make(
    state: Path, store: ModelStore, place: Place, spool: Path | None, model: str, after: datetime | None = None
) -> Data:
    """Write the dataset ``MODEL-feedback``: the data of the deployed model's run, and the rows whose truth is known.

    With fewer than ``LEAST`` of these, nothing is written.

    Args:
        after: only feedback that was given later, because what was given before was refused; None: all.

    Raises:
        PantheonError: the deployed model has no data here; or the log or the store cannot be read.
    """
    spec, trusted = _trained_on(state, store, model)
    told = pl.col("correct").is_not_null() | pl.col("true_value").is_not_null()
    new = told & (pl.col("said_at") > after if after else pl.lit(True))
    with Reader(place, spool) as reader:
        judged = reader.read(
            Wanted(model, shadow=False, said=True),
            lambda rows: rows.filter(new).select(feedback.COLUMNS).collect(engine="streaming"),
        )
    judged = judged.sort("at", "id", "row").tail(MOST)
    found = feedback.labelled(judged, spec, dict(trusted.schema))
    name = f"{model}{SUFFIX}"
    digest = hashlib.sha256("\n".join(sorted(found.keys)).encode()).hexdigest()
    made = Data(name, found.rows.height, digest, found.left_out)
    if made.rows < LEAST:
        return made
    target = spec.target.column
    old = trusted.with_columns(feedback.as_classes(trusted[target], spec).alias(target), pl.lit(False).alias(MARK))
    rows = pl.concat([old, found.rows.with_columns(pl.lit(True).alias(MARK)).select(old.columns)])
    mark = Column(MARK, "boolean", "ignore", why="true: a user told the truth; only trained on, never held out")
    columns = tuple(each for each in spec.columns if each.role != "ignore")
    described = replace(
        spec,
        source=Source("file", path=f"{name}.parquet", format="parquet"),
        columns=(*columns, mark),
        split=replace(spec.split, train_only=MARK),
        description=f"{spec.description} With what users said about predictions.".strip(),
    )
    folder = state / "data"
    with files.atomic(folder / f"{name}.parquet") as part:
        rows.write_parquet(part)
    files.write_text(folder / f"{name}.toml", dump_spec(described))
    return made


def _trained_on(state: Path, store: ModelStore, model: str) -> tuple[Spec, pl.DataFrame]:
    """Return the spec and the clean data of the deployed model's run, without earlier feedback."""
    version = store.resolve(model).version
    run = str(store.describe(model, version).metadata.get("run") or "")
    folder = state / "runs" / run
    if not RUN_ID.fullmatch(run) or not (folder / "data" / "clean.parquet").is_file():
        cause = (
            f"the deployed version {version} of {model} has no training data here, so feedback cannot be added to it."
        )
        raise PantheonError(cause, "Train a model here first: `run`", 1)
    spec = read_spec(folder / "spec.toml")
    names = [column.name for column in spec.used]
    frame = pl.scan_parquet(folder / "data" / "clean.parquet", glob=False).select(names)
    if mark := spec.split.train_only:
        frame = frame.filter(~pl.col(mark)).drop(mark)
    return spec, frame.collect()


def _said(data: Data) -> str:
    parts = [f"{count:,} rows: {why}" for why, count in data.left_out.items()]
    return f" Feedback that cannot be used: {'; '.join(parts)}." if parts else ""


def _change(folder: Path, work: Callable[[Retraining], Any]) -> None:
    if not folder.is_dir():
        return
    with lock(folder / ".retraining.lock"):
        known = history(folder)
        before = msgspec.json.encode(known)
        for each in known:
            work(each)
        if msgspec.json.encode(known) != before:
            _write(folder, known)


def _write(folder: Path, known: list[Retraining]) -> None:
    files.write_bytes(folder / STATE, msgspec.json.encode(known[-RECENT:]), fsync=True)
