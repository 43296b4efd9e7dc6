"""The controller of TrainJobs."""

import copy
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.kubeflow import disk, owned
from pantheon.kubeflow.contract import Job, Kind, Object, Refused
from pantheon.kubeflow.trainer import environment
from pantheon.kubeflow.trainer.nodes import Nodes, how, jobs_status
from pantheon.kubeflow.trainer.plan import PRIORITY, Plan, plan_of
from pantheon.kubeflow.trainer.slots import Place, Slots

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FEWEST_SLOTS = 4  # on a small machine nodes share its CPUs
SETTING = "TRAINER_SLOTS"
POLL_SECONDS = 0.1  # between two looks at the nodes
SUSPENDED_MESSAGE, RESUMED_MESSAGE = "TrainJob is suspended", "TrainJob is resumed"


class Ended(Enum):
    """Why nodes do not run any more."""

    FINISHED = "all have succeeded, or the TrainJob has failed"
    EVICTED = "a job with a higher priority needs the slots"
    STOPPING = "the service stops, or the TrainJob has changed"


def state_of(found: Object) -> str:
    """Return a TrainJob's state in one word."""
    status = found.get("status") or {}
    true = {each["type"] for each in status.get("conditions") or [] if each["status"] == "True"}
    for type in (COMPLETE, FAILED, SUSPENDED):
        if type in true:
            return type
    return "Running" if any(each["active"] for each in status.get("jobsStatus") or []) else "Created"


def columns(found: Object) -> dict[str, str]:
    nodes = (found.get("status") or {}).get("nodes") or []
    running = sum(node["state"] in ("Running", "Succeeded") for node in nodes)
    return {
        "STATE": state_of(found),
        "NODES": f"{running}/{len(nodes)}" if nodes else "",
        "RUNTIME": str((found["spec"].get("runtimeRef") or {}).get("name", "")),
        "PRIORITY": (found["metadata"].get("labels") or {}).get(PRIORITY, ""),
    }


def slots_of_machine() -> int:
    """Return how many nodes may run at once: ``TRAINER_SLOTS``, else the machine's CPUs, at least four.

    Raises:
        PantheonError: the setting is not valid.
    """
    text = os.environ.get(SETTING, "")
    if text and (not text.isdecimal() or not int(text)):
        raise PantheonError(f"{SETTING}={text} is not a number of slots.", f"For example: {SETTING}=8")
    return int(text) if text else max(FEWEST_SLOTS, len(os.sched_getaffinity(0)))


