"""Cross-validation with every fold prepared once: model_selection and hyperparameter_tuning both stand on it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pantheon.workflow.candidates import Candidate, Prepared, fit
from pantheon.workflow.fits import Task, side_by_side, worth
from pantheon.workflow.folds import sample, splits
from pantheon.workflow.matrix import Table, load_spec
from pantheon.workflow.metrics import primary, score
from pantheon.workflow.preparation import Design
from pantheon.workflow.run import Run


class CrossValidation:
    """The folds of a run's training part.

    Args:
        folds: how many of the run's folds to use; the first ones, so that scores on them can be compared.

    Attributes:
        metric, greater: what is scored, and whether more of it is better.
    """

    def __init__(self, run: Run, folds: int | None = None) -> None:
        spec, self.params = load_spec(run), run.params
        self.design = Design.load(run)
        self.metric, self.greater = primary(spec.task, self.params.metric)
        positive = spec.target.positive
        self.positive = list(spec.target.classes).index(positive) if positive in spec.target.classes else 1
        table = Table.load(run.need("features/train.npz", "preprocess"))
        self.table = sample(table, self.params.tuning_rows, self.params.seed)
        found = splits(self.table, self.params.folds, self.params.seed, self.design.classes)
        self.splits = found[:folds]
        self.threads = worth(len(self.table), self.params.threads)
        self.prepared = side_by_side([Task(partial(self._prepare, *rows)) for rows in self.splits], self.threads)

    def _prepare(self, fit_rows: Any, ask_rows: Any) -> tuple[Prepared, Prepared]:
        """A fold's rows to fit on and to ask, prepared once for every candidate and trial."""
        part, asked = self.table.take(fit_rows), self.table.take(ask_rows)
        prepared = Prepared.fit(self.design, part, self.params.seed)
        return prepared, prepared.others(asked)

    def one(self, candidate: Candidate, params: Mapping[str, Any], fold: int) -> float:
        """The score of one fold."""
        rows, asked = self.prepared[fold]
        fitted = fit(candidate, params, rows, self.params.seed)
        value = score(self.metric, asked.y, fitted.answer(asked.for_candidate(candidate)), self.positive)
        if value is None:  # a fold of one class: no better and no worse than guessing
            return 0.5 if self.metric in ("roc_auc", "pr_auc") else 0.0
        return value

    def all(self, candidate: Candidate, params: Mapping[str, Any]) -> list[float]:
        """The score of every fold."""
        return side_by_side(self.tasks(candidate, params), self.threads)

    def tasks(self, candidate: Candidate, params: Mapping[str, Any]) -> list[Task[float]]:
        """One task a fold."""
        folds = range(len(self.splits))
        return [
            Task(partial(self.one, candidate, params, fold), free=candidate.free, spreads=candidate.spreads)
            for fold in folds
        ]
