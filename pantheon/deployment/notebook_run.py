"""Run a run's notebooks from the command line if Airflow does not: a task in the JupyterLab service starts them."""

from typing import Any

from pantheon import terminal
from pantheon.deployment import notebooks
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine


def run(deployment: Deployment, engine: Engine, run_id: str) -> None:
    """Run and show every notebook of the run that is not done.

    Raises:
        PantheonError: a notebook failed; includes the error of its cell.
        KeyboardInterrupt: after a message about how to continue.
    """
    with terminal.steps() as steps:

        def on_event(event: dict[str, Any]) -> None:
            name, state = f"notebook · {event['name']}", event["state"]
            if state == "running":
                steps.start(name)
            else:
                steps.end(name, state, ", ".join(event["stages"]) if state == "done" else "")

        address = notebooks.address(engine, inside=True)
        try:
            Task(engine, "pantheon.jupyter.run_graph", "jupyter")(["--run", run_id, "--address", address], on_event)
        except KeyboardInterrupt:
            steps.close()
            again = deployment.command("run", resume=run_id)
            terminal.say(
                f"interrupted; notebooks that are running continue in JupyterLab. To continue: {terminal.plain(again)}"
            )
            raise
