"""Run one task in a pod that was made for it, or that has run one before; the caller's side of ``pod``.

The pod belongs to a Job that is made from a CronJob or a Deployment of the chart, with the same image, environment,
secrets and folders. Its main process only waits; ``kubectl exec`` runs the task in it, which gives both output streams
and the exit status, and writes nothing that the task prints into the cluster's logs.
"""

import copy
import hashlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pantheon.engines import logs
from pantheon.engines.helm import trouble
from pantheon.engines.helm.frames import BEAT, BEAT_SECONDS, BUSY, END, INPUT, MARK, REQUEST, SIGNAL, frame
from pantheon.engines.helm.kube import Kube
from pantheon.engines.tasks import Lines, pump, source
from pantheon.errors import PantheonError
from pantheon.processes import bound_to_me

TASK, SPEC = "pantheon/task", "pantheon/spec"  # labels: the service, and a hash of its definition
KEPT_SECONDS = 120  # for which a pod waits for the next task
START_SECONDS = 300.0
POLL_SECONDS = 0.25
POD = ("python", "-S", "-m", "pantheon.engines.helm.pod")
OF_JOBS = ("controller-uid", "job-name", "batch.kubernetes.io/")  # labels by which a Job finds its own pods
Object = dict[str, Any]


def job_of(owner: Object, name: str, image: str = "") -> Object:
    """Return the Job whose pods run tasks of the service that a CronJob, a Deployment or a Job defines.

    Args:
        image: to use instead of the one in the definition; see ``run``.
    """
    spec = owner["spec"]["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else owner["spec"]
    template = copy.deepcopy(spec["template"])
    pod = template["spec"]
    container = pod["containers"][0]
    for key in ("args", "ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        container.pop(key, None)
    if image:
        for each in (container, *(pod.get("initContainers") or [])):
            each["image"] = image
    container["command"] = [*POD, "wait", str(KEPT_SECONDS)]
    # one-offs of the service run where the service runs
    pod["initContainers"] = [each for each in pod.get("initContainers") or [] if each["name"] == "prepare"]
    pod["restartPolicy"] = "Never"
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]
    labels = {key: value for key, value in template["metadata"]["labels"].items() if not key.startswith(OF_JOBS)}
    template["metadata"]["labels"] = labels
    # not the service's own: its Service would send requests to this pod
    labels |= {"app.kubernetes.io/component": f"{name}-task", TASK: name, SPEC: digest}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"task-{name}-",
            "labels": {key: value for key, value in labels.items() if not key.startswith("pantheon/")} | {TASK: name},
            "ownerReferences": [
                {key: owner[key] for key in ("apiVersion", "kind")}
                | {key: owner["metadata"][key] for key in ("name", "uid")}
            ],
        },
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 30, "template": template},
    }


class Pods:
    """The pods that can run tasks of one service.

    Args:
        owner: the object that defines the service.
    """

    def __init__(self, kube: Kube, owner: Object, name: str, image: str = "") -> None:
        self.kube, self.name = kube, name
        self.job = job_of(owner, name, image)
        self.container = owner_container(owner)
        self.digest = self.job["spec"]["template"]["metadata"]["labels"][SPEC]

    def waiting(self) -> list[str]:
        """Return pods that may be free, newest first."""
        pods = self.kube.items("pods", "-l", f"{TASK}={self.name},{SPEC}={self.digest}")
        ready = [each for each in pods if is_ready(each)]
        return [pod["metadata"]["name"] for pod in sorted(ready, key=_created, reverse=True)]

    def new(self) -> str:
        """Make a pod and return its name when it runs.

        Raises:
            PantheonError: it cannot run; says why.
        """
        job = self.kube.json("create", "-f", "-", input=json.dumps(self.job).encode())
        name, end = job["metadata"]["name"], time.monotonic() + START_SECONDS
        looked = trouble.Look(self.kube)
        try:
            while True:
                pods = self.kube.items("pods", "-l", f"job-name={name}")
                if any(is_ready(each) for each in pods):
                    return str(pods[0]["metadata"]["name"])
                why = looked.at_pods(pods) if pods else looked.at_owner("Job", name)
                if (why and why.fatal) or time.monotonic() > end:
                    cause = why.text if why else f"it did not start within {START_SECONDS:.0f} s"
                    cure = why.cure if why and why.cure else "See why: `doctor`"
                    raise PantheonError(f"The pod of the task {self.name} cannot run: {cause}", cure, 1)
                time.sleep(POLL_SECONDS)
        except BaseException:
            with suppress(PantheonError):
                self.kube.run(self.kube.kubectl("delete", "job", name, "--wait=false"))
            raise


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _created(pod: Object) -> str:
    return str(pod["metadata"]["creationTimestamp"])


def owner_container(owner: Object) -> str:
    spec = owner["spec"]["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else owner["spec"]
    return str(spec["template"]["spec"]["containers"][0]["name"])


class Sender:
    """Sends frames to a task. In a thread, because a task may read its input slowly."""

    def __init__(self, process: subprocess.Popen[bytes], request: Mapping[str, Any], input: int) -> None:
        self.process, self.lock, self.done = process, threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self.work, args=(request, input), daemon=True)
        self.thread.start()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        assert self.process.stdin
        with self.lock:
            self.process.stdin.write(frame(kind, content))
            self.process.stdin.flush()

    def work(self, request: Mapping[str, Any], input: int) -> None:
        with suppress(OSError, ValueError):  # the task ended before it read everything
            self.send(REQUEST, json.dumps(request).encode())
            while input >= 0 and (part := os.read(input, 65536)):
                self.send(INPUT, part)
            self.send(END)
            while not self.done.wait(BEAT_SECONDS):
                self.send(BEAT)

    # as a Popen, for `pump`

    def poll(self) -> int | None:
        return self.process.poll()

    def send_signal(self, number: int) -> None:
        with suppress(OSError, ValueError):
            self.send(SIGNAL, str(number).encode())


