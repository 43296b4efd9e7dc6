"""The prediction log, as the endpoint writes it: a record of every answer, before it goes out."""

import re
import sys
import time
from typing import Literal

import msgspec

from pantheon.predictions.records import Answered, Feedback
from pantheon.predictions.spool import NotLogged, Spool
from serving.endpoint.dispatch import encode
from serving.inference.feedback import Said
from serving.inference.forms import Asked
from serving.inference.metrics import Metrics
from serving.model.predictor import Answer
from serving.problems import Problem

Mode = Literal["required", "best-effort", "off"]
MODES: tuple[Mode, ...] = ("required", "best-effort", "off")
FULL = "The prediction cannot be logged, and none is answered without a record. Try again later."
RETRY = (("retry-after", "5"),)
REPORT_SECONDS = 60.0
LOGGED_PROBABILITIES = 1_000  # of one request: a record has probabilities if they are not more
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Origin(msgspec.Struct, frozen=True):
    """What the record of a request says of it, whoever answers.

    Attributes:
        id: of the request.
        key: the API key's name.
        trace: the header ``traceparent`` (W3C Trace Context); empty: none.
    """

    id: str
    key: str
    trace: str = ""


class Journal:
    """Writes records to the spool.

    Args:
        spool: None if nothing is to be logged.
        mode: ``required``: an answer that cannot be logged is an error; ``best-effort``: it goes out, marked.
    """

    def __init__(self, spool: Spool | None, mode: Mode, metrics: Metrics) -> None:
        self.spool, self.mode, self.metrics = spool, mode, metrics
        self._reported = "", 0.0  # the last problem in the service's log, and when

    def _report(self, why: str) -> None:
        """Print why records are not written, at most once in ``REPORT_SECONDS``."""
        said, at = self._reported
        if said != why or time.monotonic() - at > REPORT_SECONDS:
            self._reported = why, time.monotonic()
            print(f"endpoint: answers are not logged: {why}", file=sys.stderr, flush=True)

    @property
    def size(self) -> int:
        """The bytes of the spool; see ``Spool.size``."""
        return self.spool.size if self.spool else 0

    @property
    def most(self) -> int:
        """The largest size of the spool, bytes."""
        return self.spool.most_bytes if self.spool else 0

    def write(self, record: Answered, rows: bytes, answer: bytes) -> bool:
        """Write a record; return whether it was written.

        Raises:
            Problem: 503, it could not be, and the log is required.
        """
        if self.spool is None:
            return False
        try:
            self.spool.answered(record, rows, answer)
        except NotLogged as error:
            self.metrics.count("unlogged")
            self._report(str(error))
            if self.mode == "required" and record.status == 200 and not record.shadow:
                raise Problem(503, FULL, headers=RETRY) from error
            return False
        return True

    def feedback(self, said: Said, by: str) -> None:
        """Write what a user said; raises Problem 503 if it cannot be written."""
        if self.spool is None:
            raise Problem(503, "This endpoint keeps no log, and therefore no feedback.")
        record = Feedback(said.id, said.row, said.moment, said.correct, said.value, said.comment, by, "endpoint")
        try:
            self.spool.feedback(record)
        except NotLogged as error:
            raise Problem(
                503, "The log is full; send the feedback again later.", headers=(("retry-after", "5"),)
            ) from error

    def close(self) -> None:
        if self.spool:
            self.spool.close()


def rows_of(asked: Asked | None) -> bytes:
    """Return the rows for the log, as they were sent if they were JSON; none if they could not be read."""
    if asked is None:
        return b"[]"
    return asked.raw or encode(asked.rows)


def answer_of(answer: Answer | None) -> bytes:
    """Return an answer for the log; nothing for a request that was refused."""
    if answer is None:
        return b""
    value = {"prediction": answer.prediction}
    return encode(value | {"probabilities": answer.probabilities} if answer.probabilities else value)


def trace_of(header: str) -> str:
    """Return a ``traceparent`` header if it is valid, or else nothing."""
    return header if len(header) == 55 and _TRACE.fullmatch(header) else ""
