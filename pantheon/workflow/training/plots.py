"""Plots of an evaluation as SVG: small, the same bytes for the same figures, readable on light and dark pages.

Only Matplotlib's object-oriented interface is used: stages run in threads, and pyplot keeps its state per process.
Every plot has a white background, so that the contrast of its colours does not depend on the page.
"""

import csv
import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from pantheon.files import write_json
from pantheon.workflow.outputs import Bin, ComparedCandidate, Importance, Metrics
from pantheon.workflow.run import Run
from pantheon.workflow.training.metrics import say

INK, GRID, CARD = "#24292f", "#d8dee4", "#ffffff"
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#57606a", "#9a6700", "#0a7ea4")
POINTS = 200  # points of a curve, at most; more make no visible difference
_STYLE: Any = {
    "svg.hashsalt": "pantheon",  # without it, ids of clip paths are random
    "svg.fonttype": "none",  # text stays text: small and searchable
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8c959f",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify": True,
}
_lock = threading.Lock()  # rc_context changes process-wide settings


def all_of(
    metrics: Metrics,
    y: NDArray[Any],
    answer: NDArray[np.float64],
    classes: list[str],
    positive: int,
    target: str,
) -> Iterator[tuple[str, bytes]]:
    """Yield every plot of the task, as (name, SVG)."""
    if metrics["task"] == "classification":
        yield (
            "confusion_matrix",
            draw(lambda ax: confusion(ax, np.array(metrics["confusion"]), classes), 4.6 + 0.3 * len(classes), 4.2),
        )
        shown = (
            [positive]
            if len(classes) == 2
            else [c for c in range(len(classes)) if 0 < np.sum(y == c) < len(y)][: len(COLOURS)]
        )
        if any(0 < np.sum(y == c) < len(y) for c in shown):
            yield "roc", draw(lambda ax: roc(ax, y, answer, classes, shown))
            yield "precision_recall", draw(lambda ax: precision_recall(ax, y, answer, classes, shown))
        yield "calibration", draw(lambda ax: calibrated(ax, metrics["calibration"], classes, positive))
    else:
        yield "predicted_actual", draw(lambda ax: predicted(ax, y, answer, target))
        yield "residuals", draw(lambda ax: residuals(ax, y, answer, target))
    most = metrics["importance"][:15]
    if most:
        yield (
            "feature_importance",
            draw(lambda ax: importance(ax, most, metrics["primary"]["name"]), 6.4, 1.4 + 0.32 * len(most)),
        )
    compared = metrics["candidates"]
    yield (
        "candidates",
        draw(lambda ax: candidates(ax, compared, metrics["primary"]["name"]), 6.4, 1.2 + 0.42 * len(compared)),
    )


