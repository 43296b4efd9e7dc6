"""Count how many answers of each version users called right and wrong, in the prediction log joined with its feedback.

The log's reader has each row of an answer once, with the last feedback about it, and no feedback about what was never
answered. So the counts do not depend on the order of the feedback, on its delay, or on how often it came. They are
computed from the log each time, so that nothing else has to be kept.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pantheon.routing.choose import BANDIT, STICKY, WEIGHTS

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("version", "reason", "shadow", "status", "prediction", "correct", "true_value")
"""What ``counts`` needs of the log."""

CHANCE: Final = (WEIGHTS, STICKY, BANDIT)

Counts = dict[str, tuple[int, int]]
"""By version: the number of rows whose prediction was called right, and wrong."""


def counts(log: "pl.DataFrame", reasons: Collection[str] = CHANCE) -> Counts:
    """Count the judged rows by version.

    Args:
        reasons: why the version was chosen. Only versions between which chance decided can be compared: a header rule
            or a pinned version may have got other customers or other times.
        log: with the columns of ``COLUMNS``, as ``pantheon.predictions.read`` returns them: one row per predicted row.
            ``correct`` is whether it was called right; where that is null, ``true_value`` (JSON text) is compared with
            ``prediction``. Answers of shadows do not count, since no user saw them.
    """
    import polars as pl

    judged = log.filter(
        ~pl.col("shadow"),
        pl.col("reason").is_in(list(reasons)),
        pl.col("status") == 200,
        pl.col("correct").is_not_null() | pl.col("true_value").is_not_null(),
    )
    right = [
        is_right(correct, value, prediction)
        for correct, value, prediction in judged.select("correct", "true_value", "prediction").iter_rows()
    ]
    found: dict[str, list[int]] = {}
    for version, good in zip(judged["version"], right, strict=True):
        found.setdefault(version, [0, 0])[not good] += 1
    return {version: (good, bad) for version, (good, bad) in sorted(found.items())}


def is_right(correct: bool | None, value: str | None, prediction: str | None) -> bool:
    """Return whether a prediction was right.

    Args:
        correct: what the feedback says about it.
        value: the true value, which counts if ``correct`` is None; JSON text, as ``prediction``.
    """
    return correct if correct is not None else _decoded(value) == _decoded(prediction)


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
