"""The queue of requested runs: up to ``limit`` are running, the others wait; a run is queued at most once."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from pantheon.dataflow.child import Child
from pantheon.workflow import graph, locks
from pantheon.workflow.run import Run

POLL_SECONDS = 0.2  # between checks of a run that another process has locked
STOP_SECONDS = 8.0  # for interrupted runs to end


class Job:
    """A requested run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.child: Child | None = None


class Runs:
    """Continues runs, ``limit`` at a time.

    All methods are thread-safe.

    Args:
        state: the deployment's state folder.
        limit: number of concurrent runs.
        log: called with every line to display.
    """

    def __init__(self, state: Path, limit: int, log: Callable[[str], None]) -> None:
        self.state, self.limit, self.log = state, limit, log
        self.change = threading.Condition()
        self.waiting: dict[str, Job] = {}  # in the order of the requests
        self.running: dict[str, Job] = {}
        self.errors: dict[str, dict[str, str]] = {}  # why the last attempt of a run failed
        self.stopping = False
        self.thread = threading.Thread(target=self._dispatch, name="dispatch", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def resume(self, run: Run) -> dict[str, Any]:
        """Queue ``run`` unless it is done or already queued. Return its ``status``."""
        with self.change:
            if not is_done(run) and not self.stopping and run.id not in self.waiting and run.id not in self.running:
                self.errors.pop(run.id, None)
                self.waiting[run.id] = Job(run)
                self._begin()
                self.change.notify_all()
        return self.status(run)

    def status(self, run: Run) -> dict[str, Any]:
        """Return ``{"run", "state", "stages", "error", "outcome"}`` of a run.

        The state is waiting, running, done, failed or interrupted: not done, and no process works on it.
        """
        with self.change:
            waiting, running = run.id in self.waiting, run.id in self.running
            error = self.errors.get(run.id)
        records = run.records()
        failed = next((record for record in records.values() if record.state == "failed"), None)
        if is_done(run):
            state = "done"
        elif running or (not waiting and locks.is_held(run)):
            state = "running"
        elif waiting:
            state = "waiting"
        else:
            state = "failed" if failed or error else "interrupted"
        if state != "failed":
            error = None
        elif failed and not error:
            error = {"cause": f"{failed.stage}: {failed.error or 'no reason recorded'}", "cure": "Continue the run."}
        outcome = to_builtins(run.outcome) if state == "done" else None
        stages = {name: to_builtins(record) for name, record in records.items()}
        return {"run": run.id, "state": state, "stages": stages, "error": error, "outcome": outcome}

    def counts(self) -> dict[str, int]:
        with self.change:
            return {"running": len(self.running), "waiting": len(self.waiting)}

    def stop(self) -> None:
        """Interrupt the running runs, wait until their records say so, and drop the queue."""
        with self.change:
            self.stopping = True
            self.waiting.clear()
            for job in self.running.values():
                if job.child:
                    job.child.interrupt()
            self.change.notify_all()
            end = time.monotonic() + STOP_SECONDS
            while self.running and (left := end - time.monotonic()) > 0:
                self.change.wait(left)
            for job in self.running.values():
                if job.child:
                    job.child.kill()

    def _begin(self) -> None:
        """Start waiting runs in order, up to the limit, unless another process has locked them."""
        for name, job in list(self.waiting.items()):
            if len(self.running) < self.limit and not locks.is_held(job.run):
                self.running[name] = self.waiting.pop(name)
                threading.Thread(target=self._work, args=(job,), name=f"run-{name}", daemon=True).start()

    def _dispatch(self) -> None:
        """Start waiting runs when one has ended; poll while another process has locked one of them."""
        with self.change:
            while not self.stopping:
                self._begin()
                room = len(self.running) < self.limit
                self.change.wait(POLL_SECONDS if self.waiting and room else None)

    def _work(self, job: Job) -> None:
        error: dict[str, str] | None = {"cause": "the service failed; see its log.", "cure": "Continue the run."}
        try:
            with self.change:
                if not self.stopping:
                    job.child = Child(self.state, job.run.id, self.log)
            error = job.child.wait() if job.child else None
        except OSError as fault:
            error = {
                "cause": f"cannot start a process: {fault}",
                "cure": "Free memory or processes, then continue the run.",
            }
        finally:
            with self.change:
                del self.running[job.run.id]
                if error:
                    self.errors[job.run.id] = error
                self.change.notify_all()


def is_done(run: Run) -> bool:
    """Return whether all stages are done and the outcome is recorded."""
    return run.path("outcome.json").exists() and graph.finished(run) >= set(graph.GRAPH)