def draw(paint: Any, width: float = 5.2, height: float = 4.2) -> bytes:
    """Draw one pair of axes as SVG; sizes in inches."""
    out = io.BytesIO()
    with _lock, rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
        figure = Figure(figsize=(width, height), facecolor=CARD, layout=layout)
        FigureCanvasSVG(figure)
        paint(figure.add_subplot())
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def thin(*curve: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return at most ``POINTS`` points of a curve, including its ends."""
    count = len(curve[0])
    rows = np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))
    return [part[rows] for part in curve]


def short(text: str, most: int = 24) -> str:
    """Shorten a label so that it fits; escape ``$``, which would start a formula."""
    text = text.replace("$", r"\$")
    return text if len(text) <= most else text[: most - 1] + "…"


def confusion(ax: Axes, matrix: NDArray[np.int64], classes: list[str]) -> None:
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count = len(classes)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if count <= 15:
        for row in range(count):
            for column in range(count):
                colour = "white" if share[row, column] > 0.55 else INK
                text = f"{matrix[row, column]:,}" + (f"\n{share[row, column]:.0%}" if count <= 5 else "")
                ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=10 if count <= 8 else 7)
    step = max(1, count // 20)
    names = [short(name, 16) for name in classes]
    ax.set_xticks(range(0, count, step), names[::step], rotation=0 if count <= 4 else 60)
    ax.set_yticks(range(0, count, step), names[::step])
    ax.grid(visible=False)
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix")


def roc(ax: Axes, y: NDArray[Any], answer: NDArray[np.float64], classes: list[str], shown: list[int]) -> None:
    for colour, index in zip(COLOURS, shown, strict=False):
        false, true, _ = roc_curve(y == index, answer[:, index])
        ax.plot(*thin(false, true), color=colour, lw=2, label=short(classes[index]))
    ax.plot([0, 1], [0, 1], color="#6e7781", lw=1, ls="--", label="guessing")
    ax.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        xlabel="false positive rate",
        ylabel="true positive rate",
        title="ROC curve, held-out rows",
    )
    ax.legend(loc="lower right", frameon=False)


def precision_recall(
    ax: Axes, y: NDArray[Any], answer: NDArray[np.float64], classes: list[str], shown: list[int]
) -> None:
    for colour, index in zip(COLOURS, shown, strict=False):
        precision, recall, _ = precision_recall_curve(y == index, answer[:, index])
        ax.plot(*thin(recall, precision), color=colour, lw=2, label=short(classes[index]))
        ax.axhline(float(np.mean(y == index)), color=colour, lw=1, ls="--")
    ax.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.03),
        xlabel="recall: share of the class that is detected",
        ylabel="precision: share of detections that are correct",
    )
    ax.set_title("Precision and recall (dashed: guessing)")
    ax.legend(loc="lower left", frameon=False)


def calibrated(ax: Axes, bins: list[Bin], classes: list[str], positive: int) -> None:
    stated, true = [b["predicted"] for b in bins], [b["observed"] for b in bins]
    sizes = 20 + 160 * np.sqrt(np.array([b["rows"] for b in bins]) / max(b["rows"] for b in bins))
    ax.plot([0, 1], [0, 1], color="#6e7781", lw=1, ls="--", label="perfect")
    ax.plot(stated, true, color=COLOURS[0], lw=1.5)
    ax.scatter(stated, true, s=sizes, color=COLOURS[0], alpha=0.8, label="held-out rows (larger: more rows)")
    what = short(classes[positive]) if len(classes) == 2 else "the most likely class"
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel=f"predicted probability: {what}", ylabel="observed frequency")
    ax.set_title("Calibration")
    ax.figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _some(count: int) -> NDArray[np.int64]:
    """Return at most 300 row numbers, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, 300)).round().astype(np.int64))


def predicted(ax: Axes, y: NDArray[Any], answer: NDArray[np.float64], target: str) -> None:
    rows = _some(len(y))
    ax.scatter(y[rows], answer[rows], s=14, color=COLOURS[0], alpha=0.6, linewidths=0)
    ends = [float(min(y.min(), answer.min())), float(max(y.max(), answer.max()))]
    ax.plot(ends, ends, color="#6e7781", lw=1, ls="--", label="perfect")
    ax.set(xlabel=f"true {short(target)}", ylabel="predicted", title="Predicted and true values, held-out rows")
    ax.legend(loc="upper left", frameon=False)


