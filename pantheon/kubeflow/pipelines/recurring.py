"""``RecurringRun``: runs of a pipeline that start by themselves, by a cron expression or at an interval."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pantheon.kubeflow import validation
from pantheon.kubeflow.contract import Job, Object, Refused
from pantheon.kubeflow.pipelines import kinds
from pantheon.kubeflow.pipelines.controller import PipelineRuns
from pantheon.kubeflow.pipelines.kinds import OWN, RecurringSpec, time_of

BUSY_SECONDS = 1.0  # between two looks at whether an earlier run has ended
UNFINISHED = ("waiting", "running")
LONGEST_WAIT = 3600.0  # so that a changed clock is noticed


class Times:
    """The times of a trigger, in UTC."""

    def __init__(self, spec: RecurringSpec, made: datetime) -> None:
        trigger = spec.trigger
        if (trigger.cron_schedule is None) == (trigger.periodic_schedule is None):
            raise Refused("spec.trigger", "must have either cronSchedule or periodicSchedule.")
        name = "cronSchedule" if trigger.cron_schedule else "periodicSchedule"
        schedule: Any = trigger.cron_schedule or trigger.periodic_schedule
        self.path = f"spec.trigger.{name}"
        self.begin = time_of(schedule.start_time, f"{self.path}.startTime") or made
        self.end = time_of(schedule.end_time, f"{self.path}.endTime")
        self.step = timedelta(0)
        self.cron, self.seconds = "", 0
        if trigger.periodic_schedule:
            if trigger.periodic_schedule.interval_second < 1:
                raise Refused(f"{self.path}.intervalSecond", "must be at least 1.")
            self.step = timedelta(seconds=trigger.periodic_schedule.interval_second)
        else:
            self.cron, self.seconds = self.read(str(schedule.cron))
            self.after(self.begin)

    def read(self, text: str) -> tuple[str, int]:
        """Return a cron expression of five fields, and the second of the minute."""
        fields = text.split()
        if len(fields) == 5:
            return text, 0
        if len(fields) == 6 and fields[0].isdecimal() and int(fields[0]) < 60:  # as KFP writes it
            return " ".join(fields[1:]), int(fields[0])
        cure = "Such as '0 6 * * *', at 6:00 UTC every day; KFP's leading field for seconds must be a number."
        raise Refused(f"{self.path}.cron", f"{text[:60]!r} is not a cron expression.", cure)

    def after(self, last: datetime) -> datetime | None:
        """Return the first time after ``last``; None if there is none."""
        if self.step:
            passed = max(0, (last - self.begin) // self.step + 1)
            found = self.begin + max(1, passed) * self.step
        else:
            from cronsim import CronSim, CronSimError

            try:
                offset = timedelta(seconds=self.seconds)
                found = next(CronSim(self.cron, (max(last, self.begin) - offset).astimezone(UTC))) + offset
            except CronSimError as error:
                raise Refused(f"{self.path}.cron", f"{self.cron!r} is not a cron expression: {error}.") from None
            except StopIteration:
                return None
        return found if self.end is None or found <= self.end else None

    def latest(self, now: datetime) -> datetime:
        """Return the last time until ``now``; there must be one."""
        now = min(now, self.end or now)
        if self.step:
            return self.begin + (now - self.begin) // self.step * self.step
        from cronsim import CronSim

        offset = timedelta(seconds=self.seconds)
        times = CronSim(self.cron, now.astimezone(UTC) + timedelta(minutes=1), reverse=True)
        found: datetime = next(time for time in times if time + offset <= now)
        return found + offset

    def due(self, last: datetime, now: datetime, newest: bool) -> tuple[datetime | None, datetime | None]:
        """Return the time to start a run for, None if none is due, and the next time.

        Args:
            last: the time of the last run, or when it was made.
            newest: skip all missed times but the newest one.
        """
        found = self.after(last)
        if found is None or found > now:
            return None, found
        if newest:
            found = self.latest(now)
        return found, self.after(found)


class RecurringRuns:
    """Starts runs when they are due."""

    kind = kinds.RECURRING
    finished = ("Ended",)
    actions = ("suspend", "resume")

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock

    def check(self, manifest: Object, old: Object | None) -> None:
        spec = validation.convert(manifest["spec"], RecurringSpec, "spec")
        if len(manifest["metadata"]["name"]) > 48:
            raise Refused("metadata.name", "must have at most 48 characters: names of its runs add the time.")
        if spec.mode not in ("ENABLE", "DISABLE"):
            raise Refused("spec.mode", "must be ENABLE or DISABLE.")
        if spec.max_concurrency < 1:
            raise Refused("spec.maxConcurrency", "must be at least 1.")
        if spec.history_limit < 1:
            raise Refused("spec.historyLimit", "must be at least 1.")
        Times(spec, self.clock())
        PipelineRuns().check({**manifest, "spec": run_spec(manifest["spec"])}, None)

    def run(self, job: Job) -> None:
        spec = validation.convert(job.object["spec"], RecurringSpec, "spec")
        if spec.mode == "DISABLE":
            job.status(nextTime=None)
            job.condition("Enabled", False, "Suspended", "It starts no runs until it is resumed.")
            return
        job.condition("Enabled", True, "Scheduled", "It starts runs when they are due.")
        made = datetime.fromisoformat(job.object["metadata"]["creationTimestamp"])
        times = Times(spec, made)
        while not job.stopping.is_set():
            status = job.object.get("status", {})
            last = datetime.fromisoformat(status["lastTime"]) if status.get("lastTime") else times.begin
            found, following = times.due(last, self.clock(), spec.no_catchup)
            if found is not None:
                if self.active(job) >= spec.max_concurrency:
                    job.stopping.wait(BUSY_SECONDS)
                    continue
                started = self.start(job, found)  # the same name after a kill: it is not started twice
                job.status(lastTime=found.isoformat(), lastRun=started)
                self.forget(job, spec.history_limit)
                continue
            if following is None:
                job.status(nextTime=None)
                job.condition("Enabled", False, "Ended", "Its end time has passed.")
                job.condition("Ended", True, "Ended", "Its end time has passed.")
                return
            if status.get("nextTime") != following.isoformat():
                job.status(nextTime=following.isoformat())
            job.stopping.wait(min(LONGEST_WAIT, max(0.0, (following - self.clock()).total_seconds())))

    def runs(self, job: Job) -> list[Object]:
        """Return its runs, oldest first."""
        name, found = job.object["metadata"]["name"], job.objects.list("PipelineRun")
        return [run for run in found if (run["metadata"].get("labels") or {}).get("recurring-run") == name]

    def active(self, job: Job) -> int:
        return sum(kinds.state_of(run) in UNFINISHED for run in self.runs(job))

    def forget(self, job: Job, limit: int) -> None:
        """Delete finished runs beyond the limit: otherwise there would be too many objects one day."""
        finished = [run for run in self.runs(job) if kinds.state_of(run) not in UNFINISHED]
        for run in finished[:-limit]:
            job.objects.delete("PipelineRun", run["metadata"]["name"])

    def start(self, job: Job, due: datetime) -> str:
        name = f"{job.object['metadata']['name']}-{due.astimezone(UTC):%Y%m%d%H%M%S}"
        if job.objects.get("PipelineRun", name) is None:
            metadata = {"name": name, "labels": {"recurring-run": job.object["metadata"]["name"]}}
            spec = run_spec(job.object["spec"])
            job.objects.apply({"apiVersion": OWN, "kind": "PipelineRun", "metadata": metadata, "spec": spec})
        return name

    def act(self, manifest: Object, action: str) -> Object:
        changed: Object = json.loads(json.dumps(manifest))
        changed["spec"]["mode"] = "DISABLE" if action == "suspend" else "ENABLE"
        return changed

    def clear(self, job: Job) -> None:
        pass


def run_spec(spec: Object) -> Object:
    """Return the spec of a run from that of a recurring one."""
    return {key: spec[key] for key in ("pipelineRef", "pipelineSpec", "parameters", "caching") if key in spec}
