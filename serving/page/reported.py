"""A report of the monitor, as values for the page's template."""

from typing import Any

from serving.formatting import ago, moment, number, title

NO_BREAK = "\N{NO-BREAK SPACE}"
COLUMNS, GROUPS, REASONS = 30, 40, 5


def report(value: Any) -> dict[str, Any] | None:
    """Return a report for the page; None if there is none.

    Raises:
        ValueError: it is not one, or a newer monitor wrote it.
    """
    if value is None:
        return None
    from pantheon.monitoring.report import Report

    found = Report.from_json(value)
    return {
        "model": found.model,
        "version": found.version,
        "since": moment(found.since),
        "until": moment(found.until),
        "ago": ago(found.until),
        "alerts": [
            {
                "level": each.level,
                "check": title(each.check),
                "subject": each.subject,
                "text": each.text,
                "look": each.look,
            }
            for each in found.alerts
        ],
        "requests": f"{found.requests:,}",
        "rows": f"{found.rows:,}",
        "usual": f"{found.usual_rows:,.0f}" if found.usual_rows is not None else "",
        "versions": [(version, f"{rows:,}") for version, rows in found.versions.items()],
        "reference": {"training": "the data of its training", "log": "the first rows that it answered"}.get(
            found.reference, "nothing"
        ),
        "p50": _ms(found.latency.p50),
        "p99": _ms(found.latency.p99),
        "errors": percent(found.errors.share.value) if found.errors.share.value is not None else "",
        "errors_interval": interval(found.errors.share),
        "errors_usual": percent(found.errors.usual) if found.errors.usual is not None else "",
        "statuses": [(status, f"{count:,}") for status, count in found.errors.statuses.items() if status != "200"],
        "reasons": [(each.text, f"{each.requests:,}") for each in found.errors.reasons[:REASONS]],
        "columns": [
            {
                "name": each.name,
                "kind": each.kind,
                **psi(each.psi, each.limit, each.windows),
                "missing": share(each.missing),
                "missing_reference": percent(each.missing_reference) if each.missing_reference else "",
                "new": ", ".join(f"{name} ({rows:,})" for name, rows in list(each.new.items())[:8]),
                "gone": ", ".join(each.gone[:8]),
            }
            for each in found.columns[:COLUMNS]
        ],
        "predictions": _mix(found.predictions),
        "judged": f"{found.judged:,}",
        "performance": [
            {
                "name": title(each.name),
                "value": number(each.value, 3) if each.value is not None else "too little feedback",
                "interval": f"{number(each.low, 3)} to {number(each.high, 3)}" if each.low is not None else "",
                "rows": f"{each.rows:,}",
                "reference": number(each.reference, 3) if each.reference is not None else "",
                "windows": each.windows,
            }
            for each in found.performance
        ],
        "fairness": _fairness(found.fairness),
        "notes": found.notes,
    }


def psi(value: float | None, limit: float | None, windows: int) -> dict[str, Any]:
    """Return a population stability index: its text, and a bar on which the limit is at the middle."""
    if value is None:
        return {"psi": "", "limit": "", "width": 0, "over": False, "windows": windows}
    return {
        "psi": f"{value:.3f}",
        "limit": number(limit, 2) if limit is not None else "",
        "width": round(min(100.0, 50 * value / limit), 1) if limit else 0,
        "over": bool(limit is not None and value > limit),
        "windows": windows,
    }


def share(given: Any) -> str:
    """Return a share with its interval."""
    if given.value is None:
        return ""
    around = f"({interval(given)})" if given.low is not None else ""
    parts = (part.replace(" ", NO_BREAK) for part in (percent(given.value), around) if part)
    return " ".join(parts)


def interval(given: Any) -> str:
    """Return a share's interval; empty if it has none."""
    return f"{percent(given.low)} to {percent(given.high)}" if given.low is not None else ""


def percent(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def _mix(mix: Any) -> dict[str, Any] | None:
    if mix is None:
        return None
    shares = [
        {
            "name": name,
            "share": share(each),
            "width": round(100 * (each.value or 0), 1),
            "reference": percent(mix.reference[name]) if name in mix.reference else "",
        }
        for name, each in mix.shares.items()
    ]
    return {"shares": shares, **psi(mix.psi, mix.limit, mix.windows)}


def _fairness(fairness: Any) -> dict[str, Any] | None:
    if fairness is None:
        return None
    everything = {
        (each.column, each.value, each.measure): each.share.rows for each in fairness.groups if each.part == "all"
    }
    told = [
        each
        for each in fairness.groups
        if each.part == "all" or each.share.rows != everything.get((each.column, each.value, each.measure))
    ]  # a window of weekdays only says nothing else about weekdays
    ordered = sorted(told, key=lambda each: (-each.windows, each.p if each.p is not None else 2.0))
    groups = [
        {
            "group": f"{each.column} = {each.value}",
            "part": each.part,
            "measure": each.measure,
            "share": share(each.share),
            "rows": f"{each.share.rows:,}",
            "expected": percent(each.expected) if each.expected is not None else "",
            "p": number(each.p, 2) if each.p is not None else "",
            "windows": each.windows,
        }
        for each in ordered[:GROUPS]
    ]
    ratios = [(column, number(ratio, 2)) for column, ratio in fairness.ratios.items()]
    return {"outcome": fairness.outcome, "groups": groups, "ratios": ratios, "left": len(ordered) - len(groups)}


def _ms(value: float | None) -> str:
    return f"{value:.2f} ms" if value is not None else ""