class Errors:
    """Standard error, without the line that tells the status and what kubectl says after it."""

    def __init__(self, take: Callable[[bytes], None], nonce: str) -> None:
        self.take, self.mark = take, f"{MARK} {nonce} ".encode()
        self.status: int | None = None
        self.empty = False

    def __call__(self, line: bytes) -> None:
        if line.startswith(self.mark):
            self.status = int(line.removeprefix(self.mark))
        if self.status is not None:
            return
        if self.empty:  # the line that tells the status begins with a line end
            self.take(b"")
        self.empty = not line
        if line:
            self.take(line)


def run(
    kube: Kube,
    owner: Object,
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    on_lines: tuple[Callable[[str], None], Callable[[str], None]],
    log: Path,
    input: Path | bytes | None = None,
    output: int | None = None,
    image: str = "",
) -> int:
    """Run ``command`` in a pod of the service ``name``; pass its output to ``on_lines`` and write it to ``log``.

    Args:
        owner: the CronJob or Deployment that defines the service.
        on_lines: for the lines of its standard output, and for those of its standard error.
        output: a descriptor that gets its standard output instead.
        image: if it is newer than the one in the definition, which `up` changes; empty: it is not.

    Returns:
        The exit status; 128 + N if signal N ended it.

    Raises:
        PantheonError: no pod can run it, or the connection to it was lost; the task ends then.
        KeyboardInterrupt: after the task received SIGINT and has ended; a second one ends it at once.
    """
    pods = Pods(kube, owner, name, image)
    for pod in pods.waiting():
        if (status := _run_in(pods, pod, command, environment, on_lines, log, input, output)) is not None:
            return status
    for _ in range(3):  # somebody else's task may take a new pod, too
        pod = pods.new()
        if (status := _run_in(pods, pod, command, environment, on_lines, log, input, output)) is not None:
            return status
    raise PantheonError(f"Every pod for the task {name} is busy.", "Try again.", 1)


def _run_in(
    pods: Pods,
    pod: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    on_lines: tuple[Callable[[str], None], Callable[[str], None]],
    log: Path,
    input: Path | bytes | None,
    output: int | None,
) -> int | None:
    """Run the task in one pod; None if that pod is busy or has gone."""
    kube, nonce = pods.kube, secrets.token_hex(8)
    request = {"nonce": nonce, "command": list(command), "environment": dict(environment), "input": input is not None}
    arguments = kube.kubectl("exec", "-i", pod, "-c", pods.container, "--", *POD, "run")
    kube.echo(f"{shlex.join(arguments)}  # {shlex.join(command)}")
    with source(input) as descriptor, logs.open_log(log) as file:
        process = subprocess.Popen(
            [kube.find("kubectl"), *arguments[1:]],
            env=kube.own(),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C in the terminal only reaches the task through this process
            preexec_fn=bound_to_me(signal.SIGTERM),
        )
        assert process.stderr and process.stdin
        sender = Sender(process, request, descriptor)
        said: list[bytes] = []

        def take(on_line: Callable[[str], None], line: bytes) -> None:
            file.write(line + b"\n")
            file.flush()
            on_line(line.decode(errors="replace").rstrip("\r"))

        def complain(line: bytes) -> None:
            said[:] = [*said[-20:], line]
            take(on_lines[1], line)

        errors = Errors(complain, nonce)
        pipes = {process.stderr.fileno(): Lines(errors)}
        if process.stdout:
            pipes[process.stdout.fileno()] = Lines(partial(take, on_lines[0]))
        try:
            interrupted = pump(sender, pipes)
            process.wait()
        except BaseException:  # on_lines raised, or a second Ctrl-C: the task ends with its input
            process.kill()
            raise
        finally:
            sender.done.set()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with suppress(OSError):
                        pipe.close()
            process.wait()
    if errors.status == BUSY:
        return None
    if interrupted:
        raise KeyboardInterrupt
    if errors.status is None:
        return _lost(pods, pod, said)
    return errors.status


def _lost(pods: Pods, pod: str, said: Sequence[bytes]) -> int | None:
    """Return the status of a task that did not tell it: 137 if it was killed for its memory; None if it never began.

    Raises:
        PantheonError: the connection was lost; says why.
    """
    last = next((line.decode(errors="replace") for line in reversed(said) if line), "")
    why = trouble.how_pod_ended(pods.kube, pod)
    if why == trouble.OUT_OF_MEMORY:
        return 137
    if why == trouble.WAITED:
        return None
    began = ("pods" in last and "not found" in last) or "container not found" in last or "unable to upgrade" in last
    if began and not why:
        return None
    because = why or last or "the connection was closed"
    raise PantheonError(f"The task {pods.name} was lost: {because.rstrip('.')}.", "Run the command again.", 1)
