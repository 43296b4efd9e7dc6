"""What is told about alerts: once when one begins, once when it ends, whatever is restarted in between.

The state is a file of the monitor. It has the alerts that are open, and the messages that are not delivered yet.
"""

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from pantheon import durations, files
from pantheon.errors import PantheonError
from pantheon.monitoring.report import Alert, Level, Report

STATE = "alerts.state.json"
RECENT = 50  # delivered messages that are kept for `alerts show`
_COLUMNS = ("drift", "missing", "categories")  # checks whose subject is a column


class Notice(msgspec.Struct, frozen=True):
    """A message about an alert.

    Attributes:
        id: unique; receivers can tell by it whether they have the message already.
        what: whether the alert begins or ends.
        at, began: ISO 8601, UTC: the end of the window that shows this, and of the one that showed the alert first.
    """

    id: str
    what: Literal["begins", "ends"]
    model: str
    version: str
    at: str
    began: str
    level: Level
    check: str
    subject: str
    text: str
    look: str

    @property
    def title(self) -> str:
        """One line, such as for the subject of an e-mail."""
        about = f"{self.check} ({self.subject})" if self.subject else self.check
        kind = {"page": "ALERT", "ticket": "Notice"}[self.level] if self.what == "begins" else "Ended"
        return f"{kind}: {self.model}, {about}"

    @property
    def words(self) -> str:
        """The whole message."""
        if self.what == "ends":
            lasted = datetime.fromisoformat(self.at) - datetime.fromisoformat(self.began)
            long = durations.words(lasted.total_seconds())
            return f"This has ended after {long}. When it began, the monitor said: {self.text}"
        return f"{self.text}\nLook at: {self.look}" if self.look else self.text


class Delivery(msgspec.Struct):
    """A message on its way.

    Attributes:
        channel: file, webhook or mail.
        tries: how often it failed.
        again: when to try again, ISO 8601.
        problem: why the last attempt failed.
    """

    notice: Notice
    channel: str
    tries: int = 0
    again: str = ""
    problem: str = ""


class Told(msgspec.Struct, frozen=True):
    """A message that was delivered, or given up."""

    at: str
    channel: str
    title: str
    problem: str = ""


class State(msgspec.Struct):
    """The alerts of all models, and the messages about them.

    Attributes:
        open: what was told when an alert began, by the alert.
        waiting: in the order in which they are to be delivered.
        told: the last ones, newest last.
    """

    open: dict[str, Notice] = {}
    waiting: list[Delivery] = []
    told: list[Told] = []
    version: int = 1


def read(folder: Path) -> State:
    """Read the state; empty if there is none yet.

    Raises:
        PantheonError: it is damaged.
    """
    path = folder / STATE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except msgspec.DecodeError as error:
        cure = f"Move it away: `mv {path} {path}.old`. Alerts that last are then told again."
        raise PantheonError(f"{path} is damaged: {error}.", cure, 1) from None


def write(folder: Path, state: State) -> None:
    """Write the state durably."""
    files.write_bytes(folder / STATE, msgspec.json.encode(state), mode=0o600, fsync=True)


def update(state: State, report: Report, channels: Iterable[str]) -> list[Notice]:
    """Take what a report says into the state; return what is new, to be told through ``channels``.

    An alert ends with a window that could have shown it and did not: not in a window with too few rows.
    """
    now = {_key(report.model, alert): alert for alert in report.alerts}
    new: list[Notice] = []
    for key, alert in now.items():
        before = state.open.get(key)
        if before is None or (before.level, alert.level) == ("ticket", "page"):
            began = before.began if before else report.until
            notice = _notice("begins", report, alert, began)
            state.open[key] = notice
            new.append(notice)
    for key, notice in list(state.open.items()):
        if notice.model == report.model and key not in now and report.until > notice.at and could_show(report, notice):
            del state.open[key]
            new.append(
                msgspec.structs.replace(
                    notice, id=_id(), what="ends", at=report.until, version=report.version or notice.version
                )
            )
    every = list(channels)
    state.waiting += [Delivery(notice, channel) for notice in new for channel in every]
    return new


def could_show(report: Report, notice: Notice) -> bool:
    """Whether the window had enough rows for the check that raised an alert."""
    if notice.check == "volume":
        return True
    if not report.requests:
        return False
    if notice.check in _COLUMNS:
        column = next((each for each in report.columns if each.name == notice.subject), None)
        return column is None or (column.psi is not None if notice.check == "drift" else column.missing.rows > 0)
    if notice.check == "predictions":
        return report.predictions is not None and report.predictions.psi is not None
    if notice.check == "performance":
        return any(measure.value is not None for measure in report.performance)
    if notice.check == "fairness":
        return report.fairness is not None and bool(report.fairness.groups)
    return True


def later(now: datetime, tries: int) -> str:
    """Return when to try again after so many failures: a minute, two, four … at most six hours."""
    return (now + timedelta(minutes=min(2 ** (tries - 1), 360))).isoformat()


def _key(model: str, alert: Alert) -> str:
    return "\n".join((model, alert.check, alert.subject))


def _notice(what: Literal["begins", "ends"], report: Report, alert: Alert, began: str) -> Notice:
    return Notice(
        _id(), what, report.model, report.version, report.until, began,
        alert.level, alert.check, alert.subject, alert.text, alert.look,
    )  # fmt: skip


def _id() -> str:
    return os.urandom(16).hex()
