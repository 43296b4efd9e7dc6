"""The runs of a deployment, as their folders tell it."""

from pathlib import Path
from typing import Any

from pantheon.cli import show
from pantheon.workflow.locks import is_held
from pantheon.workflow.run import Run, read_json


def state_of(run: Run, led: bool) -> str:
    """``done``, ``failed``, ``interrupted``, ``running``, or ``waiting`` for the next stage to be started.

    Args:
        led: Airflow or Jupyter starts the stages, so that between two of them nobody holds the run. Without them, one
            that is not held was killed.
    """
    if run.path("outcome.json").exists():
        return "done"
    states = {stage["state"] for stage in run.stages().values()}
    if "failed" in states:
        return "failed"
    if is_held(run):
        return "running"
    return "waiting" if led and states <= {"done"} else "interrupted"


def all_runs(state: Path) -> list[dict[str, Any]]:
    """Every run, newest first: id, dataset, tier, state, seconds, decision, version, reason."""
    found = []
    file = state / "state" / "deployment.json"
    route = read_json(file).get("route", {}) if file.exists() else {}
    led = bool({"airflow", "jupyter", "pycaret"} & set(route.values()))
    for run in Run.all(state):
        asked, stages = run.asked, run.stages()
        outcome = read_json(run.path("outcome.json")) if run.path("outcome.json").exists() else {}
        failed = next((f"{s['stage']}: {s['error']}" for s in stages.values() if s["state"] == "failed"), "")
        found.append(
            {
                "id": run.id,
                "created": asked["created"],
                "dataset": asked["dataset"],
                "tier": asked["tier"],
                "state": state_of(run, led),
                "seconds": round(sum(s.get("seconds", 0.0) for s in stages.values()), 3),
                "decision": outcome.get("decision", ""),
                "version": outcome.get("version"),
                "reason": outcome.get("reason", failed),
            }
        )
    return found


def show_runs(found: list[dict[str, Any]]) -> None:
    if not found:
        show.say("no runs yet: bin/pantheon run")
        return
    shown = show.table("run", "dataset", "tier", "state", "work", "outcome")
    for r in found:
        outcome = f"{r['decision']} {r['version'] or ''} {r['reason']}".strip()
        shown.add_row(
            r["id"],
            r["dataset"],
            r["tier"],
            f"{show.MARKS.get(r['state'], '·')} {r['state']}",
            show.seconds(r["seconds"]),
            outcome,
        )
    show.out.print(shown)
