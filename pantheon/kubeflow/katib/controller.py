"""Experiments: search for the best values, trial by trial. Their trials are objects of their own (``trials``)."""

import hashlib
from pathlib import Path
from typing import Any

from pantheon.kubeflow.contract import Job, Kind, Object, Refused
from pantheon.kubeflow.katib import medianstop, plan, summary, template, watch
from pantheon.kubeflow.katib.conditions import EXPERIMENT, OWNER, end_of, is_true, reason
from pantheon.kubeflow.katib.reading import HISTORY
from pantheon.kubeflow.katib.space import Assignments
from pantheon.kubeflow.objects import Full, now

POLL_SECONDS = 0.2  # between two looks at whether to stop
LOOK_POLLS = 10  # after so many, trials are looked at without a bell, such as one that failed by a defect
CLEAR_SECONDS = 30.0  # for the trials of a deleted Experiment to end
JOURNAL = "search.jsonl"
NO_ACTION = "Katib cannot suspend them: apply it with a lower parallelTrialCount, or delete it."


def columns(experiment: Object) -> dict[str, str]:
    status, spec = experiment.get("status") or {}, experiment["spec"]
    best = (status.get("currentOptimalTrial") or {}).get("observation", {}).get("metrics") or []
    metric = spec.get("objective", {}).get("objectiveMetricName", "")
    extreme = "max" if spec.get("objective", {}).get("type") == "maximize" else "min"
    value = next((each[extreme] for each in best if each["name"] == metric), "")
    done = sum(status.get(name, 0) for state, (_, name) in summary.LISTS.items() if state not in summary.ACTIVE)
    states = ("Succeeded", "Failed", "Running", "Created")
    return {
        "STATUS": next((state for state in states if is_true(experiment, state)), ""),
        "TRIALS": f"{done}/{spec.get('maxTrialCount', '-')}",
        "BEST": f"{metric}={value}" if value else "",
    }


class Experiments:
    """The controller of the kind Experiment."""

    kind = Kind("Experiment", ("kubeflow.org/v1beta1",), "experiments", ("exp",), columns, NO_ACTION)
    finished = ("Succeeded", "Failed")
    actions: tuple[str, ...] = ()

    def check(self, manifest: Object, old: Object | None) -> None:
        plan.check_name(manifest["metadata"]["name"])
        plan.read(manifest["spec"])
        if old is not None:
            plan.check_change(manifest["spec"], old, reason(old, *self.finished))

    def run(self, job: Job) -> None:
        metadata = job.object["metadata"]
        experiment = Experiment(job)
        while not job.stopping.is_set():
            experiment.bell.clear()
            if experiment.step():
                watch.silence(metadata["namespace"], metadata["name"])
                return
            for _ in range(1 if experiment.waits else LOOK_POLLS):
                if job.stopping.is_set() or experiment.bell.wait(POLL_SECONDS):
                    break

    def act(self, manifest: Object, action: str) -> Object:
        raise Refused("", f"Experiments have no action {action!r}.")

    def clear(self, job: Job) -> None:
        metadata = job.object["metadata"]
        bell = watch.bell(metadata["namespace"], metadata["name"])
        names = [trial["metadata"]["name"] for trial in own_trials(job)]
        for name in names:
            job.objects.delete("Trial", name)
        for _ in range(int(CLEAR_SECONDS / POLL_SECONDS)):
            bell.clear()
            if not own_trials(job):
                break
            bell.wait(POLL_SECONDS)
        watch.silence(metadata["namespace"], metadata["name"])


def own_trials(job: Job) -> list[Object]:
    """Return the Trials of an Experiment."""
    uid = job.object["metadata"]["uid"]
    return [trial for trial in job.objects.list("Trial") if (trial["metadata"].get("labels") or {}).get(OWNER) == uid]


