"""List the runs of a deployment from their folders, for commands and the web page."""

from pathlib import Path

import msgspec

from pantheon.errors import PantheonError, describe
from pantheon.state import Outcome, Route, StageRecord, published
from pantheon.workflow.locks import is_held
from pantheon.workflow.run import Run, read_as

HANDED_OVER = "handed-over.json"  # in a run's folder: the Airflow DAG run that continues it


class Listed(msgspec.Struct, frozen=True):
    """A run in a list.

    Attributes:
        created: ISO 8601.
        state: see ``state_of``; ``damaged`` if a file of the run cannot be read: then, ``reason`` names it and a cure.
        seconds: total time of all stages.
        decision, version, reason: of the outcome; without one, ``reason`` is the error of a failed stage.
    """

    id: str
    created: str
    dataset: str
    tier: str
    state: str
    seconds: float
    decision: str
    version: str | None
    reason: str


class Progress(msgspec.Struct, frozen=True):
    """The progress of a run.

    Attributes:
        stages: every stage that has started, by name.
        handed_over: the Airflow DAG run that continues it: ``dag``, ``dag_run``, ``at``; None for none.
        outcome: None before the run is decided.
    """

    run: str
    stages: dict[str, StageRecord]
    handed_over: dict[str, str] | None = None
    outcome: Outcome | None = None


def state_of(run: Run, led: bool) -> str:
    """Return ``done``, ``failed``, ``interrupted``, ``running``, or ``waiting`` (for the start of the next stage).

    Args:
        led: whether Airflow or Jupyter starts the stages: between two stages, the run is then not locked. Otherwise, a
            run that is not locked was killed.
    """
    if run.path("outcome.json").exists():
        return "done"
    states = {record.state for record in run.records().values()}
    if "failed" in states:
        return "failed"
    if is_held(run):
        return "running"
    return "waiting" if led and states <= {"done"} else "interrupted"


def are_led(route: Route) -> bool:
    """Whether Airflow or Jupyter starts the stages of runs; see ``state_of``."""
    return route.etl != "dataflow" or route.rest != "dataflow"


def listed(state: Path) -> list[Listed]:
    """List all runs, newest first.

    Args:
        state: the deployment's state folder.
    """
    led = are_led(published(state).route)
    return [_listed(run, led) for run in Run.all(state) if run.folder.exists()]


def _listed(run: Run, led: bool) -> Listed:
    try:
        request, records, outcome = run.record, run.records(), run.outcome
        now = state_of(run, led)
    except PantheonError as error:  # one damaged run must not hide the others
        return Listed(run.id, "", "", "", "damaged", 0.0, "", None, f"{error}")
    except OSError as error:
        return Listed(run.id, "", "", "", "damaged", 0.0, "", None, f"{describe(error, run.folder)}")
    failed = next((f"{stage.stage}: {stage.error}" for stage in records.values() if stage.state == "failed"), "")
    return Listed(
        id=run.id,
        created=request.created,
        dataset=request.dataset,
        tier=request.tier,
        state=now,
        seconds=round(sum(stage.seconds for stage in records.values()), 3),
        decision=outcome.decision if outcome else "",
        version=outcome.version if outcome else None,
        reason=outcome.reason if outcome else failed,
    )


def look(state: Path, run: str) -> Progress:
    """Return the progress of a run.

    Args:
        run: its id, or ``latest``.

    Raises:
        PantheonError: there is no such run, or it is damaged.
    """
    match = Run.find(state, run)
    try:
        handed_over = read_as(match.path(HANDED_OVER), dict[str, str], "Start a new run: `run`")
    except FileNotFoundError:
        handed_over = None
    return Progress(match.id, match.records(), handed_over, match.outcome)
