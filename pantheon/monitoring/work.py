"""What the monitor does when it is asked: report, tell alerts, prepare a retraining. Values are JSON.

Commands ask it (``python -m pantheon.monitoring ask``) and, over HTTP, Airflow (``pantheon.monitoring.service``).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pantheon import durations
from pantheon.errors import PantheonError
from pantheon.files import lock
from pantheon.monitoring import alerts, html, retrain
from pantheon.monitoring.alerts import Notice, State
from pantheon.monitoring.deliver import LOCK, Channels, Failed, deliver, read_channels, send
from pantheon.monitoring.report import Report, keep, latest, reports
from pantheon.predictions.operations import moment
from pantheon.predictions.place import Place, open_place, spool_of
from pantheon.state import published
from pantheon.store import ModelStore, open_store

DAY = timedelta(days=1)
WINDOWS = {"@hourly": timedelta(hours=1), "@daily": DAY, "@weekly": 7 * DAY, "@monthly": 30 * DAY}


@dataclass(frozen=True)
class Here:
    """Where things are.

    Attributes:
        state: the deployment's state folder.
        folder: the monitor's own.
        secrets: the folder of secrets.
        spool: what of the log is not stored yet; None if there is no such folder.
    """

    state: Path
    folder: Path
    secrets: Path
    spool: Path | None

    @classmethod
    def from_environment(cls) -> "Here":
        """Read ``STATE_DIR``, ``SECRETS_DIR``, ``MONITOR_DIR`` and ``SPOOL_DIR``.

        Raises:
            PantheonError: ``STATE_DIR`` is not a deployment's folder.
        """
        state = Path(os.environ.get("STATE_DIR", ""))
        if not os.environ.get("STATE_DIR") or not state.is_dir():
            raise PantheonError("STATE_DIR does not name a deployment's state folder.", "Start with `up`.")
        spool = Path(os.environ.get("SPOOL_DIR") or spool_of(state))
        folder = Path(os.environ.get("MONITOR_DIR") or state / "volumes" / "monitor")
        folder.mkdir(parents=True, exist_ok=True)
        secrets = Path(os.environ.get("SECRETS_DIR") or state / "secrets")
        return cls(state, folder, secrets, spool if spool.is_dir() else None)

    @property
    def place(self) -> Place:
        return open_place(self.state)

    @property
    def store(self) -> ModelStore:
        return open_store(self.state)


def served(here: Here, model: str = "") -> list[str]:
    """Return the models to look at: the named one, or all that have a champion.

    Raises:
        PantheonError: there is none.
    """
    store = here.store
    if model:
        store.resolve(model)
        return [model]
    found = [name for name in store.names() if store.alias(name)]
    if not found:
        raise PantheonError("no model is deployed yet.", "Train one: `run`", 1)
    return found


def report(here: Here, model: str = "", since: str = "", until: str = "", window: str = "") -> dict[str, Any]:
    """Make the reports about a window of time, of one model or all.

    Without times, the window ends now, and is as long as the schedule's interval: the report is kept, and its alerts
    are told. A window that somebody chooses is only looked at.

    Returns:
        ``{"kept", "reports", "due", "settled", "alerts", "evidently"}``: by model, reports and why it should be trained
        again; retrainings that have ended since; see ``told``; by model, where Evidently's report is, or why not.

    Raises:
        PantheonError: a time is not one, or the log or the store cannot be read.
    """
    from pantheon.monitoring.monitor import monitor  # imports polars and scipy: only where it is used

    chosen, end = bool(since or until or window), moment(until) or datetime.now(UTC)
    begin = moment(since)
    length = timedelta(seconds=durations.seconds(window)) if window else window_of(published(here.state).monitor)
    if begin:
        length = end - begin
    if length <= timedelta(0):
        span = f"--since {since} is not before --until {until or 'now'}."
        raise PantheonError(span, "For example: --since 2h --until 1h")
    place, store, found, deployment = here.place, here.store, {}, published(here.state).name
    for name in served(here, model):
        before = None if chosen else previous(place, name, end, length)
        found[name] = monitor(
            store, place, here.spool, name, until=end, window=length, previous=before, deployment=deployment
        )
        if not chosen:
            keep(place, found[name])
    ended = [] if chosen else tell(here, list(found.values()))
    pages = {}
    if not chosen and published(here.state).monitor_report == "evidently":
        pages = {name: html.make(store, place, here.spool, made, here.secrets) for name, made in found.items()}
    return {
        "kept": not chosen,
        "reports": {name: made.to_json() for name, made in found.items()},
        "due": {name: why for name, made in found.items() if (why := retrain.reason(made))},
        "settled": [msgspec.to_builtins(each) for each in ended],
        "alerts": told(here),
        "evidently": pages,
    }


def last(here: Here, model: str = "") -> dict[str, Any]:
    """Return the newest reports that were kept, as ``report`` does.

    Raises:
        PantheonError: there is none.
    """
    place = here.place
    found = {name: made for name in served(here, model) if (made := latest(place, name))}
    if not found:
        raise PantheonError("the monitor has made no report yet.", "Make one: `bin/pantheon monitor`", 1)
    return {
        "kept": True,
        "reports": {name: made.to_json() for name, made in found.items()},
        "due": {name: why for name, made in found.items() if (why := retrain.reason(made))},
        "settled": [],
        "alerts": told(here),
    }


def window_of(schedule: str) -> timedelta:
    """Return how long a window is for a schedule: as long as its interval; a day for a cron expression, or for none."""
    return WINDOWS.get(schedule, DAY)


def previous(place: Place, model: str, end: datetime, length: timedelta) -> Report | None:
    """Return the report before a window: the newest one that ended by its middle.

    So the same hour, looked at twice, does not count as two windows in a row.
    """
    middle = end - length / 2
    found = reports(place, model, most=100)
    return next((each for each in found if datetime.fromisoformat(each.until) <= middle), None)


def tell(here: Here, made: list[Report]) -> list[retrain.Retraining]:
    """Tell what begins and ends with these reports, and how retrainings ended; return those."""
    channels = read_channels(here.secrets)
    with lock(here.folder / LOCK):
        state = alerts.read(here.folder)
        for each in made:
            alerts.update(state, each, channels.names)
        ended = retrain.settle(here.state, here.folder)
        for retraining in ended:
            _queue(state, channels, retrained(retraining))
        alerts.write(here.folder, state)
        deliver(here.folder, channels)
    return ended


def told(here: Here) -> dict[str, Any]:
    """Return ``{"channels", "file", "open", "waiting", "told"}``: where alerts go, and what became of them."""
    state, channels = alerts.read(here.folder), read_channels(here.secrets)
    return {
        "channels": channels.names,
        "open": [{**msgspec.to_builtins(each), "title": each.title} for each in state.open.values()],
        "waiting": [
            {"title": each.notice.title, "channel": each.channel, "tries": each.tries, "problem": each.problem}
            for each in state.waiting
        ],
        "told": [msgspec.to_builtins(each) for each in state.told],
    }


def test(here: Here) -> dict[str, Any]:
    """Send a test message through every channel; return ``{channel: why it failed, or empty}``."""
    channels, found = read_channels(here.secrets), {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = "This is a test of bin/pantheon alerts test. Nothing has happened."
    for name in channels.names:
        notice = Notice(os.urandom(16).hex(), "begins", "test", "", now, now, "ticket", "test", "", text, "nothing")
        try:
            send(name, notice, here.folder, channels)
            found[name] = ""
        except Failed as failed:
            found[name] = str(failed)
    return found


def begin(here: Here, model: str, why: str, cool_down: float = retrain.COOL_DOWN.total_seconds()) -> dict[str, Any]:
    """Decide whether to train a model again, and make the data; see ``retrain.begin``.

    Args:
        cool_down: seconds.
    """
    pause = timedelta(seconds=cool_down)
    found = retrain.begin(here.state, here.folder, here.store, here.place, here.spool, model, why, cool_down=pause)
    return dict(msgspec.to_builtins(found))


def begun(here: Here, run: str) -> dict[str, Any]:
    """Record that a retraining was started, and tell it."""
    retrain.mark_begun(here.folder, run)
    mine = next((each for each in retrain.history(here.folder) if each.run == run), None)
    if mine:
        channels = read_channels(here.secrets)
        with lock(here.folder / LOCK):
            state = alerts.read(here.folder)
            _queue(state, channels, retrained(mine))
            alerts.write(here.folder, state)
            deliver(here.folder, channels)
    return {"run": run}


def retrained(each: retrain.Retraining) -> Notice:
    """Return the message about a retraining that begins, or has ended."""
    look = f"bin/pantheon runs; the data is data/{each.dataset}.parquet"
    if not each.decision:
        text = f"{each.model} is trained again, with {each.rows:,} rows of feedback (run {each.run}): {each.reason}"
    elif each.decision == "refused":
        text = f"The retraining {each.run} of {each.model} was refused: {each.why}"
        look = "whether the feedback is right. It is not used again; if the world has changed, train on newer data"
    else:
        text = f"The retraining {each.run} of {each.model}: {each.decision}. {each.why}"
    id = f"{each.run}-{each.decision or 'begins'}"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = each.decision or "begins"
    return Notice(id, "begins", each.model, "", now, each.at, "ticket", "retraining", about, text, look)


def _queue(state: State, channels: Channels, notice: Notice) -> None:
    known = {each.notice.id for each in state.waiting}
    if notice.id not in known:
        state.waiting += [alerts.Delivery(notice, channel) for channel in channels.names]


QUESTIONS: dict[str, Callable[..., Any]] = {
    "report": report,
    "last": last,
    "served": served,
    "alerts": told,
    "test": test,
    "retrain": begin,
    "begun": begun,
}


def answer(here: Here, question: str, given: dict[str, Any]) -> Any:
    """Return the answer to a question, as a JSON value.

    Raises:
        PantheonError: there is no such question, or it failed.
    """
    if question not in QUESTIONS:
        raise PantheonError(f"there is no question {question!r}.", f"Questions: {', '.join(QUESTIONS)}.")
    return QUESTIONS[question](here, **given)
