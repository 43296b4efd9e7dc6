"""An answer to a question about an architecture."""

from dataclasses import dataclass, field
from typing import Any

ANSWERED, UNANSWERED, CANNOT = "answered", "unanswered", "cannot"


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        state: ``answered``; ``unanswered`` if the tier can answer it, but there is no data or it cannot be read now;
            ``cannot`` if no part of the deployment can answer it.
        answer: the text; for ``unanswered`` the reason.
        source: where it was looked up.
        facts: the same as machine-readable values.
    """

    state: str
    answer: str
    source: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
