"""A warm Python of the environment "workflow", which runs the steps of one pipeline run, each in a fork of its own.

``python -P -m pantheon.kubeflow.pipelines.interpreter FOLDER [--preload workflow]`` listens on ``FOLDER/socket``. A
connection is one step: a line with a ``Request`` as JSON, answered by a line with an ``Answer`` when the step ends.
If the connection is closed before, the step is stopped. The modules of the workflow take longer to import than most
stages take to run, and a fork has them already: a step costs some 50 ms instead of 2 s.

A connection that brings descriptors is a node of a TrainJob of the run, with its launcher, as in ``forks``.

Nothing is executed before a fork but imports: a library whose threads are running does not survive it. clean_data
is not among them for this reason: pandera, which it imports, runs a query of Polars when it is imported.
"""

import argparse
import contextlib
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.kubeflow import forks
from pantheon.kubeflow.running import SOCKET, path_of
from pantheon.processes import bind_to_parent
from pantheon.workflow import memory

GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL: a stage removes its incomplete files
STOPS = (signal.SIGTERM, signal.SIGINT)
PRELOAD = {
    "workflow": (
        "pantheon.kubeflow.pipelines.stage",
        "pantheon.worker",
        "pantheon.store",
        "pantheon.features.stages",
        "pydantic",  # of pandera
        "pantheon.workflow.stages.load_data",
        "pantheon.workflow.stages.split_data",
        "pantheon.workflow.stages.preprocess",
        "pantheon.workflow.stages.feature_engineering",
        "pantheon.workflow.stages.feature_selection",
        "pantheon.workflow.stages.train",
        "pantheon.workflow.stages.model_selection",
        "pantheon.workflow.stages.hyperparameter_tuning",
        "pantheon.workflow.stages.evaluate",
        "pantheon.workflow.stages.performance_metrics",
        "pantheon.workflow.stages.model_comparison",
        "pantheon.workflow.stages.deploy",
        "optuna.samplers",
        "skl2onnx",
        "onnxruntime",
    )
}
MODULES = {("-P", "-m", "pantheon.shares")}  # what nodes of TrainJobs may run here, as ``forks.MODULES``
POOLS = {"polars-0", "tokio-rt-worker"}  # threads of Polars that exist after its first query


