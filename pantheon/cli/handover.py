"""Hands a prepared run to Jupyter from the command line: what Airflow's DAGs `notebooks` and `pycaret` do elsewhere."""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from pantheon.cli import show
from pantheon.jupyter_jobs import Jupyter, graph_of, is_done, route_of, run_notebook, stages_of

AT_ONCE = 2  # as the graph: independent ones side by side


def run(address: str, state: Path, run_id: str) -> None:
    """Run every notebook of the run that is not done, each as soon as what it waits for is done.

    Raises:
        PantheonError: a notebook failed, with the error of its cell; those that run are waited for.
    """
    jupyter = Jupyter(address, (state / "secrets" / "jupyter_token").read_text(encoding="utf-8").strip())
    graph = graph_of(route_of(state))
    done = {name for name in graph if is_done(name, run_id, state)}
    waiting = {name: set(needs) - done for name, needs in graph.items() if name not in done}
    running: dict[Future[Path], str] = {}
    with show.steps() as steps, ThreadPoolExecutor(AT_ONCE) as pool:
        while waiting or running:
            for name in [name for name, needs in waiting.items() if not needs]:
                del waiting[name]
                steps.start(f"notebook · {name}")
                running[pool.submit(run_notebook, jupyter, name, run_id, state)] = name
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            failures = []
            for future in ended:
                name = running.pop(future)
                error = future.exception()
                note = "" if error else ", ".join(stages_of(name))
                steps.end(f"notebook · {name}", "failed" if error else "done", note)
                failures += [error] if error else []
                for needs in waiting.values():
                    needs.discard(name)
            if failures:
                wait(running)
                raise failures[0]
