"""Runs every notebook of a run through Jupyter's job API, where Airflow does not.

``python -m pantheon.jupyter.run_graph`` is a task of the JupyterLab service: it has the token, the run's folder and the
server's address. Events are JSON lines, as those of ``pantheon.worker``:
``{"event": "notebook", "name", "state": "running" | "done" | "failed", "stages"}``.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.events import report
from pantheon.jupyter.client import Jupyter, is_done, run_notebook
from pantheon.jupyter.graph import graph_of, stages_of
from pantheon.state import published

AT_ONCE = 2  # as the graph: independent ones side by side


def run_graph(jupyter: Jupyter, state: Path, run_id: str, on_event: Callable[[dict[str, Any]], None] = report) -> None:
    """Run every notebook of the run that is not done, each as soon as those that it waits for are done.

    Raises:
        PantheonError: a notebook failed, with the error of its cell; those that run are waited for.
    """
    graph = graph_of(published(state).route)
    done = {name for name in graph if is_done(name, run_id, state)}
    waiting = {name: set(needs) - done for name, needs in graph.items() if name not in done}
    running: dict[Future[Path], str] = {}

    def tell(name: str, now: str) -> None:
        on_event({"event": "notebook", "name": name, "state": now, "stages": list(stages_of(name))})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        while waiting or running:
            for name in [name for name, needs in waiting.items() if not needs]:
                del waiting[name]
                tell(name, "running")
                running[pool.submit(run_notebook, jupyter, name, run_id, state)] = name
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            failures = []
            for future in ended:
                name, error = running.pop(future), future.exception()
                tell(name, "failed" if error else "done")
                failures += [error] if error else []
                for needs in waiting.values():
                    needs.discard(name)
            if failures:
                wait(running)
                raise failures[0]


def interrupt(number: int, _: object) -> None:
    """End at once: the jobs go on in Jupyter, and the next call takes them over."""
    os._exit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="pantheon.jupyter.run_graph", description=__doc__)
    parser.add_argument("--run", required=True)
    parser.add_argument("--address", required=True, help="of JupyterLab, as services reach it")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    token = Path(os.environ["JUPYTER_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
    try:
        run_graph(Jupyter(given.address, token), Path(os.environ["STATE_DIR"]), given.run)
    except PantheonError as error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