class Request(TypedDict):
    """A step.

    Attributes:
        arguments: of KFP's executor.
        environment: more variables.
        folder: its working directory.
        log: its output is appended to this file.
        error: the file for the reason of a failure, ``{"cause", "cure", "final"}``; final: repeating it cannot help.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    log: str
    error: str


class Answer(TypedDict):
    """How a step ended: its exit status (minus N for signal N), and the most memory that it used, in bytes."""

    code: int
    memory: int


@dataclass
class Step:
    """A running step: its process and the connection of who asked for it."""

    pid: int
    connection: socket.socket
    kill_at: float = float("inf")


@dataclass
class Server:
    """Forks a process for each connection."""

    listener: socket.socket
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    steps: dict[int, Step] = field(default_factory=dict)
    launchers: set[int] = field(default_factory=set)
    ending: bool = False

    def serve(self) -> None:
        """Run steps until SIGTERM or SIGINT; then stop those that run."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in STOPS:
            signal.signal(number, lambda *_: self.end())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(wake, selectors.EVENT_READ, lambda: os.read(wake, 4096))
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        while not self.ending or self.steps or self.launchers:
            soonest = min((step.kill_at for step in self.steps.values()), default=float("inf"))
            left = None if soonest == float("inf") else max(0.0, soonest - time.monotonic())
            for key, _ in self.selector.select(left):
                key.data()
            self.reap()
            for step in self.steps.values():
                if time.monotonic() >= step.kill_at:
                    signal_group(step.pid, signal.SIGKILL)

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        try:
            first, given, _, _ = socket.recv_fds(connection, 1, 2)
            if self.ending or not first:
                raise ConnectionAbortedError
            if given:
                self.launch([connection.fileno(), *given])
                connection.close()
                return
            with connection.makefile("rb") as file:
                request: Request = json.loads(first + file.readline())
        except (OSError, ValueError):  # who asked has ended already
            connection.close()
            return
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            self.become(request, parent)
        step = self.steps[pid] = Step(pid, connection)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.stop(step))

    def launch(self, given: list[int]) -> None:
        """Fork the launcher of a node."""
        pid = os.fork()
        if not pid:
            self.leave()
            forks.lead(given, MODULES)
        self.launchers.add(pid)
        for each in given[1:]:
            os.close(each)

    def become(self, request: Request, parent: int) -> NoReturn:
        """Be the step's process."""
        try:
            bind_to_parent(parent)
            os.setsid()
            self.leave()
            for number in (*STOPS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            work(request)
        except BaseException:  # noqa: BLE001 - a fork must never return to the loop of its parent
            traceback.print_exc()
            os._exit(1)

    def leave(self) -> None:
        """Close what a fork must not have."""
        signal.set_wakeup_fd(-1)
        self.selector.close()
        self.listener.close()
        for step in self.steps.values():
            step.connection.close()

    def stop(self, step: Step) -> None:
        """Stop a step that nobody waits for any more."""
        self.selector.unregister(step.connection)
        if step.kill_at == float("inf"):
            step.kill_at = time.monotonic() + GRACE_SECONDS
            signal_group(step.pid, signal.SIGTERM)

    def end(self) -> None:
        self.ending = True
        for step in self.steps.values():
            if step.kill_at == float("inf"):
                step.kill_at = time.monotonic() + GRACE_SECONDS
                signal_group(step.pid, signal.SIGTERM)
        for pid in self.launchers:
            os.kill(pid, signal.SIGTERM)

    def reap(self) -> None:
        """Answer for the steps that have ended; end what they left behind. Launchers do both themselves."""
        self.launchers = {pid for pid in self.launchers if not os.waitpid(pid, os.WNOHANG)[0]}
        for pid in list(self.steps):
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if not ended:
                continue
            step = self.steps.pop(pid)
            signal_group(pid, signal.SIGKILL)
            answer: Answer = {"code": os.waitstatus_to_exitcode(status), "memory": used.ru_maxrss * 1024}
            with contextlib.suppress(OSError):  # nobody waits for it
                step.connection.sendall(json.dumps(answer).encode() + b"\n")
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(step.connection)
            step.connection.close()


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a step and its children; before it has its own group, to the step."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
        return


def work(request: Request) -> NoReturn:
    """Run KFP's executor in this process, and end it."""
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["executor", *request["arguments"]]
    error: dict[str, Any] | None = None
    code = 0
    try:
        memory.apply()
        from kfp.dsl.executor_main import executor_main

        executor_main()
    except PantheonError as problem:
        print(f"{problem}", file=sys.stderr)
        error = {"cause": problem.cause, "cure": problem.cure, "final": problem.status == 2}
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        if code:
            error = {"cause": f"its code called sys.exit({end.code!r})", "cure": "", "final": False}
    except BaseException as problem:  # noqa: BLE001 - the traceback is in the log, the reason in the file
        traceback.print_exc()
        error = {"cause": "".join(traceback.format_exception_only(problem)).strip()[:2000], "cure": "", "final": False}
    if error:
        code = code or 1
        write_json(Path(request["error"]), error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def threads() -> set[str]:
    """Return the names of this process's threads."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.add((task / "comm").read_text(encoding="utf-8").strip())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="pantheon.kubeflow.pipelines.interpreter", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preload", default="", choices=["", *PRELOAD])
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["_KFP_RUNTIME"] = "true"  # as KFP's own command: without its client and compiler
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with path_of(given.folder) as path:
        (given.folder / SOCKET).unlink(missing_ok=True)
        listener.bind(path)
        (given.folder / SOCKET).chmod(0o600)
    listener.listen(64)
    import importlib

    for name in ("kfp.dsl.executor_main", *PRELOAD.get(given.preload, ())):
        importlib.import_module(name)
    if started := sorted(threads() & POOLS):
        sys.exit(f"an import has started the threads {', '.join(started)}, which a fork would wait for.")
    gc.freeze()
    Server(listener).serve()


if __name__ == "__main__":
    main()