class TrainJobs:
    """See ``contract.Controller``."""

    kind = Kind("TrainJob", ("trainer.kubeflow.org/v1alpha1",), "trainjobs", ("tj",), columns)
    finished = (COMPLETE, FAILED)
    actions = ("suspend", "resume")

    def __init__(self) -> None:
        self.slots = Slots(slots_of_machine())
        self.ports: set[int] = set()  # of all jobs that run
        self.before: dict[str, Place] | None = None  # of TrainJobs that an earlier service ran, by uid
        self.choosing = threading.Lock()

    def check(self, manifest: Object, old: Object | None) -> None:
        plan = plan_of(manifest, old)
        if plan.slots > self.slots.total:
            cause = f"{plan.nodes} nodes need {plan.slots} slots, and this machine has {self.slots.total}."
            raise Refused("spec.trainer.numNodes", cause, f"Use fewer nodes or CPUs, or set {SETTING}.")
        if old is not None and old["spec"] != manifest["spec"] and state_of(old) in self.finished:
            raise _finished(old)

    def act(self, manifest: Object, action: str) -> Object:
        if state_of(manifest) in self.finished:
            raise _finished(manifest)
        changed = copy.deepcopy(manifest)
        changed["spec"]["suspend"] = action == "suspend"
        return changed

    def run(self, job: Job) -> None:
        place = self._kept(job)
        try:
            plan = plan_of(job.object)
            if plan.slots > self.slots.total:
                cause = f"it needs {plan.slots} slots, and this machine has {self.slots.total}."
                raise PantheonError(cause, f"Delete it, and use fewer nodes, or set {SETTING}.")
            if plan.suspend:
                suspended(job, SUSPENDED_MESSAGE)
                return
            place = place or self._enter(job.object, plan)
            if not place.running:
                suspended(job, f"{SUSPENDED_MESSAGE} until it has {self.slots.ahead(place)}")
            while self.slots.wait(place, job.stopping):
                if state_of(job.object) == SUSPENDED:
                    job.condition(SUSPENDED, False, "Resumed", RESUMED_MESSAGE)
                if self._train(job, plan, place) is not Ended.EVICTED:
                    return
                suspended(job, f"{SUSPENDED_MESSAGE}: {place.evicted_by} has a higher priority")
                self.slots.queue_again(place)
        finally:
            if place:
                self.slots.leave(place)

    def _enter(self, found: Object, plan: Plan) -> Place:
        metadata = found["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        return self.slots.enter(key, plan.priority, metadata["creationTimestamp"], plan.slots)

    def _kept(self, job: Job) -> Place | None:
        """Return the place that a TrainJob had when the service before this one ended; None if it had no slots.

        The first call keeps the slots of all of them: while the processes of one are still ending, no other one that
        waited before may take its place.
        """
        with self.choosing:
            if self.before is None:
                self.before = {}
                for path in sorted((job.state / "kubeflow" / "objects").glob("*/trainjobs/*.json")):
                    try:
                        found = read_json(path)
                        if state_of(found) == "Running" and not found["spec"].get("suspend"):
                            self.before[found["metadata"]["uid"]] = self._enter(found, plan_of(found))
                    except PantheonError:
                        continue  # it is not valid any more: its own run says so
            return self.before.pop(job.object["metadata"]["uid"], None)

    def _train(self, job: Job, plan: Plan, place: Place) -> Ended:
        """Run the nodes of a TrainJob that has its slots; none is left."""
        with self.choosing:
            port = environment.free_port(self.ports)
            self.ports.add(port)
        nodes = Nodes(job, plan, port, owned.warm(job))
        try:
            return Training(job, plan, nodes, lambda: bool(place.evicted_by)).run()
        finally:
            try:
                nodes.stop()
            finally:
                self.ports.remove(port)
            if not job.stopping.is_set() and state_of(job.object) != FAILED:
                job.status(**nodes.report())

    def clear(self, job: Job) -> None:
        """Give back the slots that were kept for a TrainJob; nothing else is outside of its folder."""
        if place := self._kept(job):
            self.slots.leave(place)


def _finished(found: Object) -> Refused:
    name = found["metadata"]["name"]
    return Refused("", f"the TrainJob {name} is finished.", f"Delete it first: `bin/pantheon delete trainjob {name}`")


def suspended(job: Job, message: str) -> None:
    """Record that no node runs for now."""
    job.condition(SUSPENDED, True, "Suspended", message)
    job.status(jobsStatus=[jobs_status(suspended=True)])


class Training:
    """Runs the nodes of a TrainJob that has its slots.

    Args:
        evicted: returns whether it is to give them back.
    """

    def __init__(self, job: Job, plan: Plan, nodes: Nodes, evicted: Callable[[], bool]) -> None:
        self.job, self.plan, self.nodes, self.evicted = job, plan, nodes, evicted
        self.deadline = self._deadline()

    def run(self) -> Ended:
        """Run the nodes until they have ended; those that still run then are stopped by the caller."""
        nodes = self.nodes
        while not self.evicted():
            changed = nodes.start_due()
            for node in nodes.ended():
                changed = True
                if node.code == 0:
                    nodes.progress.done.append(node.index)
                    nodes.save()
                elif self._failed():
                    return Ended.FINISHED
            if changed:
                self.job.status(**nodes.report())
            if len(nodes.progress.done) == self.plan.nodes:
                self.job.condition(COMPLETE, True, "AllJobsCompleted", "jobset completed successfully")
                return Ended.FINISHED
            if self.deadline is not None and datetime.now(UTC) >= self.deadline:
                nodes.stop()
                self.job.condition(FAILED, True, "DeadlineExceeded", "TrainJob exceeded its active deadline")
                return Ended.FINISHED
            if self.job.stopping.wait(POLL_SECONDS):
                return Ended.STOPPING
        return Ended.EVICTED

    def _failed(self) -> bool:
        """Do what the runtime's policy says about nodes that failed; return whether the TrainJob has failed.

        Of several nodes that fail at once, each counts.
        """
        nodes, policy = self.nodes, self.plan.failure_policy
        disk.check(self.job.folder)  # nodes that failed for want of space have not failed: they run again
        failed = [node for node in nodes.nodes if node.state == "Failed" and node.due is None]
        nodes.progress.failures += len(failed)
        if nodes.progress.failures <= self.plan.backoff_limit:
            for node in failed:
                nodes.start_later(node)
            nodes.save()
            return False
        said = how(failed)
        nodes.stop()
        self.job.status(**nodes.report() | {"jobsStatus": [jobs_status(failed=True)]})
        if policy is not None and nodes.progress.restarts < policy.max_restarts:
            nodes.progress.restarts += 1
            nodes.progress.failures, nodes.progress.done = 0, []
            nodes.save()
            nodes.reset()
            return False
        if policy is None:
            reason, message = "FailedJobs", "jobset failed due to one or more job failures"
        else:
            reason, message = "ReachedMaxRestarts", "jobset failed due to reaching max number of restarts"
        self.job.condition(FAILED, True, reason, f"{message} (first failed job: {self._jobset()}: {said})")
        return True

    def _jobset(self) -> str:
        return f"{self.job.object['metadata']['name']}-node-0"

    def _deadline(self) -> datetime | None:
        """Return when the TrainJob's time is over: it counts from its creation, or from when it was resumed."""
        if self.plan.deadline is None:
            return None
        began = self.job.object["metadata"]["creationTimestamp"]
        for each in (self.job.object.get("status") or {}).get("conditions") or []:
            if each["type"] == SUSPENDED and each["status"] == "False":
                began = each["lastTransitionTime"]
        return datetime.fromtimestamp(datetime.fromisoformat(began).timestamp() + self.plan.deadline, UTC)
