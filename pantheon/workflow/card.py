"""The model card: what a person should know before they trust an answer, in plain words (Markdown)."""

from typing import Any

from pantheon.workflow.metrics import say

_FAMILIES = {
    "linear": "a linear model",
    "random_forest": "a random forest",
    "hist_gradient_boosting": "histogram gradient boosting",
}
_MEANING = {
    "roc_auc": "how often a row of the class is ranked above one of another (0.5 is guessing, 1 is perfect)",
    "accuracy": "share of answers that are right",
    "balanced_accuracy": "the same, with every class counting alike",
    "f1": "balance between finding all and raising no false alarm",
    "pr_auc": "precision over all levels of recall",
    "log_loss": "penalty for being sure and wrong (0 is perfect)",
    "brier": "mean squared error of the probabilities (0 is perfect)",
    "calibration_error": "how far stated probabilities are from what came true",
    "rmse": "typical error, large ones weighing more",
    "mae": "mean error",
    "r2": "share of the variation that is explained",
}


def card(
    name: str,
    description: str,
    signature: dict[str, Any],
    metrics: dict[str, Any],
    lineage: dict[str, Any],
    dropped: list[dict[str, str]],
) -> str:
    """The card of a bundle."""
    output, held_out = signature["output"], metrics["held_out"]
    rows, families = metrics["rows"], len({entry["name"] for entry in metrics["candidates"]})
    family = _FAMILIES.get(metrics["chosen"], metrics["chosen"])
    lines = [f"# {_text(name)}", ""]
    if description:
        lines += [_text(description), ""]
    what = "which class" if metrics["task"] == "classification" else "which number"
    labels = list(output.get("labels", {}).values())
    among = (
        f" ({', '.join(_text(label) for label in labels[:12])}{', …' if len(labels) > 12 else ''})" if labels else ""
    )
    lines += [f"It says {what} `{output['name']}` is{among}, from {len(signature['inputs'])} inputs.", ""]
    lines += [
        f"The model is {family}, chosen from {families} candidates by cross-validation"
        + (" and tuned." if metrics["tuned"] else "; its defaults were best."),
        *_pycaret(lineage.get("pycaret"), metrics["cross_validation"]["metric"]),
        "",
        "## How good it is",
        "",
        f"Asked about {rows['test']:,} rows that it had never seen; it learnt from {rows['train']:,}.",
        "",
        "| measure | this model | trivial baseline | |",
        "|---|---|---|---|",
    ]
    for metric, value in held_out.items():
        lines.append(
            f"| {say(metric)} | {_figure(value)} | {_figure(metrics['baseline'][metric])} | {_MEANING[metric]} |"
        )
    lines += ["", metrics["overfitting"]["verdict"], ""]
    lines += [f"- {_text(warning)}" for warning in metrics["warnings"]]
    lines += _weak(metrics)
    lines += ["", "## What it looks at", ""]
    for entry in metrics["importance"][:5]:
        lines.append(
            f"- `{entry['name']}`: shuffled, {say(metrics['primary']['name'])} worsens by {_figure(entry['mean'])}"
        )
    lines += [f"- `{entry['name']}` is not used: it {_text(entry['why'])}" for entry in dropped[:10]]
    lines += ["", "## What it is not for", ""]
    lines += [
        "- Rows unlike those it learnt from: values beyond the ranges that the form shows are guesses.",
        "- Cause and effect: that a column matters here does not mean that changing it changes the outcome.",
    ]
    lines += ["", "## Where it comes from", ""]
    data = lineage["data"]
    lines += [
        f"- Data: {_text(data['name'])}, {data['rows']:,} rows, SHA-256 `{(data['sha256'] or 'unknown')[:16]}…`",
        f"- Run `{lineage['run']}`, trained {lineage['created']}, Pantheon {lineage['code']['version']}",
    ]
    if not metrics["reproducible"]:
        lines.append("- **Not reproducible**: tuning reached its time limit before all trials were done.")
    return "\n".join(lines) + "\n"


def _pycaret(found: dict[str, Any] | None, metric: str) -> list[str]:
    """That PyCaret made the model, and what it would rather have chosen."""
    if not found:
        return []
    lines = [
        f"Features, comparison, tuning and selection are the work of PyCaret {found['version']} (an alpha version), "
        f"on {found['rows']:,} rows."
    ]
    for entry in found["not_served"]:
        lines.append(
            f"{_text(entry['name'])} did better in cross-validation ({say(metric)} {_figure(entry['mean'])}) and is "
            f"not served: {_text(entry['why'])}."
        )
    return ["", *lines]


def _weak(metrics: dict[str, Any]) -> list[str]:
    """The part of the rows that it does worst on, if clearly worse than the whole."""
    metric, greater = ("accuracy", True) if metrics["task"] == "classification" else ("rmse", False)
    parts = [part for part in metrics["slices"] if part["metrics"][metric] is not None]
    if not parts or metrics["held_out"][metric] is None:
        return []
    worst = (min if greater else max)(parts, key=lambda part: part["metrics"][metric])
    value, whole = worst["metrics"][metric], metrics["held_out"][metric]
    if (whole - value if greater else (value - whole) / max(whole, 1e-12)) < 0.03:
        return []
    return [
        f"- It does worst where `{worst['column']}` is {_text(worst['value'])}: {say(metric)} {_figure(value)} "
        f"in {worst['rows']:,} rows, against {_figure(whole)} in all."
    ]


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _text(text: str) -> str:
    """Data's own words, so that they can be nothing but text in Markdown and HTML."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return " ".join(text.split())
