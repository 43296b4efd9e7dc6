"""The model card (Markdown): what a person should know before trusting the model's predictions."""

from pantheon.workflow.bundle.records import Lineage, Signature, StoredFeatures
from pantheon.workflow.outputs import Dropped, Metrics, PyCaretOrigin
from pantheon.workflow.training.metrics import say

_FAMILIES = {
    "linear": "a linear model",
    "random_forest": "a random forest",
    "hist_gradient_boosting": "histogram gradient boosting",
    "log_linear": "a linear model of the target's logarithm",
    "log_hist_gradient_boosting": "histogram gradient boosting of the target's logarithm",
}
_MEANING = {
    "roc_auc": "how often a row of the class is ranked above a row of another class (0.5 is guessing, 1 is perfect)",
    "accuracy": "share of correct predictions",
    "balanced_accuracy": "accuracy with equal weight for every class",
    "f1": "harmonic mean of precision and recall",
    "pr_auc": "average precision over all levels of recall",
    "log_loss": "penalty for confident wrong predictions (0 is perfect)",
    "brier": "mean squared error of the probabilities (0 is perfect)",
    "calibration_error": "mean gap between predicted probabilities and observed frequencies",
    "rmse": "typical error; large errors weigh more",
    "mae": "mean absolute error",
    "rmsle": "typical relative error (of logarithms): small and large numbers weigh alike",
    "r2": "share of the variance that the model explains",
}


def card(
    name: str,
    description: str,
    signature: Signature,
    metrics: Metrics,
    lineage: Lineage,
    dropped: list[Dropped],
    stored: StoredFeatures | None = None,
) -> str:
    """Return the card of a bundle."""
    output, held_out = signature["output"], metrics["held_out"]
    rows, families = metrics["rows"], len({entry["name"] for entry in metrics["candidates"]})
    family = _FAMILIES.get(metrics["chosen"], metrics["chosen"])
    lines = [f"# {_text(name)}", ""]
    if description:
        lines += [_text(description), ""]
    what = "the class" if metrics["task"] == "classification" else "the number"
    labels = list(output.get("labels", {}).values())
    among = (
        f" ({', '.join(_text(label) for label in labels[:12])}{', …' if len(labels) > 12 else ''})" if labels else ""
    )
    lines += [f"It predicts {what} `{output['name']}`{among} from {len(signature['inputs'])} inputs.", ""]
    lines += [
        f"The model is {family}, chosen from {families} candidates by cross-validation"
        + (" and tuned." if metrics["tuned"] else "; its default parameters scored best."),
        *_pycaret(lineage.get("pycaret"), metrics["cross_validation"]["metric"]),
        "",
        "## Quality",
        "",
        f"Measured on {rows['test']:,} held-out rows; the model was trained on {rows['train']:,} other rows.",
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
    lines += ["", "## Feature importance", ""]
    for entry in metrics["importance"][:5]:
        lines.append(
            f"- `{entry['name']}`: shuffling it worsens {say(metrics['primary']['name'])} by {_figure(entry['mean'])}"
        )
    lines += [f"- `{entry['name']}` is not used: it {_text(entry['why'])}" for entry in dropped[:10]]
    lines += _stored(stored)
    lines += ["", "## Limits", ""]
    lines += [
        "- Rows unlike the training rows: predictions for values outside the ranges in the form are unreliable.",
        "- Cause and effect: a column that matters for the prediction does not necessarily cause the outcome.",
    ]
    lines += ["", "## Lineage", ""]
    data = lineage["data"]
    lines += [
        f"- Data: {_text(data['name'])}, {data['rows']:,} rows, SHA-256 `{(data['sha256'] or 'unknown')[:16]}…`",
        f"- Run `{lineage['run']}`, trained {lineage['created']}, Pantheon {lineage['code']['version']}",
    ]
    if order := lineage.get("order"):
        lines.append(
            f"- Ordered by {_text(order['by'])}, order `{order['id']}`: code of {_text(order['model_repository'])} at "
            f"`{order['model_commit'][:12]}`, data of {_text(order['data_repository'])} at "
            f"`{order['data_commit'][:12]}`"
        )
    if not metrics["reproducible"]:
        lines.append("- **Not reproducible**: tuning reached its time limit before all trials were done.")
    return "\n".join(lines) + "\n"


def _pycaret(origin: PyCaretOrigin | None, metric: str) -> list[str]:
    """Return lines about PyCaret's part, and about better models that cannot be served."""
    if not origin:
        return []
    lines = [
        f"PyCaret {origin['version']} (an alpha version) prepared the features, and compared, tuned and selected the "
        f"models, on {origin['rows']:,} rows."
    ]
    for entry in origin["not_served"]:
        lines.append(
            f"{_text(entry['name'])} scored better in cross-validation ({say(metric)} {_figure(entry['mean'])}) but "
            f"is not served: {_text(entry['why'])}."
        )
    return ["", *lines]


def _stored(features: StoredFeatures | None) -> list[str]:
    """Return the section about the feature store."""
    if not features:
        return []
    lines = ["", "## Feature store", ""]
    lines.append(
        f"- The feature service `{features['service']}` has the features of this model, from the views "
        f"{', '.join(f'`{view}`' for view in features['views'])}. It was trained on what was known at each row's time."
    )
    if not features["entity"]:
        return [*lines, "- They are not looked up online: requests bring all inputs."]
    lines.append(f"- A request that names `{features['entity']}` needs no other inputs: the endpoint looks these up:")
    lines += [f"    - `{name}` in `{source['view']}:{source['field']}`" for name, source in features["inputs"].items()]
    return lines


def _weak(metrics: Metrics) -> list[str]:
    """Return a line about the slice of rows with the worst score, if it is clearly worse than the overall score."""
    metric, greater = ("accuracy", True) if metrics["task"] == "classification" else ("rmse", False)
    parts = [(value, part) for part in metrics["slices"] if (value := part["metrics"][metric]) is not None]
    overall = metrics["held_out"][metric]
    if not parts or overall is None:
        return []
    value, worst = (min if greater else max)(parts, key=lambda pair: pair[0])
    if (overall - value if greater else (value - overall) / max(overall, 1e-12)) < 0.03:
        return []
    return [
        f"- It performs worst where `{worst['column']}` is {_text(worst['value'])}: {say(metric)} {_figure(value)} "
        f"on {worst['rows']:,} rows, against {_figure(overall)} on all rows."
    ]


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _text(text: str) -> str:
    """Escape text from the data, so that Markdown and HTML render it as plain text."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return " ".join(text.split())
