"""The nodes of a TrainJob as processes: start, watch, start again, stop."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pantheon.files import write_bytes
from pantheon.kubeflow.contract import Job, Process
from pantheon.kubeflow.trainer import environment
from pantheon.kubeflow.trainer.plan import Plan
from pantheon.kubeflow.trainer.runtimes import PASSED
from pantheon.processes import SYSTEM_PATH, ended

FIRST_DELAY, MOST_DELAY = (
    1.0,
    60.0,
)  # seconds before a node is started again; doubled each time (10 to 360 in a cluster)
SIGNALLED = 128


class Progress(msgspec.Struct):
    """What survives a restart of the service: ``progress.json`` of a TrainJob.

    Attributes:
        restarts: how often all nodes were started again, as the failure policy says.
        failures: how often nodes failed since then.
        done: the nodes that succeeded since then.
    """

    restarts: int = 0
    failures: int = 0
    done: list[int] = []


@dataclass
class Node:
    """One node.

    Attributes:
        name: as that of its pod, and of its log.
        code: its last exit status; None before its first end.
        due: when it is started (monotonic seconds); None while it runs and after it has succeeded.
        warm: whether a warm Python was asked to run it.
    """

    index: int
    name: str
    process: Process | None = None
    code: int | None = None
    due: float | None = 0.0
    warm: bool = False

    @property
    def state(self) -> str:
        if self.process:
            return "Running"
        return "Succeeded" if self.code == 0 else "Pending" if self.code is None else "Failed"


@dataclass
class Nodes:
    """All nodes of a TrainJob.

    Attributes:
        port: of the first node.
        warm: see ``Job.process``; only for the first start of a node.
    """

    job: Job
    plan: Plan
    port: int = 0
    warm: Path | None = None
    nodes: list[Node] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        path = self._path
        if path.exists():
            self.progress = msgspec.json.decode(path.read_bytes(), type=Progress)
        self.reset()

    @property
    def _path(self) -> Path:
        return self.job.folder / "progress.json"

    def reset(self) -> None:
        """Have all nodes start, apart from those that have succeeded."""
        name = self.job.object["metadata"]["name"]
        self.nodes = [Node(index, environment.pod(name, index)) for index in range(self.plan.nodes)]
        for node in self.nodes:
            if node.index in self.progress.done:
                node.code, node.due = 0, None

    def save(self) -> None:
        write_bytes(self._path, msgspec.json.encode(self.progress), fsync=True)

    def start_due(self) -> bool:
        """Start the nodes whose time has come; return whether there was one."""
        due = [node for node in self.nodes if node.due is not None and node.due <= time.monotonic()]
        for node in due:
            self._start(node)
        return bool(due)

    def _start(self, node: Node) -> None:
        plan, job = self.plan, self.job
        places = environment.folders(plan, job.folder, job.state)
        command, values = environment.node(plan, job.object["metadata"]["name"], node.index, self.port, places)
        working = job.folder / "nodes" / node.name
        for folder in (working, *(place for place in places.values() if place != job.state)):
            folder.mkdir(parents=True, exist_ok=True)
        base = {
            "PATH": f"{plan.environment}/bin:{SYSTEM_PATH}",
            "VIRTUAL_ENV": plan.environment,
            "HOME": str(working),
            **environment.passed(PASSED),
        }
        log = job.logs / f"{node.name}.log"
        again = self.progress.restarts + self.progress.failures
        with log.open("a", encoding="utf-8") as file:
            file.write(f"--- {node.name} starts{f' again after {again} failures' if again else ''} ---\n")
        warm = None if again else self.warm
        node.process = job.process(command, log, {**base, **values}, working, plan.grace, warm)
        node.due, node.warm = None, bool(warm)

    def ended(self) -> list[Node]:
        """Return the nodes that have ended since the last call; one that was lost with the warm Python starts again."""
        found = []
        for node in self.nodes:
            if node.process and (code := node.process.wait(0)) is not None:
                if node.process.lost and node.warm:
                    self.warm, node.process, node.due = None, None, 0.0
                    continue
                node.process, node.code = None, code
                found.append(node)
        return found

    def start_later(self, node: Node) -> None:
        """Have a node that failed start again, after a delay."""
        delay = min(FIRST_DELAY * 2 ** (self.progress.failures - 1), MOST_DELAY)
        node.due = time.monotonic() + delay

    def stop(self) -> None:
        """Stop all nodes at once, and wait until they have ended."""
        running = [node for node in self.nodes if node.process]
        if not running:
            return
        with ThreadPoolExecutor(max_workers=len(running)) as pool:
            codes = list(pool.map(lambda node: node.process and node.process.stop(), running))
        for node, code in zip(running, codes, strict=True):
            node.process, node.code = None, code
            if code == 0:  # it ended by itself at that moment
                self.progress.done.append(node.index)
            else:
                node.due = 0.0
        self.save()

    def report(self) -> dict[str, Any]:
        """Return fields of the status: those of Trainer count jobs, and the nodes are one job; ``nodes`` is ours."""
        states = [node.state for node in self.nodes]
        succeeded = all(state == "Succeeded" for state in states)
        active = not succeeded and "Running" in states
        ready = active and all(state in ("Running", "Succeeded") for state in states)
        return {
            "jobsStatus": [jobs_status(ready=ready or succeeded, succeeded=succeeded, active=active)],
            "nodes": [
                {"name": node.name, "state": node.state, **({} if node.code is None else {"exitCode": node.code})}
                for node in self.nodes
            ],
            "restarts": self.progress.restarts,
        }


def jobs_status(**counts: bool) -> dict[str, Any]:
    """Return the entry of ``status.jobsStatus`` for the nodes, with counts of 0 and 1."""
    names = ("ready", "succeeded", "failed", "active", "suspended")
    return {"name": "node", **{name: int(counts.get(name, False)) for name in names}}


def how(nodes: Sequence[Node]) -> str:
    """Say how nodes failed."""

    def one(node: Node) -> str:
        code = node.code or 0
        return f"{node.name} {ended(SIGNALLED - code if code > SIGNALLED else code)}"

    return ", ".join(one(node) for node in nodes)
