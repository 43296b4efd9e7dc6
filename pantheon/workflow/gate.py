"""The gate: is a model good enough to serve? Differences are judged against what chance alone would make of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.metrics import Doubles, better, say, score

RESAMPLES, ROWS = 200, 5000
Z = 1.645  # of a 90 % interval: 5 % on the side that matters
SURE = 2.326 / Z  # margins by which the baseline must be beaten: 1 model in 100 that knows nothing gets through
FEW, BY_CHANCE = 100, 0.01  # up to so many rows, a model must do better than 99 of 100 random orders of its answers
WORSE = 0.01  # a loss that is never let through, however few the rows: absolute, or a share of an error


@dataclass(frozen=True)
class Difference:
    """By how much a model is better than another on the same rows (negative: worse), and how much may be chance."""

    model: float | None
    other: float | None
    gain: float | None
    margin: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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
    """Compare two models' answers to the same rows; the margin is half a paired bootstrap's 90 % interval.

    Rows of one entity are drawn together (``groups``): five rows of one robot are not five witnesses. From many rows,
    some are drawn and the interval is scaled.
    """
    ours, theirs = score(metric, y, model, positive), score(metric, y, other, positive)
    if ours is None or theirs is None:
        return Difference(ours, theirs, None, 0.0)
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
    return Difference(ours, theirs, better(ours, theirs, greater), margin)


def chance(metric: str, greater: bool, y: NDArray[Any], model: Doubles, positive: int, seed: int) -> float:
    """The share of random orders of the answers that do as well: what few rows prove, where a bootstrap cannot tell.

    Three rows all answered rightly have a bootstrap without any spread, but a third of all orders does the same.
    """
    ours = score(metric, y, model, positive)
    if ours is None or len(y) > FEW:
        return 0.0
    random = np.random.default_rng(seed)
    shuffled = [score(metric, y, model[random.permutation(len(y))], positive) for _ in range(RESAMPLES)]
    return float(np.mean([value is not None and better(value, ours, greater) >= 0 for value in shuffled]))


def judge(comparison: Mapping[str, Any], approval: str) -> tuple[str, str]:
    """The decision, ``promoted``, ``challenger`` or ``refused``, with its reason in a sentence.

    - A model must beat the baseline by more than chance makes of it.
    - A model must not be worse than the deployed one: by more than chance makes of it, nor by 0.01 (of an error: 1 %)
      even where few rows leave that much to chance. One that is as good is promoted: it was trained on newer rows, and
      the next run is compared with it.
    """
    metric, baseline = say(comparison["metric"]), comparison["baseline"]
    if baseline["gain"] is None:
        return "refused", f"{metric} has no meaning on the held-out rows: they are of one class only."
    if baseline["gain"] <= SURE * baseline["margin"]:
        return "refused", (
            f"Not better than the trivial baseline: {metric} {_say(baseline['model'])} against "
            f"{_say(baseline['other'])}, and chance alone makes differences up to {_say(SURE * baseline['margin'])}."
        )
    if baseline.get("chance", 0.0) > BY_CHANCE:
        return "refused", (
            "Too few held-out rows to prove anything: answers in random order do as well "
            f"in {baseline['chance']:.0%} of tries."
        )
    deployed = comparison["deployed"]
    reason = f"Better than the trivial baseline ({metric} {_say(baseline['model'])} against {_say(baseline['other'])})"
    if deployed is None:
        reason += "; no model was deployed yet."
    elif not deployed["comparable"]:
        reason += f"; not compared with version {deployed['version']}, which is deployed: {deployed['why']}."
    else:
        gain, version = deployed["gain"], deployed["version"]
        scale = 1.0 if comparison["greater_is_better"] else abs(deployed["other"])
        allowed = min(deployed["margin"], WORSE * scale) + 1e-9
        if gain < -allowed:
            return "refused", (
                f"Worse than version {version}, which is deployed, on the same held-out rows: {metric} "
                f"{_say(deployed['model'])} against {_say(deployed['other'])} ({_say(allowed)} would be let through)."
            )
        same = abs(gain) <= 1e-9
        how = "as good as" if same else "better than" if gain > 0 else "within chance of"
        reason += f" and {how} version {version}, which was deployed ({_say(deployed['other'])})."
    if approval == "required":
        return "challenger", f"{reason} APPROVAL=required: a person decides."
    return "promoted", reason


def _say(value: float) -> str:
    return f"{value:.4g}"
