"""Runs that Airflow executes: trigger them over the REST API and show their tasks on the command line."""

import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from pantheon import terminal
from pantheon.airflow.client import ENDED, Airflow, TaskInstance
from pantheon.airflow.settings import run_id
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.summary import summary_note
from pantheon.errors import PantheonError
from pantheon.web.client import NoAnswer
from pantheon.workflow.runs import Progress

POLL_SECONDS = 0.4
SCHEDULER_TIMEOUT_SECONDS = 120.0  # for the DAG that the ETL's asset triggers; it usually starts after two
FOLLOW_SECONDS = 240.0  # how long to repeat requests: Airflow and its database take minutes to restart if both hang
MAX_LOG_LINES = 25  # of a failed task's log
ETL = ("load_data", "clean_data", "split_data", "preprocess")


def new_id() -> str:
    """Return a new run ID, of the form of ``pantheon.workflow.run.RUN_ID``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def dag_run_of(run: str) -> str:
    """Return the Airflow ID of a run that the command line starts."""
    return f"pantheon__{run}"


class Pipeline:
    """A client for one deployment's Airflow and its runs.

    Args:
        airflow: client for its REST API.
        deployment: the deployment that the runs belong to.
        look: returns the progress of a run, given its ID or ``latest``.
        rest: the DAG that continues after the ETL: ``dag`` of the component that leads ``rest``.
    """

    def __init__(self, airflow: Airflow, deployment: Deployment, look: Callable[[str], Progress], rest: str) -> None:
        self.airflow, self.deployment, self.look, self.rest = airflow, deployment, look, rest

    def run(self, conf: dict[str, Any], again: str = "", new: str = "") -> dict[str, Any]:
        """Trigger the ETL and follow the run to its end, or resume the failed run ``again``.

        Args:
            new: the ID of the new run; empty: one that is made now.

        Returns:
            ``outcome.json`` of the run, with the run ID under ``run``.

        Raises:
            PantheonError: a task failed; the end of its log was printed.
            KeyboardInterrupt: after a message that Airflow continues the run, and how to follow it again.
        """
        run = again or new or new_id()
        with terminal.steps() as steps:
            try:
                steps.start("waiting for Airflow to read the DAGs")
                for dag in ("etl", self.rest):
                    self.airflow.wait_for_dag(dag)
                steps.drop("waiting for Airflow to read the DAGs")
                if again:
                    run, dag_run = self.find(again)
                else:
                    dag_run = dag_run_of(run)
                    terminal.echo(f"POST {self.airflow.address}/api/v2/dags/etl/dagRuns {json.dumps(conf)}")
                    self.airflow.trigger("etl", dag_run, conf | {"run": run})
                where = f"{self.airflow.address}/dags/etl/runs/{dag_run}"
                terminal.say(terminal.plain(f"run {run}: {conf['dataset']}, {where}"))
                self.airflow.retry_seconds = FOLLOW_SECONDS
                self.follow(steps, run, dag_run, bool(again))
            except NoAnswer as error:
                if self.airflow.retry_seconds != FOLLOW_SECONDS:  # nothing was started
                    raise
                cure = f"The run continues when it works again. To follow it: `run --resume {run}`"
                raise PantheonError(error.cause, cure, 1) from None
            except KeyboardInterrupt:
                steps.close()
                resume = self.deployment.command("run", resume=run)
                terminal.say(f"Airflow continues the run. To follow it again: {terminal.plain(resume)}")
                raise
        outcome = self.look(run).outcome
        if outcome is None:
            raise PantheonError(f"run {run} ended without an outcome.", self.cure(run), 1)
        return {"run": run} | msgspec.structs.asdict(outcome)

    def find(self, run: str) -> tuple[str, str]:
        """Return a run's ID and the ID of its run of the DAG ``etl``; ``latest`` is the newest run.

        Raises:
            PantheonError: Airflow does not have that run.
        """
        if run == "latest":
            run = self.look(run).run
        for dag_run in self.airflow.runs("etl"):
            requested, due = (dag_run["conf"] or {}).get("run"), datetime.fromisoformat(dag_run["run_after"])
            if run == run_id(requested, str(dag_run["dag_run_id"]), due):
                return run, str(dag_run["dag_run_id"])
        raise PantheonError(f"Airflow has no run {run!r}.", "List the runs: `runs`. Start one: `run`")

    def follow(self, steps: terminal.Steps, run: str, dag_run: str, again: bool) -> None:
        """Show both DAG runs until the second one ends; with ``again``, first restart the tasks that failed."""
        if again and self.airflow.state("etl", dag_run) == "failed":
            self.repeat("etl", dag_run)
            again = False
        self.watch(steps, run, "etl", dag_run)
        dag, dag_run = self.follower(steps, run)
        if again and self.airflow.state(dag, dag_run) == "failed":
            self.repeat(dag, dag_run)
        self.watch(steps, run, dag, dag_run)

    def repeat(self, dag: str, dag_run: str) -> None:
        terminal.say(f"restarting the failed tasks of {terminal.plain(dag)}")
        self.airflow.repeat(dag, dag_run)

    def follower(self, steps: terminal.Steps, run: str) -> tuple[str, str]:
        """Return the DAG that continues after the ETL, and its run."""
        end = time.monotonic() + SCHEDULER_TIMEOUT_SECONDS
        steps.start("waiting for the next DAG")
        while not (successor := self.look(run).handed_over):
            if time.monotonic() > end:
                raise PantheonError(
                    f"the ETL finished, but Airflow did not start the DAG {self.rest}.",
                    f"Check whether it is paused: {self.airflow.address}/dags/{self.rest}",
                    1,
                )
            time.sleep(POLL_SECONDS)
        steps.drop("waiting for the next DAG")
        return successor["dag"], successor["dag_run"]

    def watch(self, steps: terminal.Steps, run: str, dag: str, dag_run: str) -> None:
        """Show a DAG run's tasks or stages until it ends."""
        reported: dict[str, str] = {}
        while True:
            state = self.airflow.state(dag, dag_run)  # read before the tasks, so that no task is missed at the end
            tasks = [t for t in self.airflow.tasks(dag, dag_run) if run in t.label or not t.label]
            if dag == "dataflow":
                self.report_stages(steps, run, reported)
            else:
                for task in tasks:
                    self.report(steps, run, task, reported)
            if state in ("success", "failed"):
                break
            time.sleep(POLL_SECONDS)
        failed = next((task for task in tasks if task.state == "failed"), None)
        if failed:
            self.fail(steps, run, failed)
        if state == "failed" and not tasks:
            raise PantheonError(f"the DAG run {dag_run} of {dag} failed.", self.cure(run), 1)

    def report(self, steps: terminal.Steps, run: str, task: TaskInstance, reported: dict[str, str]) -> None:
        """Report a task's new state, if it changed."""
        news = f"{task.state} {task.attempt}"
        if reported.get(task.task) == news or not task.state:
            return
        reported[task.task] = news
        name = f"{task.dag} · {task.task.rpartition('.')[2]}"
        if task.state == "running":
            steps.start(name)
        elif task.state == "skipped":  # it does not apply to this deployment
            steps.drop(name)
        elif task.state == "up_for_retry":
            steps.end(name, "restarting", f"attempt {task.attempt} failed; Airflow will retry", task.seconds)
        elif task.state in ENDED:
            mark = "done" if task.state == "success" else ("failed" if task.state == "failed" else "stopped")
            note = "" if task.state == "success" else task.state.replace("_", " ")
            stage = self.look(run).stages.get(task.task.rpartition(".")[2])  # None for a task that is not a stage
            steps.end(name, mark, note or (summary_note(stage.summary) if stage else ""), task.seconds)
            for said in stage.notes if stage else []:
                terminal.warn(said)

    def report_stages(self, steps: terminal.Steps, run: str, reported: dict[str, str]) -> None:
        """Report changed stages of the dataflow, which runs many stages in one Airflow task."""
        for name, stage in self.look(run).stages.items():
            if name in ETL or reported.get(name) == stage.state:
                continue
            reported[name] = stage.state
            if stage.state == "running":
                steps.start(f"dataflow · {name}")
            else:
                note = summary_note(stage.summary) or stage.error
                steps.end(f"dataflow · {name}", stage.state, note, stage.seconds)
                for said in stage.notes:
                    terminal.warn(said)

    def fail(self, steps: terminal.Steps, run: str, task: TaskInstance) -> None:
        """Print the end of a failed task's log.

        Raises:
            PantheonError: always.
        """
        steps.close()
        for line in self.airflow.log(task)[-MAX_LOG_LINES:]:
            terminal.err.print(f"    {line}", markup=False, style="dim")
        raise PantheonError(f"Airflow's task {task.dag} · {task.task} failed; see its log above.", self.cure(run), 1)

    def cure(self, run: str) -> str:
        return f"Fix the problem, then continue from the failed task: `run --resume {run}`"
