"""Make the report about one window of time. Runs in the environment ``monitoring``."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pantheon.errors import PantheonError
from pantheon.monitoring import changes, contract, outcomes
from pantheon.monitoring.baseline import Baseline, load
from pantheon.monitoring.findings import ROOM, Findings
from pantheon.monitoring.inputs import Inputs
from pantheon.monitoring.report import Column, Latency, Report
from pantheon.monitoring.window import Judged, Model, Seen, judged, seen, versions
from pantheon.predictions.place import Place
from pantheon.predictions.read import Reader, Wanted
from pantheon.store import ModelStore

CHAMPION = "champion"


def monitor(
    store: ModelStore,
    place: Place,
    spool: Path | None,
    model: str,
    *,
    until: datetime | None = None,
    window: timedelta,
    previous: Report | None,
    deployment: str = "pantheon",
) -> Report:
    """Return the report about the time ``window`` before ``until``; it is not stored yet (``report.keep``).

    If the report before ends near that beginning, the window begins where that one ended, so that no row is left out.

    Args:
        spool: the folder of segments that are not stored yet; None: leave them out.
        until: with a time zone; None: now.
        previous: the report before (``report.latest``); None: this is the first one.
        deployment: its name, for the commands in alerts.

    Raises:
        PantheonError: there is no such model, or the store or the log cannot be read.
    """
    end = (until or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    begin = end - window
    if previous and abs(datetime.fromisoformat(previous.until) - begin) <= window * ROOM:
        begin = datetime.fromisoformat(previous.until).astimezone(UTC)
    if model not in store.names():
        raise PantheonError(f"there is no model {model!r}.", "`bin/pantheon models list` shows all.")
    with Reader(place, spool) as reader:
        wanted = Wanted(model, since=begin, until=end, shadow=False)
        by_version, pieces = versions(reader, wanted)
        version = _main(store, model, by_version, previous)
        baseline = _baseline(store, place, reader, model, version)
        found = seen(reader, wanted, baseline.model, pieces)
        said = judged(reader, wanted, baseline.model)
    findings = Findings.after(previous, begin, window, version)
    named = "" if deployment == "pantheon" else f" --name {deployment}"
    see = f"--model {model} --since {begin:%Y-%m-%dT%H:%M} --until {end:%Y-%m-%dT%H:%M}{named}"
    see = f"bin/pantheon predictions {see}"
    return _report(model, (begin, end), found, said, baseline, findings, see)


def _main(store: ModelStore, model: str, by_version: dict[str, int], previous: Report | None) -> str:
    """Return the version that answered most rows; if none did, that of the window before, or the champion."""
    if by_version:
        return max(sorted(by_version), key=lambda version: by_version[version])
    if previous and previous.version:
        return previous.version
    champion = store.alias(model, CHAMPION)
    return champion.version or "" if champion else ""


def _baseline(store: ModelStore, place: Place, reader: Reader, model: str, version: str) -> Baseline:
    nothing = Model(version, Inputs({"inputs": []}), (), "", np.nan, {})
    if not version:
        return Baseline(nothing, None, "", {}, 0, ("No version is deployed.",))
    try:
        return load(store, place, reader, model, version)
    except PantheonError as error:
        if error.status != 2:  # it exists, or the store does not answer
            raise
        return Baseline(nothing, None, "", {}, 0, (f"Version {version} cannot be looked at: {error.cause}",))


def _report(
    model: str,
    window: tuple[datetime, datetime],
    found: Seen,
    said: Judged,
    baseline: Baseline,
    findings: Findings,
    see: str,
) -> Report:
    errors = contract.errors(found, findings, see)
    columns = _columns(found, baseline, findings, see)
    mix = changes.mix(found, baseline, findings, see)
    measures = outcomes.performance(said, found.rows, baseline, findings, see)
    groups = outcomes.groups(found, said, baseline, findings, see)
    usual = findings.usual("windows")
    findings.learn("windows", (1, found.rows))
    memory = findings.end()
    notes = list(baseline.notes)
    if not found.rows:
        notes.append("Nothing was answered in this window.")
    if not measures:
        notes.append(
            "No feedback was given in this window, so that nothing is known about how good its predictions were."
        )
    return Report(
        model=model,
        version=baseline.model.version,
        since=window[0].isoformat(timespec="seconds"),
        until=window[1].isoformat(timespec="seconds"),
        requests=found.requests,
        rows=found.rows,
        versions=dict(sorted(found.versions.items())),
        reference=baseline.source,
        usual_rows=usual[1] / usual[0] if usual[0] else None,
        latency=_latency(found),
        errors=errors,
        columns=columns,
        predictions=mix,
        judged=round(said.right[0]) or said.errors[0],
        performance=measures,
        fairness=groups,
        alerts=findings.alerts,
        notes=notes,
        memory=memory,
    )


def _columns(found: Seen, baseline: Baseline, findings: Findings, see: str) -> list[Column]:
    columns = []
    for entry in baseline.model.inputs.entries:
        name = entry["name"]
        values = found.columns.get(name)
        if values is None:  # nothing was answered
            for check in ("missing", "categories", "drift"):
                findings.undecided.add((check, name))
                findings.strike(f"{check}\t{name}", None)
            if kept := findings.memory.bins.get(f"drift\t{name}"):
                findings.bins[f"drift\t{name}"] = kept
            continue
        one = contract.column(name, entry["type"], values, baseline, findings, see)
        columns.append(changes.drift(one, found, baseline, findings, see))
    return sorted(columns, key=lambda each: -(each.psi if each.psi is not None else -1.0))


def _latency(found: Seen) -> Latency:
    together = np.concatenate(found.milliseconds) if found.milliseconds else np.empty(0, np.float32)
    if not len(together):
        return Latency()
    p50, p99 = np.quantile(together, (0.5, 0.99))
    return Latency(round(float(p50), 3), round(float(p99), 3))