def residuals(ax: Axes, y: NDArray[Any], answer: NDArray[np.float64], target: str) -> None:
    error = answer - y
    ax.hist(error, bins=min(40, max(8, len(y) // 10)), color=COLOURS[0], edgecolor=CARD)
    ax.axvline(0, color=INK, lw=1)
    ax.set(xlabel=f"predicted minus true {short(target)}", ylabel="held-out rows", title="Residuals")


def importance(ax: Axes, most: list[Importance], metric: str) -> None:
    names = [short(entry["name"]) for entry in most][::-1]
    values = [entry["mean"] for entry in most][::-1]
    ax.barh(
        range(len(names)),
        values,
        xerr=[entry["std"] for entry in most][::-1],
        color=COLOURS[0],
        ecolor="#57606a",
        height=0.7,
    )
    ax.set_yticks(range(len(names)), names)
    ax.axvline(0, color=INK, lw=0.8)
    ax.grid(visible=False, axis="y")
    ax.set(xlabel=f"loss of {say(metric)} when the column is shuffled", title="Feature importance")


def candidates(ax: Axes, entries: list[ComparedCandidate], metric: str) -> None:
    baseline = next((e["held_out"][metric] for e in entries if e["name"] == "baseline"), None)
    entries = [e for e in entries if e["name"] != "baseline"][::-1]  # too far off: the others would overlap
    rows = np.arange(len(entries))
    for row, entry in zip(rows, entries, strict=True):
        colour = COLOURS[0] if entry["chosen"] else "#57606a"
        ax.errorbar(entry["cv_mean"], row, xerr=entry["cv_std"], color=colour, fmt="o", capsize=3, ms=6)
        held_out = entry["held_out"][metric]
        if held_out is not None:
            ax.plot(held_out, row, color=COLOURS[1], marker="D", ls="", ms=6)
    ax.plot([], [], "o", color="#57606a", label="cross-validation ± standard deviation")
    ax.plot([], [], "D", color=COLOURS[1], label="held-out rows")
    names = [
        e["name"].replace("_", " ") + (", tuned" if e["tuned"] else "") + (" ✓" if e["chosen"] else "") for e in entries
    ]
    ax.set_yticks(rows, [short(name, 34) for name in names])
    ax.set_ylim(-0.6, len(entries) - 0.4)
    beside = "" if baseline is None else f" (baseline: {baseline:.4g})"
    ax.set(xlabel=say(metric) + beside, title="Comparison of candidates (✓ chosen)")
    ax.figure.legend(loc="outside lower center", ncols=2, frameon=False)


def write_curves(run: Run, metrics: Metrics, y: NDArray[Any], answer: NDArray[np.float64], classes: list[str]) -> None:
    """Write ``scores.json`` and ``curves/*.csv``. Every file is always written; some tasks leave only the header.

    Args:
        metrics: the content of ``metrics.json``.
        y: the truth of the held-out rows, shape (rows,).
        answer: the chosen model's predictions for them, shape (rows, classes), or (rows,) for a regression.
        classes: their display names.
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
    with run.output_folder("curves") as folder:

        def table(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([header, *rows])

        table("roc", ("class", "false_alarms", "found"), roc_points(y, answer, classes) if classification else [])
        bins = [(entry["predicted"], entry["observed"], entry["rows"]) for entry in metrics["calibration"]]
        table("calibration", ("predicted", "observed", "rows"), bins)
        table("errors", ("share_of_rows", "error"), [] if classification else errors(y, answer))
        names = [f"{entry['name']}{' tuned' if entry['tuned'] else ''}" for entry in metrics["candidates"]]
        values = [entry["held_out"][metric] for entry in metrics["candidates"]]
        table("candidates", ("candidate", "score"), zip(names, values, strict=True))
        table("importance", ("input", "worse_by"), [(entry["name"], entry["mean"]) for entry in metrics["importance"]])


def roc_points(y: NDArray[Any], answer: NDArray[np.float64], classes: list[str]) -> Iterable[tuple[str, float, float]]:
    """Yield the ROC curve of every class against the others; of two classes, only that of the last one."""
    for index, name in enumerate(classes):
        if (len(classes) > 2 or index == 1) and 0 < np.sum(y == index) < len(y):
            false, true, _ = roc_curve(y == index, answer[:, index])
            for point in zip(*thin(false, true), strict=True):
                yield (name, float(point[0]), float(point[1]))


def errors(y: NDArray[Any], answer: NDArray[np.float64]) -> Iterable[tuple[float, float]]:
    """Yield the REC curve (Bi and Bennett, ICML 2003): the error that a given share of the rows stays below."""
    sizes = np.sort(np.abs(answer - y))
    shares = np.arange(1, len(sizes) + 1) / len(sizes)
    for point in zip(*thin(shares, sizes), strict=True):
        yield (float(point[0]), float(point[1]))
