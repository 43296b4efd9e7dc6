"""The figures behind the pictures, as small CSV files, and the few scores that runs are compared by: for DVC's tables
and plots, and for whoever draws for themselves."""

import csv
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from pantheon.workflow.plots import thin
from pantheon.workflow.run import Run, write_json

Doubles = NDArray[np.float64]


def write(run: Run, metrics: dict[str, Any], y: NDArray[Any], answer: Doubles, classes: list[str]) -> None:
    """``scores.json`` and ``curves/*.csv``: every file at every task, with a header alone where a task has none of it.

    Args:
        metrics: the content of ``metrics.json``.
        y: the truth of the held-out rows, shape (rows,).
        answer: what the chosen model said of them, shape (rows, classes), or (rows,) of a regression.
        classes: as people read them.
    """
    metric = metrics["primary"]["name"]
    few = {
        **metrics["held_out"],
        "cross_validation": metrics["cross_validation"]["mean"],
        "train": metrics["train"][metric],
        "baseline": metrics["baseline"][metric],
    }
    write_json(run.path("scores.json"), {name: value for name, value in few.items() if value is not None})
    classification = metrics["task"] == "classification"
    with run.output("curves") as folder:
        folder.mkdir()

        def table(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([header, *rows])

        table("roc", ("class", "false_alarms", "found"), roc(y, answer, classes) if classification else [])
        bins = [(entry["predicted"], entry["observed"], entry["rows"]) for entry in metrics["calibration"]]
        table("calibration", ("predicted", "observed", "rows"), bins)
        table("errors", ("share_of_rows", "error"), [] if classification else errors(y, answer))
        names = [f"{each['name']}{' tuned' if each['tuned'] else ''}" for each in metrics["candidates"]]
        values = [each["held_out"][metric] for each in metrics["candidates"]]
        table("candidates", ("candidate", "score"), zip(names, values, strict=True))
        table("importance", ("input", "worse_by"), [(each["name"], each["mean"]) for each in metrics["importance"]])


def roc(y: NDArray[Any], answer: Doubles, classes: list[str]) -> Iterable[tuple[str, float, float]]:
    """The ROC curve of each class against the others; of two, the last one's."""
    for index, name in enumerate(classes):
        if (len(classes) > 2 or index == 1) and 0 < np.sum(y == index) < len(y):
            false, true, _ = roc_curve(y == index, answer[:, index])
            for point in zip(*thin(false, true), strict=True):
                yield (name, float(point[0]), float(point[1]))


def errors(y: NDArray[Any], answer: Doubles) -> Iterable[tuple[float, float]]:
    """The size of the error that a share of the rows stays below (the REC curve of Bi and Bennett, ICML 2003)."""
    sizes = np.sort(np.abs(answer - y))
    shares = np.arange(1, len(sizes) + 1) / len(sizes)
    for point in zip(*thin(shares, sizes), strict=True):
        yield (float(point[0]), float(point[1]))
