"""Predict the rows of a table part by part: predictions go to one file, rows that the model refuses to another."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data.rows import plural
from pantheon.workflow.data.spec import label_key
from serving.batch.encoding import Matrix, Reasons, encode, predictions, values_of
from serving.batch.table import REASON, ROW, Table
from serving.batch.writing import Writer, writer
from serving.model.predictor import Answer, Predictor, TooSlow
from serving.problems import Problem

VALUES = 1_000_000  # cells in a part: bounds the memory
MOST_ROWS, LEAST_ROWS = 50_000, 500
SECONDS = 120.0  # for the model's answers to a part
REPORT_SECONDS = 0.5  # between reports of the progress
SHOWN = 20  # refused rows that are told one by one
PREDICTION = "prediction"
NEW = 1000  # categories that the model does not know, which are counted


@dataclass
class Done:
    """What was done.

    Attributes:
        rows: of the file; of them, ``predicted`` and ``refused``.
        first: the first refused rows: their number and the reason.
        notes: sentences about values that were taken as missing.
    """

    rows: int = 0
    predicted: int = 0
    refused: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Job:
    """The prediction of one table.

    Attributes:
        probabilities: whether to add the probability of each class.
        form: of both files; see ``writing.writer``.
        output, refused: their paths.
        report: is told how many rows are done, twice a second.
    """

    predictor: Predictor
    table: Table
    probabilities: bool
    form: str
    output: Path
    refused: Path
    report: Callable[[int], None]

    def __post_init__(self) -> None:
        signature = self.predictor.signature
        self.fields, self.classes = signature.fields, signature.classes
        if self.probabilities and signature.task != "classification":
            raise PantheonError("a regression has no probabilities.", "Leave --probabilities out.")
        names = [f"probability_{label_key(value)}" for value in self.classes] if self.probabilities else []
        self.shares = names
        for name in (PREDICTION, *names):
            if name in self.table.columns:
                what = f"the file has a column {name!r} already, which would be overwritten."
                raise PantheonError(what, "Rename or remove it.")
        self._new: dict[str, set[Any]] = {}

    def run(self) -> Done:
        """Write both files; one without rows is not made."""
        done, told = Done(rows=self.table.rows), time.monotonic()
        with closing(writer(self.output, self.form)) as good, closing(writer(self.refused, self.form)) as bad:
            for frame, others in self.table.batches(self.size):
                self._part(frame, others, good, bad, done)
                if time.monotonic() - told > REPORT_SECONDS:
                    self.report(done.predicted + done.refused)
                    told = time.monotonic()
        for path, rows in ((self.output, done.predicted), (self.refused, done.refused)):
            if rows == 0:
                path.unlink(missing_ok=True)
        done.notes = [*self._absent(), *self._unknown()]
        return done

    @property
    def size(self) -> int:
        width = max(len(self.table.columns), len(self.fields), len(self.shares), 1)
        return max(LEAST_ROWS, min(MOST_ROWS, VALUES // width))

    def _part(self, frame: pl.DataFrame, others: pl.DataFrame, good: Writer, bad: Writer, done: Done) -> None:
        matrix, reasons = encode(frame, self.fields)
        answer, failed = self._answers(matrix, reasons)
        reasons |= failed
        ok = np.ones(frame.height, dtype=bool)
        ok[list(reasons)] = False
        if answer.prediction:
            kept = frame.filter(pl.Series(ok))
            self._note(kept)
            good.write(kept.drop(ROW).with_columns(self._columns(answer)))
        if reasons or others.height:
            texts = pl.Series(REASON, [reasons[row] for row in sorted(reasons)], dtype=pl.String)
            refused = pl.concat([frame.filter(pl.Series(~ok)).with_columns(texts), others]).sort(ROW)
            first = refused.select(ROW, REASON).head(SHOWN - len(done.first)).rows()
            done.first += first
            bad.write(refused.select(ROW, REASON, pl.exclude(ROW, REASON)))
            done.refused += refused.height
        done.predicted += len(answer.prediction)

    def _columns(self, answer: Answer) -> list[pl.Series]:
        columns = [predictions(answer.prediction, self.classes, PREDICTION)]
        if answer.probabilities:
            shares = np.array(answer.probabilities)
            columns += [pl.Series(name, shares[:, place]) for place, name in enumerate(self.shares)]
        return columns

    def _answers(self, matrix: Matrix, reasons: Reasons) -> tuple[Answer, Reasons]:
        """Return the answers to the rows that are not refused, and further reasons: rows for which the model fails."""
        rows = [row for row in range(len(matrix)) if row not in reasons] if reasons else list(range(len(matrix)))
        found, failed = Answer([], [] if self.probabilities else None), Reasons()
        parts = [rows] if rows else []
        while parts:
            part = parts.pop(0)
            try:
                answer = self.predictor.run(matrix[part], self.probabilities, monotonic() + SECONDS)
            except TooSlow as error:
                cause = f"the model had no predictions for {plural(len(part), 'row')} after {SECONDS:g} s."
                raise PantheonError(cause, "Try again when the machine is less busy.", 1) from error
            except Problem as problem:
                if len(part) == 1:
                    failed[part[0]] = problem.message.removeprefix("Row 0: ")
                else:  # some of its rows
                    half = len(part) // 2
                    parts[:0] = [part[:half], part[half:]]
                continue
            found.prediction.extend(answer.prediction)
            if found.probabilities is not None:
                found.probabilities.extend(answer.probabilities or [])
        return found, failed

    def _note(self, frame: pl.DataFrame) -> None:
        """Collect categories that the model does not know, and takes as missing."""
        for each in self.fields:
            if each.type == "category" and each.raw.get("unknown") == "warn" and each.name in frame.columns:
                known = {None, *map(str, each.raw["categories"])}
                others = set(values_of(frame.select(pl.col(each.name).unique()), each)) - known
                new = self._new.setdefault(each.name, set())
                new |= {value for value in others if len(new) < NEW and math.isnan(each.coerce(value))}

    def _absent(self) -> list[str]:
        return [f"the file has no column {name!r}: its values are taken as missing" for name in self.table.missing]

    def _unknown(self) -> list[str]:
        rows = [{name: value} for name, values in self._new.items() for value in values]
        return [note.rstrip(".") for note in self.predictor.signature.notes(rows)]
