"""Trials: each runs its Job or TrainJob, collects its metrics, and says how it ended. Made by Experiments."""

import select
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pantheon.kubeflow import validation
from pantheon.kubeflow.contract import Job, Kind, Object, Process, Refused
from pantheon.kubeflow.katib import collector, jobs, trainjobs, trainspec, watch
from pantheon.kubeflow.katib.collector import Source
from pantheon.kubeflow.katib.conditions import ENDS, EXPERIMENT, OWNER, end_of, is_true, metrics_of
from pantheon.kubeflow.katib.eventfiles import Curves
from pantheon.kubeflow.katib.medianstop import Watch
from pantheon.kubeflow.katib.plan import Objective, objective_of
from pantheon.kubeflow.katib.reading import Reading, begin, conclude, last_line, values_of
from pantheon.kubeflow.objects import now
from pantheon.processes import SYSTEM_PATH

POLL_SECONDS = 0.1  # between two looks at a trial's output
LOG = "trial.log"
MOST_EARLIER = 9  # logs of attempts before the last one


def columns(trial: Object) -> dict[str, str]:
    found = metrics_of(trial)
    values = ",".join(f"{each['name']}={each['latest']}" for each in found)
    return {
        "EXPERIMENT": (trial["metadata"].get("labels") or {}).get(EXPERIMENT, ""),
        "STATUS": end_of(trial) or ("Running" if is_true(trial, "Running") else "Created"),
        "PARAMETERS": ",".join(f"{each['name']}={each['value']}" for each in trial["spec"]["parameterAssignments"]),
        "METRICS": values,
    }


class Trials:
    """The controller of the kind Trial."""

    kind = Kind("Trial", ("kubeflow.org/v1beta1",), "trials", (), columns)
    finished = ENDS
    actions: tuple[str, ...] = ()

    def check(self, manifest: Object, old: Object | None) -> None:
        from kubeflow_katib_api.models.v1beta1_trial_spec import V1beta1TrialSpec

        spec = manifest["spec"]
        validation.conform(spec, V1beta1TrialSpec, "spec")
        objective_of(spec.get("objective"), "spec.objective")
        if not spec.get("parameterAssignments"):
            raise Refused("spec.parameterAssignments", "is missing.", "Apply an Experiment: it makes its Trials.")
        source = collector.source_of(spec.get("metricsCollector"), "spec.metricsCollector")
        for index, rule in enumerate(spec.get("earlyStoppingRules") or []):
            if collector.number(rule.get("value") or "") is None:
                raise Refused(f"spec.earlyStoppingRules[{index}].value", "is not a number.")
            if rule.get("comparison") not in ("less", "greater", "equal"):
                raise Refused(f"spec.earlyStoppingRules[{index}].comparison", "must be less, greater or equal.")
        jobs.check(validation.mapping(spec.get("runSpec"), "spec.runSpec"), spec, "spec", source)
        if old is not None and old["spec"] != spec:
            raise Refused("spec", "a Trial cannot be changed.", "Give the new one another name.")

    def run(self, job: Job) -> None:
        metadata = job.object["metadata"]
        experiment = (metadata.get("labels") or {}).get(EXPERIMENT, "")
        try:
            if why := _unwanted(job, experiment):
                job.record(("Killed", True, "TrialKilled", why), completionTime=now())
            else:
                self._work(job, _curves(job))
        finally:
            if not job.stopping.is_set():
                watch.forget(metadata["uid"])
            watch.ring(metadata["namespace"], experiment)

    def _work(self, job: Job, curves: Path) -> None:
        if trainspec.is_one(job.object["spec"]["runSpec"]):
            trainjobs.Training(job, curves).run()
        else:
            Attempts(job, curves).run()

    def act(self, manifest: Object, action: str) -> Object:
        raise Refused("", f"Trials have no action {action!r}.")

    def clear(self, job: Job) -> None:
        trainjobs.clear(job)
        with suppress(FileNotFoundError):
            shutil.rmtree(_curves(job))
        metadata = job.object["metadata"]
        watch.forget(metadata["uid"])
        watch.ring(metadata["namespace"], (metadata.get("labels") or {}).get(EXPERIMENT, ""))


def _unwanted(job: Job, experiment: str) -> str:
    """Return why a Trial is not to run; empty if it is."""
    metadata = job.object["metadata"]
    if why := watch.killed(metadata["uid"]):
        return why
    owner = (metadata.get("labels") or {}).get(OWNER, "")
    if not owner:
        return ""
    found = job.objects.get("Experiment", experiment)
    if found is None or found["metadata"]["uid"] != owner:
        return "Trial is killed because its Experiment is deleted"
    ended = is_true(found, "Succeeded") or is_true(found, "Failed")
    return "Trial is killed because its Experiment has ended" if ended else ""


