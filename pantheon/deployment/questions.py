"""``ask``: get the answers to the questions about an architecture from the running button."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pantheon.deployment import predict
from pantheon.errors import PantheonError

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
AGO = re.compile(rf"([0-9]{{1,6}})\s*({'|'.join(UNITS)})s?(?:\s+ago)?")


def ask(
    address: str, moment: datetime | None, headers: Mapping[str, str], request: str = "", entity: str = ""
) -> dict[str, Any]:
    """Return ``{"questions": [{"question", "state", "answer", "source"}]}``.

    Args:
        moment: the time T of the questions that have one; None lets the button choose.
        headers: those of ``logins.headers``.
        request: the id of "this request"; empty: the newest.
        entity: "this entity", such as ``robot-id=7``; empty: the one with the newest features.

    Raises:
        PantheonError: no service answers at ``address``.
    """
    given = {"at": moment.astimezone(UTC).isoformat() if moment else "", "request": request, "entity": entity}
    query = urlencode({name: value for name, value in given.items() if value}, errors="replace")
    answers: dict[str, Any] = predict.ask(address, f"/questions{'?' if query else ''}{query}", headers=headers)[0]
    return answers


def time(text: str, now: datetime | None = None) -> datetime:
    """Parse ``AT=``: ISO 8601 (local time without an offset), or a duration such as ``10 minutes ago``.

    Raises:
        PantheonError: it is not a valid time.
    """
    try:
        if ago := AGO.fullmatch(text.strip().lower()):
            return (now or datetime.now().astimezone()) - timedelta(seconds=int(ago[1]) * UNITS[ago[2]])
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise PantheonError(
            f"AT={text} is not a valid time.",
            "Use AT=2026-11-22T10:00 (local time), or with an offset, or AT='10 minutes ago'.",
        ) from None
