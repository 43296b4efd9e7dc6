"""The runs that were asked for: some under way, the others waiting for their turn, each asked for once at a time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.dataflow.child import Child
from pantheon.workflow import graph, locks
from pantheon.workflow.run import Run, read_json

LOOK = 0.2  # seconds between looks at a run that another process works on
STOPPING = 8.0  # seconds that interrupted runs have to end


class Job:
    """A run that was asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.child: Child | None = None


class Runs:
    """Goes on with runs, ``limit`` at a time.

    Every method may be called from any thread.

    Args:
        state: the deployment's state folder.
        limit: runs at once.
        log: told each line for people.
    """

    def __init__(self, state: Path, limit: int, log: Callable[[str], None]) -> None:
        self.state, self.limit, self.log = state, limit, log
        self.change = threading.Condition()
        self.waiting: dict[str, Job] = {}  # in the order they were asked for
        self.running: dict[str, Job] = {}
        self.errors: dict[str, dict[str, str]] = {}  # how the last try of a run failed
        self.stopping = False
        self.thread = threading.Thread(target=self._dispatch, name="dispatch", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def go_on(self, run: Run) -> dict[str, Any]:
        """Have the rest of ``run`` done, if it is not done and nobody asked before; what ``look`` then says."""
        with self.change:
            if not is_done(run) and not self.stopping and run.id not in self.waiting and run.id not in self.running:
                self.errors.pop(run.id, None)
                self.waiting[run.id] = Job(run)
                self._begin()
                self.change.notify_all()
        return self.look(run)

    def look(self, run: Run) -> dict[str, Any]:
        """``{"run", "state", "stages", "error", "outcome"}``; state is waiting, running, done, failed or interrupted.

        A run that nobody works on and that is not done is interrupted.
        """
        with self.change:
            waiting, running = run.id in self.waiting, run.id in self.running
            error = self.errors.get(run.id)
        stages = run.stages()
        failed = next((record for record in stages.values() if record["state"] == "failed"), None)
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
            error = {"cause": f"{failed['stage']}: {failed.get('error', 'no words')}", "cure": "Continue the run."}
        outcome = read_json(run.path("outcome.json")) if state == "done" else None
        return {"run": run.id, "state": state, "stages": stages, "error": error, "outcome": outcome}

    def counts(self) -> dict[str, int]:
        with self.change:
            return {"running": len(self.running), "waiting": len(self.waiting)}

    def stop(self) -> None:
        """Interrupt what runs and wait until it has said so in its records; what waits is forgotten."""
        with self.change:
            self.stopping = True
            self.waiting.clear()
            for job in self.running.values():
                if job.child:
                    job.child.interrupt()
            self.change.notify_all()
            end = time.monotonic() + STOPPING
            while self.running and (left := end - time.monotonic()) > 0:
                self.change.wait(left)
            for job in self.running.values():
                if job.child:
                    job.child.kill()

    def _begin(self) -> None:
        """Start what waits, the first first, as far as there is room and no other process works on it."""
        for name, job in list(self.waiting.items()):
            if len(self.running) < self.limit and not locks.is_held(job.run):
                self.running[name] = self.waiting.pop(name)
                threading.Thread(target=self._work, args=(job,), name=f"run-{name}", daemon=True).start()

    def _dispatch(self) -> None:
        """Look again whenever one has ended, and now and then for one that another process works on."""
        with self.change:
            while not self.stopping:
                self._begin()
                room = len(self.running) < self.limit
                self.change.wait(LOOK if self.waiting and room else None)

    def _work(self, job: Job) -> None:
        error: dict[str, str] | None = {"cause": "the service had a fault; its log says which.", "cure": "Continue it."}
        try:
            with self.change:
                if not self.stopping:
                    job.child = Child(self.state, job.run.id, self.log)
            error = job.child.wait() if job.child else None
        except OSError as fault:
            error = {"cause": f"no process could be started: {fault}", "cure": "Free memory or processes; continue it."}
        finally:
            with self.change:
                del self.running[job.run.id]
                if error:
                    self.errors[job.run.id] = error
                self.change.notify_all()


def is_done(run: Run) -> bool:
    """Whether nothing is left to do."""
    return run.path("outcome.json").exists() and graph.finished(run) >= set(graph.GRAPH)
