"""Cross-validation with every fold prepared once, for model_selection and hyperparameter_tuning."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import Candidate, Prepared, fit
from pantheon.workflow.training.folds import sample, splits
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.metrics import primary, score
from pantheon.workflow.training.parallel import Call, run_parallel, threads_for
from pantheon.workflow.training.preparation import Design


class CrossValidation:
    """The folds of a run's training part.

    Args:
        folds: how many of the run's folds to use; always the first ones, so that their scores are comparable.

    Attributes:
        metric, greater: the metric, and whether greater is better.
    """

    def __init__(self, run: Run, folds: int | None = None) -> None:
        spec, self.params = load_spec(run), run.params
        self.design = Design.load(run)
        self.metric, self.greater = primary(spec.task, self.params.metric)
        self.positive = spec.positive_index
        table = Table.load(run.need("features/train.npz", "preprocess"))
        self.table = sample(table, self.params.tuning_rows, self.params.seed)
        self.splits = splits(self.table, self.params.folds, self.params.seed, self.design.classes)[:folds]
        self.threads = threads_for(self.table.X, self.params.threads)
        self.prepared = run_parallel([Call(partial(self._prepare, *rows)) for rows in self.splits], self.threads)

    def _prepare(self, fit_rows: Any, test_rows: Any) -> tuple[Prepared, Prepared]:
        """Prepare a fold's rows, to fit on and to predict, once for all candidates and trials."""
        part, test = self.table.take(fit_rows), self.table.take(test_rows)
        prepared = Prepared.fit(self.design, part, self.params.seed)
        return prepared, prepared.others(test)

    def one(self, candidate: Candidate, params: Mapping[str, Any], fold: int) -> float:
        """Return the score of one fold."""
        rows, test = self.prepared[fold]
        fitted = fit(candidate, params, rows, self.params.seed)
        value = score(self.metric, test.y, fitted.answer(test.for_candidate(candidate)), self.positive)
        if value is None:  # a fold with a single class: as good as guessing
            return 0.5 if self.metric in ("roc_auc", "pr_auc") else 0.0
        return value

    def all(self, candidate: Candidate, params: Mapping[str, Any]) -> list[float]:
        """Return the scores of all folds."""
        return run_parallel(self.tasks(candidate, params), self.threads)

    def tasks(self, candidate: Candidate, params: Mapping[str, Any]) -> list[Call[float]]:
        """Return one task per fold."""
        folds = range(len(self.splits))
        return [
            Call(partial(self.one, candidate, params, fold), free=candidate.free, spreads=candidate.spreads)
            for fold in folds
        ]
