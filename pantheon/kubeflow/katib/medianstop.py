"""Early stopping as Katib's medianstop does it.

A trial is stopped at its report number ``start_step`` if its best value so far is worse than the average of the first
``start_step`` reports of the trials that have succeeded, averaged over these trials. (Katib calls this the median.) The
rule is made when a trial is, and stands in its spec.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pantheon.kubeflow.katib.algorithms import Settings
from pantheon.kubeflow.katib.collector import number
from pantheon.kubeflow.katib.plan import Objective


def rules(settings: Settings, objective: Objective, histories: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return ``earlyStoppingRules`` of a new trial; none before enough trials have succeeded.

    Args:
        histories: the first reports of the objective of each trial that has succeeded, as text.
    """
    averages: list[float] = []
    for history in histories:
        values = [value for value in map(number, history[: settings["start_step"]]) if value is not None]
        if values:
            averages.append(sum(values) / len(values))
    if len(averages) < settings["min_trials_required"]:
        return []
    rule = {
        "name": objective.metric,
        "value": repr(sum(averages) / len(averages)),
        "comparison": "less" if objective.maximize else "greater",
        "startStep": settings["start_step"],
    }
    return [rule]


@dataclass
class Watch:
    """Follows the objective's reports of a trial.

    Args:
        rule: one of ``earlyStoppingRules``.
    """

    rule: Mapping[str, Any]
    count: int = 0
    best: float | None = None

    def stops(self, value: float | None) -> bool:
        """Take a report (None: not a number); return whether the trial is to be stopped now."""
        self.count += 1
        less = self.rule["comparison"] == "less"  # stopped if it is less: the greatest value is the best
        if value is not None and (self.best is None or (value > self.best if less else value < self.best)):
            self.best = value
        if self.count != max(1, self.rule.get("startStep", 0)) or self.best is None:
            return False
        limit = float(self.rule["value"])
        if self.rule["comparison"] == "equal":
            return self.best == limit
        return self.best < limit if less else self.best > limit
