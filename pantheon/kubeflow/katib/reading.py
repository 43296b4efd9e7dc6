"""Follow what a trial reports while it runs, and record how it ended."""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon.kubeflow import disk, logs
from pantheon.kubeflow.contract import Job
from pantheon.kubeflow.katib import collector, watch
from pantheon.kubeflow.katib.collector import Lines, Report, Source
from pantheon.kubeflow.katib.conditions import EXPERIMENT, is_true
from pantheon.kubeflow.katib.eventfiles import Curves
from pantheon.kubeflow.katib.eventfiles import read as read_events
from pantheon.kubeflow.katib.medianstop import Watch
from pantheon.kubeflow.katib.plan import Objective
from pantheon.kubeflow.objects import now

HISTORY = "pantheon/reports"  # the label that says how many reports of the objective the status keeps
MOST_BYTES = 1 << 20  # that are read at once
TAIL_BYTES, MOST_SAID = 2_000, 300  # of a log's end, for a message
MOST_READS = 16  # in one look: a trial that writes without end can be stopped in between


@dataclass
class Reading:
    """The reports of one trial.

    Args:
        rules: of early stopping.
        curves: get every report, too.
    """

    source: Source
    objective: Objective
    rules: Sequence[Watch]
    curves: Curves
    reports: list[Report] = field(default_factory=list)
    lines: dict[Path, Lines] = field(default_factory=dict)
    places: dict[Path, int] = field(default_factory=dict)

    def read(self, files: Sequence[Path], ended: bool = False) -> bool:
        """Read what was reported since the last look; return whether the trial is to be stopped early.

        Args:
            files: that have reports as lines; one may not be there yet.
            ended: nothing is written any more.
        """
        stopped = False
        for file in files:
            lines = self.lines.setdefault(file, Lines(self.source, self.objective.names))
            for reads in itertools.count(1):
                content = self._next(file)
                new = lines.feed(content, ended and not content)
                self._add(new)
                for report in new:
                    if report.name == self.objective.metric:
                        value = collector.number(report.value)
                        stopped |= any(rule.stops(value) for rule in self.rules)
                if not content or (reads == MOST_READS and not ended):
                    break
        return stopped and not ended

    def read_events(self, folders: Sequence[Path]) -> None:
        """Read the event files of a trial that has ended."""
        for folder in folders:
            self._add(read_events(folder, self.objective.names))

    def _add(self, new: list[Report]) -> None:
        self.reports += new
        self.curves.add(new)

    def _next(self, path: Path) -> bytes:
        """Return what comes next; a line feed first where the middle of a log was removed."""
        place = self.places.get(path, 0)
        try:
            with path.open("rb") as file:
                start, content = logs.read(file.fileno(), place, MOST_BYTES)
        except FileNotFoundError:  # not written yet
            return b""
        self.places[path] = start + len(content)
        return b"\n" + content if start > place else content


def begin(job: Job) -> None:
    """Record that a Trial runs."""
    metadata = job.object["metadata"]
    runs = ("Running", True, "TrialRunning", "Trial is running")
    if is_true(job.object, "Created"):
        job.record(runs)
    else:
        job.record(("Created", True, "TrialCreated", "Trial is created"), runs, startTime=now())
    watch.ring(metadata["namespace"], (metadata.get("labels") or {}).get(EXPERIMENT, ""))


def conclude(job: Job, objective: Objective, reports: Sequence[Report], end: str, message: str) -> None:
    """Record how a Trial ended, with its metrics.

    Args:
        end: the condition, one of ``conditions.ENDS``.

    Raises:
        OSError: the disk is full. It has not failed then: it runs again when there is space.
    """
    metrics = collector.observation(reports, objective.names)
    if end in ("Succeeded", "EarlyStopped"):
        strategy = objective.strategies[objective.metric]
        if collector.value_of(metrics, objective.metric, strategy) is None:
            end, message = "MetricsUnavailable", "Metrics are not available"
    if end in ("Failed", "MetricsUnavailable"):
        disk.check(job.folder)
    history = int((job.object["metadata"].get("labels") or {}).get(HISTORY, "0"))
    values = [report.value for report in reports if report.name == objective.metric]
    job.record(
        ("Running", False, "TrialRunning", "Trial is running"),
        (end, True, end if end == "MetricsUnavailable" else f"Trial{end}", message),
        completionTime=now(),
        observation={"metrics": metrics} if reports else None,
        objectiveReports=values[:history] or None,
    )


def values_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return a Trial's values by parameter."""
    return {each["name"]: each["value"] for each in spec["parameterAssignments"]}


def last_line(log: Path) -> str:
    """Return the last line of a log, for messages; empty if it has none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").strip().rpartition("\n")[2][:MOST_SAID]
    except FileNotFoundError:
        return ""
