"""Trials whose ``trialSpec`` is a TrainJob of Trainer: each makes its TrainJob, an object of its own, and follows it.

So the nodes of trials wait for the same slots, by the same priorities, as those of other TrainJobs.
"""

import copy
import math
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.kubeflow.contract import Job, Object
from pantheon.kubeflow.katib import collector, jobs, trainspec, watch
from pantheon.kubeflow.katib.collector import Source
from pantheon.kubeflow.katib.conditions import EXPERIMENT, is_true
from pantheon.kubeflow.katib.eventfiles import Curves
from pantheon.kubeflow.katib.medianstop import Watch
from pantheon.kubeflow.katib.plan import Objective, objective_of
from pantheon.kubeflow.katib.reading import Reading, begin, conclude, last_line, values_of
from pantheon.kubeflow.objects import Full
from pantheon.kubeflow.trainer.controller import COMPLETE, FAILED
from pantheon.kubeflow.trainer.environment import pod
from pantheon.kubeflow.trainer.plan import plan_of

OWNER = "pantheon/trial-uid"  # the label of a TrainJob: the uid of its Trial
POLL_SECONDS = 0.2  # between two looks at a TrainJob
FULL_SECONDS = 2.0  # before another attempt while there are too many objects
CLEAR_SECONDS = 30.0  # for the TrainJob of a Trial to end
INDEX = "$(JOB_COMPLETION_INDEX)"  # stands for the number of a node in its command and variables


def moved(given: Any, place: str, to: str) -> Any:
    """Return a JSON value in whose texts a path is another one."""
    if isinstance(given, str):
        return given.replace(place, to)
    if isinstance(given, list):
        return [moved(each, place, to) for each in given]
    return {key: moved(each, place, to) for key, each in given.items()} if isinstance(given, dict) else given


