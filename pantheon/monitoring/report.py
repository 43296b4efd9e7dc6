"""The report about one window of time: its types, and where reports are kept.

Reports are JSON files beside the log, ``_monitoring/MODEL/UNTIL.json``. Every interval in a report has a confidence of
95 %; times are ISO 8601 in UTC; shares and rates are from 0 to 1.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from pantheon.errors import PantheonError
from pantheon.predictions.place import Place

FORMAT = 1
MONITORING: Final = "_monitoring"  # no name of a model
_KEY = re.compile(r"/(\d{4}-\d\d-\d\dT\d{6}Z)\.json")
_TIME = "%Y-%m-%dT%H%M%SZ"

Level = Literal["page", "ticket"]
"""``page``: somebody must look now, because the model is worse or callers and model do not fit any more; ``ticket``:
somebody should look on a working day."""


class Alert(msgspec.Struct, frozen=True):
    """Something to look at.

    Attributes:
        check: which one noticed it: ``errors``, ``missing``, ``categories``, ``performance``, ``drift``,
            ``predictions``, ``fairness``, ``volume``.
        subject: of what: a column, a group such as ``region=north``, a measure; empty: the model as a whole.
        text: what happened, with numbers.
        look: what to look at.
    """

    level: Level
    check: str
    subject: str
    text: str
    look: str


class Share(msgspec.Struct, frozen=True):
    """A share of ``rows`` with its interval; None if there are no rows."""

    value: float | None
    low: float | None
    high: float | None
    rows: int


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds of the answered requests; None if there are none."""

    p50: float | None = None
    p99: float | None = None


class Reason(msgspec.Struct, frozen=True):
    """Why requests were refused.

    Attributes:
        column: of the input; empty: of none.
        got: what was sent instead, if one value was sent most often.
    """

    text: str
    column: str
    got: str
    requests: int


class Errors(msgspec.Struct, frozen=True):
    """Requests that were not answered.

    Attributes:
        share: of all requests.
        usual: the share in the windows before; None: not known yet.
        statuses: HTTP status → requests, all of them.
        reasons: most frequent first.
    """

    share: Share
    usual: float | None
    statuses: dict[str, int]
    reasons: list[Reason]


class Column(msgspec.Struct, frozen=True):
    """An input, compared with the reference.

    Attributes:
        kind: number, integer, boolean, category or date.
        psi: the population stability index; None: there are fewer than 200 rows, or nothing to compare with.
        limit: above which ``psi`` is more than chance and more than little.
        windows: how many windows in a row ``psi`` has been above its limit.
        missing: the share of rows without a value.
        missing_reference: the same in the reference.
        new: values of a category that the model does not know → rows.
        gone: categories that are frequent in the reference and are not there any more.
    """

    name: str
    kind: str
    psi: float | None
    limit: float | None
    windows: int
    missing: Share
    missing_reference: float | None = None
    new: dict[str, int] = {}
    gone: list[str] = []


class Mix(msgspec.Struct, frozen=True):
    """What the model predicts, compared with its predictions for the held-out rows of its training.

    Attributes:
        shares: class, or range of numbers → share of the rows.
        reference: the same in the reference.
        psi, limit, windows: as for a column.
    """

    shares: dict[str, Share]
    reference: dict[str, float]
    psi: float | None = None
    limit: float | None = None
    windows: int = 0


