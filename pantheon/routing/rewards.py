"""Count how many answers of each version users called right and wrong, from the prediction log and its feedback.

The result does not depend on the order of the records: feedback may be days late, come before the record of its answer,
twice, or name an answer that never was. So counts that were kept up to date and counts from the whole log are equal.
"""

from collections.abc import Collection
from typing import Any

Counts = dict[str, tuple[int, int]]
"""By version: the number of rows whose prediction was called right, and wrong."""


def is_right(correct: bool | None, value: Any, prediction: Any) -> bool | None:
    """Return whether a prediction was right; None if the feedback does not say so.

    Args:
        correct: what the feedback says about it.
        value: the true value that the feedback gives, if any; counts if ``correct`` is None.
        prediction: the answer.
    """
    if correct is not None:
        return correct
    return None if value is None else bool(value == prediction)


class Tally:
    """Answers and what was said about them.

    About a row, the last feedback counts, by its time. If two have the same time, "wrong" counts before "right" and
    "right" before a mere comment: any fixed rule will do. A last feedback that does not judge withdraws the judgement.
    """

    def __init__(self) -> None:
        self._answers: dict[str, tuple[str, int, int]] = {}
        self._said: dict[tuple[str, int], tuple[int, int]] = {}

    def answered(self, id: str, version: str, rows: int, at: int) -> None:
        """Add an answer that was sent; not one of a shadow.

        Args:
            rows: the number of its rows.
            at: microseconds since 1970, UTC.
        """
        self._answers.setdefault(id, (version, rows, at))

    def said(self, id: str, row: int, at: int, right: bool | None) -> None:
        """Add feedback about a row of an answer; ``right`` as ``is_right`` returns it, ``at`` as in ``answered``."""
        judged = (at, -1 if right is None else int(not right))
        if judged > self._said.get((id, row), (-1, -1)):
            self._said[id, row] = judged

    def counts(self, versions: Collection[str] = (), since: int = 0) -> Counts:
        """Count the judged rows of answers from ``since`` on.

        Args:
            versions: these are in the result even without feedback.
            since: of the answer, not of its feedback: microseconds since 1970, UTC.
        """
        found = {version: [0, 0] for version in versions}
        for (id_, row), (_, wrong) in self._said.items():
            version, rows, at = self._answers.get(id_, ("", 0, 0))
            if 0 <= row < rows and at >= since and wrong >= 0:
                found.setdefault(version, [0, 0])[wrong] += 1
        return {version: (right, wrong) for version, (right, wrong) in found.items()}
