"""Start runs of the workflow on any engine, and show the events that they report."""

import json
from functools import partial
from typing import Any

from pantheon import terminal
from pantheon.deployment import datasets
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.summary import summary_note
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.processes import whoami
from pantheon.tiers import Tier

WORKER = "pantheon.worker"


def run(
    deployment: Deployment, engine: Engine, tier: Tier, dataset: str, again: str = "", new: str = ""
) -> dict[str, Any]:
    """Run the complete workflow on the tier's route, or resume the run ``again``, and show every stage.

    Args:
        new: the ID of the new run; empty: one that is made now.

    Returns:
        ``outcome.json`` of the run, with the run ID under ``run``.

    Raises:
        PantheonError: a stage failed; the deployed model does not change.
        KeyboardInterrupt: after a message about how to resume the run.
    """
    settings = deployment.settings
    given = {key: getattr(settings, key) for key in ("approval", "trials", "seed", "folds", "metric")}
    params = {key: value for key, value in given.items() if value is not None}
    if settings.route.rest == "kubeflow":
        from pantheon.deployment import inside, kubeflow, pipelines

        client = kubeflow.client(deployment, engine)
        workflow = pipelines.WorkflowRun(client, deployment, partial(inside.look, deployment, engine))
        if not again or workflow.has(again):
            return workflow.run({"dataset": dataset, "tier": tier.name} | params, again, new)
        # Airflow began it, or it is older than the deployment's Kubeflow: what runs Airflow's runs continues it.
    components = deployment.components(tier)
    if settings.route.etl == "airflow" or (settings.route.after_etl and any(e.name == "airflow" for e in components)):
        from pantheon.airflow.client import Airflow
        from pantheon.deployment import inside
        from pantheon.deployment.airflow_run import Pipeline

        airflow = Airflow(deployment.address(engine, "airflow"), deployment.state / "secrets" / "airflow_password")
        assert components.continuing
        pipeline = Pipeline(airflow, deployment, partial(inside.look, deployment, engine), components.continuing.dag)
        return pipeline.run({"dataset": dataset} | params, again, new)
    if again:
        arguments = ["run", "--run", again]
    else:
        arguments = ["run", "--dataset", dataset, "--tier", tier.name, "--by", whoami()]
        arguments += ["--runner", tier.runner, "--params", json.dumps(params)]
        arguments += ["--id", new] if new else []
    if (settings.route.after_etl or settings.route.rest) != "dataflow":
        from pantheon.deployment import notebook_run

        begun = run_tasks(deployment, engine, [*arguments, "--until", "preprocess"])["run"]
        notebook_run.run(deployment, engine, begun)
        arguments = ["run", "--run", begun]
    return run_tasks(deployment, engine, arguments)


def run_tasks(deployment: Deployment, engine: Engine, arguments: list[str]) -> dict[str, Any]:
    """Run the stages as a one-off task; return the run's outcome, or only its ID under ``run`` if it stopped early."""
    outcome: dict[str, Any] = {}
    begun: dict[str, str] = {}
    interrupted: dict[str, Any] = {}
    with terminal.steps() as steps:

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "run":
                begun["id"] = outcome["run"] = event["run"]
                terminal.say(terminal.plain(f"run {event['run']}: {event['dataset']}, {event['runner']}"))
            elif event["event"] == "stage" and event["state"] == "running":
                steps.start(event["stage"])
            elif event["event"] == "stage":
                note = summary_note(event.get("summary", {})) or event.get("error", "")
                step = f"{event['step']} · " if "step" in event else ""
                steps.end(event["stage"], event["state"], step + note, event.get("seconds"))
                for note in [*event.get("notes", []), *([event["note"]] if event.get("note") else [])]:
                    terminal.warn(note)
            elif event["event"] == "outcome":
                outcome.update(event)
            elif event["event"] == "interrupted":
                interrupted.update(event)

        try:
            Task(engine)(arguments, on_event)
        except KeyboardInterrupt:
            steps.close()
            if begun:
                resume = f"To continue: {deployment.command('run', resume=begun['id'])}"
                terminal.say(terminal.plain(f"{interruption_note(interrupted)} {resume}"))
            raise
    return outcome


def interruption_note(event: dict[str, Any]) -> str:
    """Describe what an interrupted run left behind, given its last event; empty if it was killed before sending one."""
    if not event:
        return "interrupted; the next run first removes incomplete files."
    return "interrupted; no incomplete files are left."


def train(deployment: Deployment, engine: Engine, tier: Tier, asked: datasets.Asked, again: str = "") -> dict[str, Any]:
    """Run the workflow on the dataset that is asked for, else on the deployment's; or resume the run ``again``.

    If a model of another dataset is promoted, that dataset becomes the deployment's.
    """
    if again and (asked.ignore or asked.infer):
        setting = "IGNORE=" if asked.ignore else "INFER="
        raise PantheonError(f"{setting} changes the data, so it needs a new run.", "Omit --resume.")
    engine.prepare(["workflow"])
    dataset = datasets.take(deployment, engine, asked)
    outcome = run(deployment, engine, tier, dataset, again)
    if outcome["decision"] == "promoted" and deployment.settings.dataset != dataset and not again:
        Deployment(deployment.name).update(dataset=dataset)  # save only this; the other settings apply to this run
    return outcome


def stage(engine: Engine, name: str, run: str) -> dict[str, Any]:
    """Run one stage of a run (an ID, or ``latest``); return ``{"stage", "state", "seconds", "summary", "notes"}``."""
    engine.prepare(["workflow"])
    last: dict[str, Any] = {}
    Task(engine)(["stage", name, "--run", run], last.update)
    return last


def decide(deployment: Deployment, engine: Engine, verb: str, model: str, note: str) -> dict[str, Any]:
    """``approve`` or ``hold`` the challenger of ``model``; empty: of the only model that has one.

    If a model of another dataset is approved, that dataset becomes the deployment's.

    Returns:
        ``{"model", "version", "note", "dataset"}``; ``dataset``: whether the model is trained on a dataset.

    Raises:
        PantheonError: there is no challenger, or several models have one.
    """
    made: dict[str, Any] = {}
    Task(engine)([verb, "--model", model, "--by", whoami(), "--note", note], made.update)
    if verb == "approve" and made["dataset"] and deployment.settings.dataset != made["model"]:
        Deployment(deployment.name).update(dataset=made["model"])
    return made
