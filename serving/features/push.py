"""``POST /push``: bring fresh values of a view's entities. They are forwarded to the feature store's service, which is
the only writer; when it answers, they are durable and online."""

from pathlib import Path
from typing import Any

import msgspec

from pantheon.web.client import Answer, Client, NoAnswer
from serving.problems import Problem

LIMIT = 4 * 1024 * 1024  # bytes of a request
SECONDS = 10.0
EXPECTED = '{"view": "…", "rows": [{"ENTITY": …, "FEATURE": …, "event_timestamp": "2026-03-01T12:30:00Z"}, …]}'
_PASSED_ON = (400, 404, 409, 413, 422)
_RETRY = (("retry-after", "2"),)


class Pushed(msgspec.Struct, forbid_unknown_fields=True):
    """What is pushed.

    Attributes:
        view: a feature view.
        rows: by column or feature: the entity, values, and when they were so; without ``event_timestamp``: now.
    """

    view: str
    rows: list[dict[str, Any]]


_decode = msgspec.json.Decoder(Pushed).decode


def read(data: bytes) -> Pushed:
    """Return what a body pushes.

    Raises:
        Problem: 400, it is not JSON; 422, it is not in this form, or has no rows.
    """
    try:
        pushed = _decode(data)
    except msgspec.ValidationError as error:
        raise Problem(422, f"This is not a push: {error}.", expected=EXPECTED) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not JSON: {error}.", expected=EXPECTED) from None
    if not pushed.rows:
        raise Problem(422, '"rows" has no rows.', field="rows", expected="1 row or more", got="0 rows")
    return pushed


class Push:
    """Forwards to the feature store's service. Thread-safe.

    Args:
        address: of the service.
        key_file: with its key, read for every request.
    """

    def __init__(self, address: str, key_file: Path) -> None:
        self._key_file = key_file
        self._client = Client(address, "the feature store's service", timeout=SECONDS)

    def send(self, pushed: Pushed) -> dict[str, Any]:
        """Forward a push and return its answer, such as ``{"written": 1, "older": 0}``.

        Raises:
            Problem: what the service refuses; 503, it does not answer.
        """
        try:
            key = self._key_file.read_text(encoding="ascii").strip()
            body = {"view": pushed.view, "rows": pushed.rows}
            answer = self._client.send("POST", "/push", body, {"Authorization": f"Bearer {key}"})
        except NoAnswer as error:
            raise Problem(503, f"Nothing is known to be written: {error.cause}", headers=_RETRY) from None
        except (OSError, UnicodeError):
            raise Problem(503, "The key of the feature store's service cannot be read.", headers=_RETRY) from None
        return _told(answer)


def _told(answer: Answer) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        value = None
    if answer.status == 200 and isinstance(value, dict):
        return value
    error = value.get("error") if isinstance(value, dict) else None
    parts = [error.get("message"), error.get("cure")] if isinstance(error, dict) else []
    said = " ".join(str(part) for part in parts if part)
    if answer.status in _PASSED_ON:
        raise Problem(answer.status, said or f"The feature store refuses this with status {answer.status}.")
    if answer.status == 503 and said:  # such as: they are stored, but not online yet
        raise Problem(503, said, headers=_RETRY)
    why = said or f"status {answer.status}"
    raise Problem(503, f"The feature store's service cannot take this now: {why}", headers=_RETRY)