class Experiment:
    """One Experiment while its thread works on it.

    Attributes:
        bell: set when a trial has changed.
        waits: a trial could not be made yet: try again without a bell.
    """

    def __init__(self, job: Job) -> None:
        from pantheon.kubeflow.katib.journal import Journal

        self.job, self.plan = job, plan.read(job.object["spec"])
        metadata = job.object["metadata"]
        self.name, self.namespace, self.uid = metadata["name"], metadata["namespace"], metadata["uid"]
        self.bell = watch.bell(self.namespace, self.name)
        self.waits = False
        self.said: dict[str, Any] = {}
        path: Path = job.folder / JOURNAL
        searched = self.plan
        self.journal = Journal.open(
            path, searched.algorithm, searched.settings, searched.space, searched.objective.maximize
        )
        self.trials: dict[str, Object] = {trial["metadata"]["name"]: trial for trial in own_trials(job)}
        if not is_true(job.object, "Created"):
            job.status(startTime=now())
            job.condition("Created", True, "ExperimentCreated", "Experiment is created")
        elif "completionTime" in job.object["status"]:
            job.status(completionTime=None)
            job.condition("Restarting", True, "ExperimentRestarting", "Experiment is restarted")
        job.condition("Running", True, "ExperimentRunning", "Experiment is running")

    def step(self) -> bool:
        """Take the results that are there, and make the trials that are wanted; return whether it has ended."""
        self.waits = False
        self._look()
        trials = self._ordered()
        ended = self.journal.search.ended and not self._lost()
        why = summary.outcome(trials, self.plan, ended)
        if not why:
            self._make()
            trials = self._ordered()
        self._say(trials)
        if not why:
            return False
        active = [trial for trial in trials if not end_of(trial)]
        for trial in active:
            watch.kill(trial["metadata"]["uid"], "Trial is killed because its Experiment has ended")
        if active:
            return False
        failed = why == "ExperimentFailed"
        self.job.status(completionTime=now())
        self.job.condition("Running", False, "ExperimentRunning", "Experiment is running")
        self.job.condition("Failed" if failed else "Succeeded", True, why, summary.MESSAGES[why])
        return True

    def trial_name(self, number: int) -> str:
        """Return the name of a trial, which is the same after a restart."""
        return f"{self.name}-{hashlib.sha256(f'{self.uid}/{number}'.encode()).hexdigest()[:8]}"

    def _look(self) -> None:
        """Read the trials that have not ended, and tell the search of those that have."""
        for name, trial in list(self.trials.items()):
            found = trial if end_of(trial) else self.job.objects.get("Trial", name)
            if found is None:
                del self.trials[name]
            else:
                self.trials[name] = found
        for number in range(len(self.journal.asked)):
            ended = self.trials.get(self.trial_name(number))
            if ended is not None and number not in self.journal.told and end_of(ended):
                self.journal.tell(number, summary.result_of(ended, self.plan.objective))

    def _ordered(self) -> list[Object]:
        """Return the trials in the order in which they were proposed."""
        names = map(self.trial_name, range(len(self.journal.asked)))
        return [self.trials[name] for name in names if name in self.trials]

    def _lost(self) -> list[int]:
        """Return the numbers of trials that were proposed and do not exist: the service was killed, or a user deleted
        one that had no result yet."""
        return [
            number
            for number in range(len(self.journal.asked))
            if number not in self.journal.told and self.trial_name(number) not in self.trials
        ]

    def _make(self) -> None:
        """Make trials until enough run."""
        active = sum(not end_of(trial) for trial in self.trials.values())
        completed = len(self.trials) - active
        wanted = min(self.plan.parallel, self.plan.limit - completed) - active
        lost = self._lost()
        while wanted > 0:
            if lost:
                number = lost.pop(0)
                values = self.journal.asked[number]
            else:
                proposed = self.journal.ask()
                if proposed is None:
                    return
                number, values = proposed
            try:
                trial = self.job.objects.apply(self._manifest(number, values))
            except Full:
                self.waits = True
                return
            self.trials[trial["metadata"]["name"]] = trial
            wanted -= 1

    def _manifest(self, number: int, values: Assignments) -> Object:
        """Return a trial as an object."""
        spec, name = self.job.object["spec"], self.trial_name(number)
        trial = spec["trialTemplate"]
        labels = {EXPERIMENT: self.name, OWNER: self.uid}
        made: dict[str, Any] = {
            "objective": spec["objective"],
            "parameterAssignments": [{"name": key, "value": value} for key, value in values.items()],
            "runSpec": template.fill(trial, values, name, self.namespace),
        }
        for key in ("primaryContainerName", "successCondition", "failureCondition", "primaryPodLabels"):
            if trial.get(key):
                made[key] = trial[key]
        if trial.get("retain"):
            made["retainRun"] = True
        if spec.get("metricsCollectorSpec"):
            made["metricsCollector"] = spec["metricsCollectorSpec"]
        if self.plan.early is not None:
            labels[HISTORY] = str(self.plan.early["start_step"])
            histories = [
                found["status"].get("objectiveReports") or []
                for found in self._ordered()
                if end_of(found) == "Succeeded"
            ]
            if rules := medianstop.rules(self.plan.early, self.plan.objective, histories):
                made["earlyStoppingRules"] = rules
        return {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Trial",
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "spec": made,
        }

    def _say(self, trials: list[Object]) -> None:
        said = summary.fields(trials, self.plan.objective)
        if said != self.said:
            self.said = said
            self.job.status(**said)
