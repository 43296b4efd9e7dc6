"""The gate: is a model good enough to serve? A difference counts only if chance alone would not explain it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.outputs import Comparison, Difference
from pantheon.workflow.training.metrics import Doubles, better, say, score

RESAMPLES, ROWS = 200, 5000
Z = 1.645  # of a 90 % interval: 5 % on the side that matters
SURE = 2.326 / Z  # a model must beat the baseline by this many margins: 1 useless model in 100 passes
FEW, BY_CHANCE = 100, 0.01  # up to FEW rows, a model must score better than 99 % of random orders of its answers
SAME = 1e-5  # a smaller loss is rounding: predictions are float32; absolute, or relative for an error metric
WORSE = 0.01  # a larger loss never passes, however few the rows: absolute, or relative for an error metric


def difference(
    metric: str,
    greater: bool,
    y: NDArray[Any],
    model: Doubles,
    other: Doubles,
    *,
    groups: NDArray[np.int64] | None = None,
    positive: int = 1,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two models' predictions for the same rows; the margin is half the 90 % interval of a paired bootstrap.

    Rows of one entity are drawn together (``groups``), since they are not independent. Where there are many rows, a
    part of them is drawn and the interval is scaled.
    """
    ours, theirs = score(metric, y, model, positive), score(metric, y, other, positive)
    if ours is None or theirs is None:
        return {"model": ours, "other": theirs, "gain": None, "margin": 0.0}
    member = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.argsort(member, kind="stable")
    sizes = np.bincount(member)
    starts = np.cumsum(sizes) - sizes
    drawn = max(2, min(len(sizes), int(ROWS / sizes.mean())))
    random = np.random.default_rng(seed)
    gains = []
    for _ in range(resamples):
        chosen = random.integers(0, len(sizes), drawn)
        many = sizes[chosen]
        within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        rows = order[np.repeat(starts[chosen], many) + within]
        one, two = score(metric, y[rows], model[rows], positive), score(metric, y[rows], other[rows], positive)
        if one is not None and two is not None:
            gains.append(better(one, two, greater))
    margin = Z * float(np.std(gains)) * float(np.sqrt(drawn / len(sizes))) if gains else 0.0
    return {"model": ours, "other": theirs, "gain": better(ours, theirs, greater), "margin": margin}


def chance(metric: str, greater: bool, y: NDArray[Any], model: Doubles, positive: int, seed: int) -> float:
    """Return the share of random orders of the answers that score as well, for few rows, where a bootstrap fails.

    The bootstrap of three correctly predicted rows has no spread, although a third of all orders scores as well.
    """
    ours = score(metric, y, model, positive)
    if ours is None or len(y) > FEW:
        return 0.0
    random = np.random.default_rng(seed)
    shuffled = [score(metric, y, model[random.permutation(len(y))], positive) for _ in range(RESAMPLES)]
    return float(np.mean([value is not None and better(value, ours, greater) >= 0 for value in shuffled]))


def judge(comparison: Comparison, approval: str) -> tuple[str, str]:
    """Return the decision, ``promoted``, ``challenger`` or ``refused``, and its reason as a sentence.

    - A model must beat the baseline by more than chance explains.
    - A model must not be worse than the deployed one by more than chance explains, and never by more than 0.01 (1 % for
      an error metric), even if few rows make a larger difference plausible. Below 0.00001 it is rounding. An equally
      good model is promoted: it was trained on newer rows, and the next run is compared with it.
    - If the split has changed, the deployed model was trained on some of today's held-out rows. Its better score on
      them then decides nothing.
    """
    metric, baseline = say(comparison["metric"]), comparison["baseline"]
    if baseline["gain"] is None:
        return "refused", f"{metric} is undefined on the held-out rows: they belong to one class only."
    if baseline["gain"] <= SURE * baseline["margin"]:
        return "refused", (
            f"Not better than the trivial baseline: {metric} {_say(baseline['model'])} against "
            f"{_say(baseline['other'])}; chance alone explains differences up to {_say(SURE * baseline['margin'])}."
        )
    if baseline.get("chance", 0.0) > BY_CHANCE:
        return "refused", (
            "Too few held-out rows to prove anything: the same predictions in random order score as well "
            f"in {baseline['chance']:.0%} of trials."
        )
    deployed = comparison["deployed"]
    reason = f"Better than the trivial baseline ({metric} {_say(baseline['model'])} against {_say(baseline['other'])})"
    if deployed is None:
        reason += "; no model was deployed before."
    elif not deployed["comparable"] or (gain := deployed.get("gain")) is None:
        reason += f"; not comparable with the deployed version {deployed['version']}: {deployed['why']}."
    else:
        version, other = deployed["version"], deployed.get("other") or 0.0
        scale = 1.0 if comparison["greater_is_better"] else abs(other)
        allowed = max(min(deployed.get("margin", 0.0), WORSE * scale), SAME * scale)
        split = deployed.get("split", "")
        if gain < -allowed and split:
            return decided(
                f"{reason}; not comparable with the deployed version {version} ({_say(other)} on these rows): {split}, "
                "so it was trained on some of today's held-out rows.",
                approval,
            )
        if gain < -allowed:
            return "refused", (
                f"Worse than the deployed version {version} on the same held-out rows: {metric} "
                f"{_say(deployed.get('model'))} against {_say(other)} (the largest accepted loss is {_say(allowed)})."
            )
        same = abs(gain) <= SAME * scale
        how = "as good as" if same else "better than" if gain > 0 else "not significantly worse than"
        reason += f" and {how} the deployed version {version} ({_say(other)})."
        if split:
            reason += f" ({split[0].upper()}{split[1:]}: that version may have been trained on some of these rows.)"
        if judged := deployed.get("metric"):
            reason += f" Version {version} was chosen by {say(judged)}; both are scored anew by {metric}."
    return decided(reason, approval)


def decided(reason: str, approval: str) -> tuple[str, str]:
    """Return the decision about a model that passes: ``promoted``, or ``challenger`` if a person must approve it."""
    if approval == "required":
        return "challenger", f"{reason} APPROVAL=required: a person must approve it."
    return "promoted", reason


def _say(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