class Measure(msgspec.Struct, frozen=True):
    """How good the predictions were, of those whose truth is known.

    Attributes:
        name: accuracy, precision, recall, f1; mae, rmse; for a number that was only called right or wrong, accuracy.
        value, low, high: None if there is too little feedback.
        rows: how many count.
        reference: the same on the held-out rows of the training, or in the windows before; None: not known.
        windows: how many windows in a row it has been worse than that by more than chance.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    reference: float | None
    windows: int = 0


class Group(msgspec.Struct, frozen=True):
    """A rate in one group, compared with what the group's past and all other groups make one expect.

    Attributes:
        column, value: which group.
        part: ``all``, ``weekdays``, ``weekends``, or a day such as ``2026-11-29``.
        measure: ``rate``: how often the outcome of ``Fairness.outcome`` is predicted; ``accuracy``: how often the
            prediction is right.
        share: the rate.
        expected: None: not known yet.
        p: the probability of such a difference by chance, corrected for the number of comparisons (Holm).
        windows: how many windows in a row the group has been different.
    """

    column: str
    value: str
    part: str
    measure: str
    share: Share
    expected: float | None = None
    p: float | None = None
    windows: int = 0


class Fairness(msgspec.Struct, frozen=True):
    """Rates by group.

    Attributes:
        outcome: in words, such as ``1 is predicted``.
        ratios: column → the smallest rate of a group divided by the largest (demographic parity ratio).
    """

    outcome: str
    groups: list[Group]
    ratios: dict[str, float]


class Memory(msgspec.Struct, frozen=True):
    """What the next window needs of the windows before; of no interest to readers.

    Attributes:
        strikes: what was found → windows in a row.
        counts: sums over earlier windows without a finding: name → (all, of these).
        bins: rows that are too few to look at, by column and bin; the next window adds its own.
        waiting: the same by name: (all, of these).
    """

    strikes: dict[str, int] = {}
    counts: dict[str, tuple[float, float]] = {}
    bins: dict[str, dict[str, float]] = {}
    waiting: dict[str, tuple[float, float]] = {}


class Report(msgspec.Struct, frozen=True):
    """What the log says about a model from ``since`` to ``until``.

    Attributes:
        version: the one that answered most rows; empty: there was no answer.
        requests, rows: those that came; those that were answered. Shadows do not count.
        versions: version → answered rows.
        reference: where the reference comes from: ``training``, ``log`` (the first rows of the version), or empty.
        usual_rows: per window, in the windows before; None: not known yet.
        columns: those with the largest ``psi`` first.
        performance: empty without feedback.
        alerts: pages first.
        notes: sentences about what could not be looked at, and why.
    """

    model: str
    version: str
    since: str
    until: str
    requests: int
    rows: int
    versions: dict[str, int]
    reference: str
    usual_rows: float | None
    latency: Latency
    errors: Errors
    columns: list[Column]
    predictions: Mix | None
    judged: int
    performance: list[Measure]
    fairness: Fairness | None
    alerts: list[Alert]
    notes: list[str]
    memory: Memory = Memory()
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    @classmethod
    def from_json(cls, value: Any) -> "Report":
        """Return a report; raises ValueError if ``value`` is not one."""
        return msgspec.convert(value, cls)


def key_of(report: Report) -> str:
    """Return the key that a report is stored under."""
    return f"{MONITORING}/{report.model}/{datetime.fromisoformat(report.until).astimezone(UTC):{_TIME}}.json"


def keep(place: Place, report: Report) -> str:
    """Store a report, also instead of one about the same window; return its key."""
    key = key_of(report)
    place.remove(key)
    place.put_new(key, msgspec.json.format(msgspec.json.encode(report), indent=1))
    return key


def keys(place: Place, model: str) -> list[str]:
    """Return the keys of all reports about a model, oldest first."""
    return sorted(each.key for each in place.list(f"{MONITORING}/{model}/") if _KEY.search(each.key))


def reports(place: Place, model: str, most: int = 1) -> Iterator[Report]:
    """Yield the last reports about a model, newest first.

    Raises:
        PantheonError: the place cannot be reached, or a report is damaged.
    """
    for key in keys(place, model)[::-1][:most]:
        content = place.read(key)
        if content is None:  # removed a moment ago
            continue
        try:
            yield msgspec.json.decode(content, type=Report)
        except msgspec.DecodeError as error:
            cure = "Remove it: the monitor makes new ones."
            raise PantheonError(f"the report {place.where}/{key} is damaged: {error}.", cure, 1) from None


def latest(place: Place, model: str) -> Report | None:
    """Return the newest report about a model; None if there is none. Raises as ``reports``."""
    return next(reports(place, model), None)