def _curves(job: Job) -> Path:
    """Return the folder of a Trial's curves: a part of its Experiment's, so that TensorBoard shows them together."""
    metadata = job.object["metadata"]
    experiment = (metadata.get("labels") or {}).get(EXPERIMENT, "")
    if not experiment:
        return job.tensorboard
    folder: Path = job.tensorboard.parents[1] / "experiments" / experiment / metadata["name"]
    return folder


class Attempts:
    """The attempts of one Trial to run its Job.

    Args:
        curves: the folder for its curves.
    """

    def __init__(self, job: Job, curves: Path) -> None:
        self.job, self.curves = job, curves
        self.spec: dict[str, Any] = job.object["spec"]
        self.objective: Objective = objective_of(self.spec["objective"], "spec.objective")
        self.source: Source = collector.source_of(self.spec.get("metricsCollector"), "spec.metricsCollector")
        self.work = job.folder / "work"
        self.command = jobs.command(self.spec["runSpec"], self.work, self.source, "spec.runSpec")

    def run(self) -> None:
        begin(self.job)
        deadline = None if self.command.deadline is None else time.monotonic() + self.command.deadline
        for left in range(self.command.retries, -1, -1):
            attempt = Attempt(self, deadline)
            end, message = attempt.run()
            if not end:  # the service stops
                return
            if end != "Failed" or attempt.late or not left:
                break
        conclude(self.job, self.objective, attempt.reading.reports, end, message)


class Attempt:
    """One process of a Trial.

    Attributes:
        late: it was stopped at the Job's deadline.
    """

    def __init__(self, trial: Attempts, deadline: float | None) -> None:
        self.trial, self.deadline, self.job = trial, deadline, trial.job
        self.late = False
        self.log = self.job.logs / LOG
        self.place = trial.work / trial.source.path.strip("/") if trial.source.path else self.log
        rules = [Watch(rule) for rule in trial.spec.get("earlyStoppingRules") or []]
        self.reading = Reading(trial.source, trial.objective, rules, Curves(trial.curves))

    def run(self) -> tuple[str, str]:
        """Return the condition that it leads to, with its message; empty if the service stops or it is deleted."""
        self._prepare()
        name = self.job.object["metadata"]["name"]
        home = self.trial.command.home
        environment = {
            "PATH": f"{home}/bin:{SYSTEM_PATH}",
            "VIRTUAL_ENV": str(home),
            "PYTHONPATH": str(jobs.SOURCE),
            "HOME": str(self.trial.work),
            "STATE_DIR": str(self.job.state),
            jobs.TRIAL_NAME: name,
            **self.trial.command.environment,
        }
        process = self.job.process(self.trial.command.words, self.log, environment, self.trial.work)
        try:
            return self._follow(process)
        finally:
            self.reading.curves.close(values_of(self.trial.spec))

    def _prepare(self) -> None:
        """Empty the trial's folder, and put the log of an earlier attempt aside."""
        for folder in (self.trial.work, self.trial.curves):
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
        self.trial.work.mkdir(parents=True)
        if self.trial.source.path:
            folder = self.place.parent if self.trial.source.kind == "File" else self.place
            folder.mkdir(parents=True, exist_ok=True)
        self.job.logs.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            earlier = sorted(int(path.name.split(".")[1]) for path in self.job.logs.glob("trial.*.log"))
            self.log.rename(self.job.logs / f"trial.{(earlier or [0])[-1] + 1}.log")
            for number in earlier[: -MOST_EARLIER + 1]:
                (self.job.logs / f"trial.{number}.log").unlink()
        self.log.touch()

    def _follow(self, process: Process) -> tuple[str, str]:
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        while True:
            ended = bool(waiting.poll(POLL_SECONDS * 1000))
            if self._read(ended):
                process.stop()
                return "EarlyStopped", "Trial is early stopped"
            if ended:
                return self._ended(process.wait() or 0)
            if self.job.stopping.is_set():
                process.stop()
                return "", ""
            if why := watch.killed(self.job.object["metadata"]["uid"]):
                process.stop()
                return "Killed", why
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self.late = True
                process.stop()
                return "Failed", "Trial has failed. Job reason: DeadlineExceeded"

    def _read(self, ended: bool) -> bool:
        """Read what was reported since the last look; return whether the trial is to be stopped early."""
        if self.trial.source.kind != "TensorFlowEvent":
            return self.reading.read([self.place], ended)
        if ended:
            self.reading.read_events([self.place])
        return False

    def _ended(self, code: int) -> tuple[str, str]:
        if jobs.succeeded(self.trial.spec, code):
            return "Succeeded", "Trial has succeeded"
        said = f"its process {'was killed by signal ' + str(code - 128) if code > 128 else 'exited with ' + str(code)}"
        tail = last_line(self.log)
        return "Failed", f"Trial has failed: {said}" + (f": {tail}" if tail else "")
