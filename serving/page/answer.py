"""The text of a prediction on the page, with the class's label."""

from dataclasses import dataclass, replace
from typing import Any

from serving.formatting import metric, number, percent
from serving.model.predictor import Answer, Predictor


@dataclass(frozen=True)
class Spoken:
    """The text of the prediction.

    Attributes:
        headline: the class's label, or the number with its unit.
        figure: the probability, in percent; empty for a number.
        sentence: what that means.
        tone: a hue by the class's place, so that one class always has one colour; says nothing of good or bad.
        shares: (label, percent, 0..100) of every class, most probable first.
        version: who answered.
        request: the id under which the log has it; empty: there is no log.
        logged: whether it is in the log.
    """

    headline: str
    figure: str
    sentence: str
    tone: int
    shares: list[tuple[str, str, float]]
    version: str
    request: str = ""
    logged: bool = True


def spoken(
    predictor: Predictor, answer: Answer, *, version: str = "", request: str = "", logged: bool = True
) -> Spoken:
    """Return one row's prediction as text for the page.

    Args:
        predictor: whose form was filled in.
        version: the version that answered, if it may be another.
        request, logged: see ``Spoken``.
    """
    text = _spoken(predictor, answer, version or predictor.version)
    return replace(text, version=version or predictor.version, request=request, logged=logged)


def _spoken(predictor: Predictor, answer: Answer, version: str) -> Spoken:
    signature = predictor.signature
    value = answer.prediction[0]
    if answer.probabilities is None:
        unit = signature.output.get("unit") or ""
        return Spoken(
            f"{number(value)} {unit}".strip(), "", _typical(predictor.metrics, unit), 1, [], predictor.version
        )
    if value not in signature.classes or len(answer.probabilities[0]) != len(signature.classes):
        why = f"Version {version} answered, which has other classes than version {predictor.version} of this form."
        return Spoken(str(value), "", why, 1, [], version)
    shares = dict(zip(signature.classes, answer.probabilities[0], strict=True))
    label = signature.label(value)
    share = shares[value]
    ordered = sorted(shares, key=lambda c: -shares[c])[:8]
    return Spoken(
        headline=label,
        figure=percent(share),
        sentence=f"{_how_sure(share, len(shares))} Of 100 similar cases, it expects {_of_100(share)} to be “{label}”.",
        tone=signature.classes.index(value) % 6,
        shares=[(signature.label(c), percent(shares[c]), round(shares[c] * 100, 1)) for c in ordered],
        version=predictor.version,
    )


def _of_100(share: float) -> str:
    return "nearly all" if share >= 0.995 else f"about {share * 100:.0f}"


def _how_sure(share: float, classes: int) -> str:
    if share >= 0.95:
        return "The model is very confident."
    if share >= 0.75:
        return "The model is fairly confident."
    return "The model is not very confident." if share >= 1.2 / classes else "The classes are almost equally likely."


def _typical(metrics: dict[str, Any], unit: str) -> str:
    held_out = metrics.get("held_out") or {}
    for name in ("mae", "rmse"):
        if name in held_out:
            off = f"{number(held_out[name], 3)} {unit}".strip()
            return f"On held-out rows its typical error is about {off} ({metric(name)})."
    return "An estimate."
