"""Runs that Airflow leads, as the command line shows them: triggered by REST, followed task by task to the model."""

import json
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.airflow.handover import taken
from pantheon.airflow.settings import run_id
from pantheon.cli import show
from pantheon.cli.airflow import ENDED, Airflow, TaskInstance
from pantheon.cli.summary import summary_words
from pantheon.errors import PantheonError
from pantheon.workflow.run import Run, read_json

LOOK = 0.4  # seconds between looks
FOLLOWER = 120.0  # seconds until the scheduler has started what the ETL's asset triggers; two is usual
SHOWN = 25  # lines of a failed task's log
ETL = ("load_data", "clean_data", "split_data", "preprocess")
# Who goes on after the ETL -> the DAG that asks them.
NEXT = {"dataflow": "dataflow", "jupyter": "notebooks", "pycaret": "pycaret"}


def new_id() -> str:
    """A run's id, of the form of ``pantheon.workflow.run.RUN_ID``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def dag_run_of(run: str) -> str:
    """The id in Airflow of a run that the command line starts."""
    return f"pantheon__{run}"


class Pipeline:
    """One deployment's Airflow and its runs.

    Args:
        airflow: its REST API.
        state: the deployment's state folder, for what the stages report there.
        rest: who goes on after the ETL, as the route has it: a key of ``NEXT``.
    """

    def __init__(self, airflow: Airflow, state: Path, rest: str) -> None:
        self.airflow, self.state, self.rest = airflow, state, NEXT[rest]

    def run(self, conf: dict[str, Any], again: str = "") -> dict[str, Any]:
        """Trigger the ETL and follow what comes of it, or take up a run ``again`` where it failed.

        Returns:
            ``outcome.json`` of the run, with its id under ``run``.

        Raises:
            PantheonError: a task failed; its log's end was shown.
            KeyboardInterrupt: after saying that Airflow goes on, and how to look at it again.
        """
        run = again or new_id()
        with show.steps() as steps:
            try:
                steps.start("Airflow reads the DAGs")
                for dag in ("etl", self.rest):
                    self.airflow.wait_for_dag(dag)
                steps.drop("Airflow reads the DAGs")
                if again:
                    run, dag_run = self.find(again)
                else:
                    dag_run = dag_run_of(run)
                    show.echo(f"POST {self.airflow.address}/api/v2/dags/etl/dagRuns {json.dumps(conf)}")
                    self.airflow.trigger("etl", dag_run, conf | {"run": run})
                show.say(f"run {run}: {conf['dataset']}, {self.airflow.address}/dags/etl/runs/{dag_run}")
                self.follow(steps, run, dag_run, bool(again))
            except KeyboardInterrupt:
                steps.close()
                show.say(f"Airflow goes on with the run. To look at it again: bin/pantheon run --resume {run}")
                raise
        outcome: dict[str, Any] = read_json(self.state / "runs" / run / "outcome.json")
        return {"run": run} | outcome

    def find(self, run: str) -> tuple[str, str]:
        """A run's id and its run of the DAG ``etl``; ``latest`` for the newest.

        Raises:
            PantheonError: Airflow knows no such run.
        """
        if run == "latest":
            run = Run.find(self.state, run).id
        for each in self.airflow.runs("etl"):
            asked, due = (each["conf"] or {}).get("run"), datetime.fromisoformat(each["run_after"])
            if run == run_id(asked, str(each["dag_run_id"]), due):
                return run, str(each["dag_run_id"])
        raise PantheonError(
            f"Airflow knows no run {run!r}.", "`bin/pantheon runs` lists them; `bin/pantheon run` makes one."
        )

    def follow(self, steps: show.Steps, run: str, dag_run: str, again: bool) -> None:
        """Show both DAG runs until the second one ends; ``again``: what failed in either is repeated first."""
        if again and self.airflow.state("etl", dag_run) == "failed":
            self.repeat("etl", dag_run)
            again = False
        self.watch(steps, run, "etl", dag_run)
        dag, dag_run = self.follower(steps, run)
        if again and self.airflow.state(dag, dag_run) == "failed":
            self.repeat(dag, dag_run)
        self.watch(steps, run, dag, dag_run)

    def repeat(self, dag: str, dag_run: str) -> None:
        show.say(f"{dag} goes on from what failed")
        self.airflow.repeat(dag, dag_run)

    def follower(self, steps: show.Steps, run: str) -> tuple[str, str]:
        """The DAG and its run that goes on after the ETL."""
        end = time.monotonic() + FOLLOWER
        steps.start("Airflow hands over")
        while not (found := taken(self.state, run)):
            if time.monotonic() > end:
                raise PantheonError(
                    f"nothing goes on after the ETL: Airflow started no run of the DAG {self.rest}.",
                    f"Look at {self.airflow.address}/dags/{self.rest}; is it switched off?",
                    1,
                )
            time.sleep(LOOK)
        steps.drop("Airflow hands over")
        return found["dag"], found["dag_run"]

    def watch(self, steps: show.Steps, run: str, dag: str, dag_run: str) -> None:
        """Show a DAG run's tasks, and the stages that they lead to, until it ends."""
        told: dict[str, str] = {}
        while True:
            state = self.airflow.state(dag, dag_run)  # before the tasks, so that nothing is missed at the end
            tasks = [t for t in self.airflow.tasks(dag, dag_run) if run in t.label or not t.label]
            if dag == "dataflow":
                self.tell_stages(steps, run, told)
            else:
                for task in tasks:
                    self.tell(steps, run, task, told)
            if state in ("success", "failed"):
                break
            time.sleep(LOOK)
        failed = next((task for task in tasks if task.state == "failed"), None)
        if failed:
            self.fail(steps, run, failed)
        if state == "failed" and not tasks:
            raise PantheonError(f"the DAG run {dag_run} of {dag} failed.", self.cure(run), 1)

    def tell(self, steps: show.Steps, run: str, task: TaskInstance, told: dict[str, str]) -> None:
        """Say what is new of one task."""
        news = f"{task.state} {task.attempt}"
        if told.get(task.task) == news or not task.state:
            return
        told[task.task] = news
        name = f"{task.dag} · {task.task.rpartition('.')[2]}"
        if task.state == "running":
            steps.start(name)
        elif task.state == "skipped":  # it is none of this deployment's
            steps.drop(name)
        elif task.state == "up_for_retry":
            steps.end(name, "restarting", f"try {task.attempt} failed; Airflow tries again", task.seconds)
        elif task.state in ENDED:
            mark = "done" if task.state == "success" else ("failed" if task.state == "failed" else "stopped")
            note = "" if task.state == "success" else task.state.replace("_", " ")
            steps.end(name, mark, note or self.summary(run, task.task.rpartition(".")[2]), task.seconds)

    def tell_stages(self, steps: show.Steps, run: str, told: dict[str, str]) -> None:
        """Say what is new of the stages that the dataflow works on: one task of Airflow's, many of the run's."""
        for name, stage in Run(self.state / "runs" / run).stages().items():
            if name in ETL or told.get(name) == stage["state"]:
                continue
            told[name] = stage["state"]
            if stage["state"] == "running":
                steps.start(f"dataflow · {name}")
            else:
                note = summary_words(stage.get("summary", {})) or stage.get("error", "")
                steps.end(f"dataflow · {name}", stage["state"], note, stage.get("seconds"))

    def summary(self, run: str, stage: str) -> str:
        file = self.state / "runs" / run / "stages" / f"{stage}.json"
        return summary_words(read_json(file).get("summary", {})) if file.exists() else ""

    def fail(self, steps: show.Steps, run: str, task: TaskInstance) -> None:
        """Show the end of a failed task's log.

        Raises:
            PantheonError: always; carries the stage's own cause where it left one.
        """
        steps.close()
        for line in self.airflow.log(task)[-SHOWN:]:
            show.err.print(f"    {line}", markup=False, style="dim")
        raise PantheonError(f"Airflow's task {task.dag} · {task.task} failed; its log stands above.", self.cure(run), 1)

    def cure(self, run: str) -> str:
        return f"Put it right, then go on from the failed task: bin/pantheon run --resume {run}"
