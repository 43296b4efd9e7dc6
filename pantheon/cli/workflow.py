"""Runs of the workflow as the command line shows them: started on any engine, drawn from the events they report."""

import json
import signal
from pathlib import Path
from typing import Any

from pantheon.cli import data as datasets
from pantheon.cli import show
from pantheon.cli.deployment import Deployment
from pantheon.cli.summary import summary_words
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier

TASKS = ["python", "-m", "pantheon.tasks"]


class Task:
    """A one-off of the workflow: passes its events on, and turns its error event into ours."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.noise: list[str] = []
        self.error: dict[str, Any] | None = None

    def __call__(self, arguments: list[str], on_event: Any = lambda event: None) -> None:
        """Run ``pantheon.tasks`` with these arguments.

        Raises:
            PantheonError: what the task reported, or that it ended without a word, with its last lines.
            KeyboardInterrupt: it was interrupted.
        """

        def line(text: str) -> None:
            try:
                event = json.loads(text)
                kind = event["event"]
            except (ValueError, TypeError, KeyError):
                self.noise.append(text.rstrip())
                return
            if kind == "error":
                self.error = event
            else:
                on_event(event)

        status = self.engine.run_task("workflow", [*TASKS, *arguments], on_output=line)
        if self.error:
            raise PantheonError(self.error["cause"], self.error["cure"], self.error["status"])
        if status in (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        if status:
            last = "\n".join(self.noise[-15:])
            raise PantheonError(
                f"the workflow ended with status {status}.\n{last}", "Try again; all of it: --verbose", 1
            )


def prepare_dataset(deployment: Deployment, engine: Engine, data: str, target: str) -> datasets.Dataset:
    """The dataset to train on: the one asked for (its spec worked out where there is none), else the deployment's."""
    if not data:
        if target:
            raise PantheonError(f"TARGET={target} needs DATA=.", f"Give the file too: DATA=your.csv TARGET={target}")
        name = deployment.settings.dataset
        return datasets.Dataset(name, datasets.spec_of(deployment.state, name))
    chosen = datasets.choose(deployment.state, data, target)
    if chosen.infer_from:
        infer(engine, chosen)
    return chosen


def infer(engine: Engine, chosen: datasets.Dataset) -> None:
    found: list[dict[str, Any]] = []
    with show.steps() as steps:
        steps.start("reading the columns")
        arguments = ["infer", "--file", str(chosen.infer_from), "--target", chosen.target]
        try:
            Task(engine)([*arguments, "--name", chosen.name, "--out", str(chosen.spec)], found.append)
        except BaseException as error:
            steps.end("reading the columns", "failed")
            if not chosen.spec.exists() and chosen.infer_from:
                chosen.infer_from.unlink(missing_ok=True)
            if isinstance(error, PantheonError):  # people know their file, not our copy of it
                cause = error.cause.replace(str(chosen.infer_from), chosen.asked)
                raise PantheonError(cause, error.cure, error.status) from None
            raise
        steps.end("reading the columns", note=f"{len(found[0]['columns'])} columns")
    shown = show.table("column", "type", "role", "why")
    for column in found[0]["columns"]:
        shown.add_row(column["name"], column["type"], column["role"], column["why"])
    show.err.print(shown)
    show.say(
        f"{found[0]['task']} of {found[0]['target']!r}. To change what was worked out, edit {relative(chosen.spec)}"
    )


def relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def run(
    deployment: Deployment, engine: Engine, tier: Tier, dataset: datasets.Dataset, again: str = ""
) -> dict[str, Any]:
    """Run the whole workflow on the tier's route, or go on with run ``again``, and show it stage by stage.

    Returns:
        ``outcome.json`` of the run, with its id under ``run``.

    Raises:
        PantheonError: a stage found its input wrong; the deployed model stays as it is.
        KeyboardInterrupt: after saying how to go on with the run.
    """
    settings = deployment.settings
    given = {"approval": settings.approval, "trials": settings.trials, "seed": settings.seed}
    params = {key: value for key, value in given.items() if value is not None}
    if settings.route["etl"] == "airflow":
        from pantheon.cli.airflow import Airflow
        from pantheon.cli.pipeline import Pipeline

        airflow = Airflow(deployment.address(engine, "airflow"), deployment.state / "secrets" / "airflow_password")
        return Pipeline(airflow, deployment.state, settings.route["rest"]).run(
            {"dataset": dataset.name} | params, again
        )
    if again:
        arguments = ["run", "--run", again]
    else:
        arguments = ["run", "--spec", str(dataset.spec), "--dataset", dataset.name, "--tier", tier.name]
        arguments += ["--runner", tier.runner, "--params", json.dumps(params)]
    if settings.route["rest"] != "dataflow":
        from pantheon.cli import handover

        begun = run_tasks(engine, [*arguments, "--until", "preprocess"])["run"]
        handover.run(deployment.address(engine, "jupyter"), deployment.state, begun)
        arguments = ["run", "--run", begun]
    return run_tasks(engine, arguments)


def run_tasks(engine: Engine, arguments: list[str]) -> dict[str, Any]:
    """The stages as a one-off of the workflow; the run's outcome, or where it stopped early its id under ``run``."""
    outcome: dict[str, Any] = {}
    begun: dict[str, str] = {}
    interrupted: dict[str, Any] = {}
    with show.steps() as steps:

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "run":
                begun["id"] = outcome["run"] = event["run"]
                show.say(f"run {event['run']}: {event['dataset']}, {event['runner']}")
            elif event["event"] == "stage" and event["state"] == "running":
                steps.start(event["stage"])
            elif event["event"] == "stage":
                note = summary_words(event.get("summary", {})) or event.get("error", "")
                step = f"[dim]{event['step']} ·[/] " if "step" in event else ""
                steps.end(event["stage"], event["state"], step + note, event.get("seconds"))
            elif event["event"] == "outcome":
                outcome.update(event)
            elif event["event"] == "interrupted":
                interrupted.update(event)

        try:
            Task(engine)(arguments, on_event)
        except KeyboardInterrupt:
            steps.close()
            if begun:
                show.say(f"{interrupted_words(interrupted)} To go on: bin/pantheon run --resume {begun['id']}")
            raise
    return outcome


def interrupted_words(event: dict[str, Any]) -> str:
    """What an interrupted workflow has left behind, by its last event; an empty one where it was killed before that."""
    if not event:
        return "interrupted at once; to go on takes back first what is half-written."
    if left := event.get("left"):
        return f"interrupted; {left} holds a part of this run's recording, and to go on takes that back first."
    return "interrupted; nothing half-written."


def show_outcome(outcome: dict[str, Any], tier: str) -> None:
    decision, model, version = outcome["decision"], outcome["model"], outcome.get("version")
    if decision == "promoted":
        show.say(f"[green]✓[/] {model} version {version} is deployed: {outcome['reason']}")
    elif decision == "challenger":
        show.say(f"[yellow]●[/] {model} version {version} waits for approval: {outcome['reason']}")
        show.say(f"  Look at it on the page, then: make tier-{tier} approve   or   make tier-{tier} hold NOTE='why'")
    else:
        show.say(f"[red]✗[/] {model} was not deployed: {outcome['reason']}")


def relative_text(path: str) -> str:
    return relative(Path(path))