class Training:
    """One Trial with its TrainJob, which has the same name.

    Args:
        curves: the folder for its curves.
    """

    def __init__(self, job: Job, curves: Path) -> None:
        self.job, self.curves, self.spec = job, curves, job.object["spec"]
        self.name, self.uid = job.object["metadata"]["name"], job.object["metadata"]["uid"]
        self.objective: Objective = objective_of(self.spec["objective"], "spec.objective")
        self.source: Source = collector.source_of(self.spec.get("metricsCollector"), "spec.metricsCollector")
        self.work = job.folder / "work"
        rules = [Watch(rule) for rule in self.spec.get("earlyStoppingRules") or []]
        self.reading = Reading(self.source, self.objective, rules, Curves(curves))
        self.plan = plan_of({"metadata": {"name": self.name}, "spec": self.spec["runSpec"]["spec"]})
        self.nodes = trainspec.primary(self.spec.get("primaryPodLabels"), self.plan.nodes, "spec.primaryPodLabels")

    def run(self) -> None:
        """Run to the Trial's end; after a restart of the service, everything that was reported is read again."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.curves)
        begin(self.job)
        found = self._made()
        if found is None:
            return
        try:
            end, message = self._follow(found)
        finally:
            self.reading.curves.close(values_of(self.spec))
        if not end or (end in ("EarlyStopped", "Killed") and not is_gone(self.job)):
            return
        conclude(self.job, self.objective, self.reading.reports, end, message)
        if not self.spec.get("retainRun"):
            is_gone(self.job, 0)

    def _made(self) -> Object | None:
        """Return the TrainJob, which is made if it is not there; None if the service stops meanwhile."""
        while not self.job.stopping.is_set():
            found = self.job.objects.get(trainspec.KIND, self.name)
            if found is not None:
                return self._own(found)
            for index in range(self.plan.nodes):
                place = self._place(str(index))
                (place.parent if self.source.kind == "File" else place).mkdir(parents=True, exist_ok=True)
            try:
                return self.job.objects.apply(self._manifest(), part=True)
            except Full:
                self.job.stopping.wait(FULL_SECONDS)
        return None

    def _own(self, found: Object) -> Object:
        if (found["metadata"].get("labels") or {}).get(OWNER) != self.uid:
            cure = f"Delete it: `bin/pantheon delete trainjob {self.name} -n {found['metadata']['namespace']}`"
            raise PantheonError(f"a TrainJob {self.name} of somebody else exists already.", cure, 1)
        return found

    def _place(self, index: str) -> Path:
        """Return where a node has its metrics, if not in its output."""
        return self.work / index / self.source.path.strip("/")

    def _manifest(self) -> Object:
        given = copy.deepcopy(self.spec["runSpec"])
        metadata, spec = given["metadata"], given["spec"]
        if self.source.path:
            spec = moved(spec, self.source.path, str(self._place(INDEX)))
        trainer = spec.get("trainer")
        if trainer is not None and all(each["name"] != jobs.TRIAL_NAME for each in trainer.get("env") or []):
            trainer["env"] = [*(trainer.get("env") or []), {"name": jobs.TRIAL_NAME, "value": self.name}]
        labels = {**(metadata.get("labels") or {}), OWNER: self.uid}
        if experiment := (self.job.object["metadata"].get("labels") or {}).get(EXPERIMENT):
            labels[EXPERIMENT] = experiment
        return {**given, "metadata": {**metadata, "name": self.name, "labels": labels}, "spec": spec}

    def _follow(self, found: Object) -> tuple[str, str]:
        """Return the condition that the TrainJob leads to, with its message; empty if the service stops."""
        while True:
            now = self.job.objects.get(trainspec.KIND, self.name)
            if now is None or now["metadata"]["uid"] != found["metadata"]["uid"]:
                return "Failed", "Trial has failed: its TrainJob was deleted"
            end = next((type for type in (COMPLETE, FAILED) if is_true(now, type)), "")
            if self._read(now, bool(end)):
                return "EarlyStopped", "Trial is early stopped"
            if end:
                return self._ended(now, end)
            if why := watch.killed(self.uid):
                return "Killed", why
            if self.job.stopping.wait(POLL_SECONDS):
                return "", ""

    def _read(self, found: Object, ended: bool) -> bool:
        """Read what was reported since the last look; return whether the trial is to be stopped early."""
        logs = self._linked(found)
        if self.source.kind == "StdOut":
            return self.reading.read([logs[index] for index in self.nodes], ended)
        places = [self._place(str(index)) for index in self.nodes]
        if self.source.kind == "File":
            return self.reading.read(places, ended)
        if ended:
            self.reading.read_events(places)
        return False

    def _linked(self, found: Object) -> list[Path]:
        """Return the logs of all nodes, which are logs of this Trial, too: they stay when the TrainJob is deleted."""
        logs: list[Path] = []
        for index in range(self.plan.nodes):
            log = self.job.logs / f"{pod(self.name, index)}.log"
            written = self.job.objects.folder(found) / "logs" / log.name
            with suppress(FileNotFoundError, FileExistsError):  # it has not started yet; or it is linked
                os.link(written, log)
            logs.append(log)
        return logs

    def _ended(self, found: Object, end: str) -> tuple[str, str]:
        if jobs.succeeded(self.spec, 0 if end == COMPLETE else 1):
            return "Succeeded", "Trial has succeeded"
        status = found["status"]
        message = next(each["message"] for each in status["conditions"] if each["type"] == end)
        nodes = [node["name"] for node in status.get("nodes") or []]
        failed = [name for name in nodes if f"{name} " in message]  # others were stopped because of them
        tail = last_line(self.job.logs / f"{failed[0]}.log") if failed else ""
        return "Failed", f"Trial has failed: {message}" + (f": {tail}" if tail else "")


def is_gone(job: Job, seconds: float = math.inf) -> bool:
    """Delete the TrainJob of a Trial, if there is one; return whether it is gone, with its nodes.

    Args:
        seconds: to wait for that; less if the service stops.
    """
    metadata = job.object["metadata"]
    end = time.monotonic() + seconds
    while True:
        found = job.objects.get(trainspec.KIND, metadata["name"])
        if found is None or (found["metadata"].get("labels") or {}).get(OWNER) != metadata["uid"]:
            return True
        if "deletionTimestamp" not in found["metadata"]:
            job.objects.delete(trainspec.KIND, metadata["name"])
        if time.monotonic() >= end or job.stopping.wait(POLL_SECONDS):
            return False


def clear(job: Job) -> None:
    """Delete the TrainJob of a deleted Trial.

    Raises:
        PantheonError: its nodes have not ended yet.
    """
    if not is_gone(job, CLEAR_SECONDS):
        raise PantheonError("its TrainJob has not ended yet.", "", 1)
