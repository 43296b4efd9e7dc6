"""Whether callers and model still fit: refused requests, missing inputs, categories that the model does not know.

These are pages: every hour of them is an hour of wrong or missing answers. What is found is too large to be chance
(99.9 %), also in one window.
"""

from collections import Counter

from pantheon.monitoring.baseline import Baseline
from pantheon.monitoring.findings import Findings
from pantheon.monitoring.report import Column, Errors, Reason, Share
from pantheon.monitoring.statistics import share
from pantheon.monitoring.window import Seen, Values

CERTAIN = 0.999
REFUSED = 0.01  # share of the requests below which errors do not alert, or twice the usual share
LEAST = 5  # requests or rows that something must concern
LOST = 0.3  # more of the rows without a value than in the reference: the column is missing
EXPECTED = 20.0  # rows that a category should have had, when it is gone: exp(-20) is its chance
MANY_NEW, FEW_NEW = 0.05, 0.01  # share of rows with new categories, for an alert after one window, and after two
REASONS, SHOWN = 20, 10  # in a report


def errors(found: Seen, findings: Findings, see: str) -> Errors:
    """Check the requests that were refused.

    Args:
        see: a command that shows requests of the window.
    """
    refused = found.requests - found.statuses.get("200", 0)
    usual = findings.usual("errors")
    limit = max(REFUSED, 2 * usual[1] / usual[0] if usual[0] else 0.0)
    sure = share((found.requests, refused), CERTAIN)
    hit = refused >= LEAST and (sure.low or 0.0) > limit
    findings.strike("errors", hit)
    reasons = [Reason(text, column, got, some) for (text, column, got), some in _most(found.reasons, REASONS)]
    if hit:
        told = f"{refused:,} of {found.requests:,} requests ({refused / found.requests:.1%}) were not answered"
        told += f", usually {usual[1] / usual[0]:.1%}" if usual[0] else ""
        first = reasons[0]
        about = f'"{first.column}": {first.text}' if first.column else first.text
        told += f". Most often ({first.requests:,}): {about}" + (f", got {first.got}." if first.got else "")
        findings.alert(
            "page",
            "errors",
            first.column,
            told.rstrip(".") + ".",
            f"what callers send since then, and whether a caller or the model was changed: `{see}`",
        )
        findings.keep("errors")
    elif found.requests:
        findings.learn("errors", (found.requests, refused))
    else:
        findings.keep("errors")
    whole = share((found.requests, refused))
    statuses = dict(sorted(found.statuses.items()))
    return Errors(whole, usual[1] / usual[0] if usual[0] else None, statuses, reasons)


def column(name: str, kind: str, values: Values, baseline: Baseline, findings: Findings, see: str) -> Column:
    """Check the missing values and the categories of an input; ``psi`` is added later."""
    described = baseline.reference.columns.get(name) if baseline.reference else None
    missing = share((values.rows, values.missing))
    if described:
        _missing(name, values, described.missing, findings, see)
    gone = []
    if described and described.kind == "category":
        present = values.rows - values.missing
        gone = [
            each
            for each, usual in described.categories.items()
            if usual * present >= EXPECTED and not values.values.get(each)
        ]
    _categories(name, values, gone, described.categories if described else {}, findings, see)
    return Column(
        name,
        kind,
        None,
        None,
        0,
        missing,
        described.missing if described else None,
        dict(_most(values.new, SHOWN)),
        gone[:SHOWN],
    )


def _missing(name: str, values: Values, usual: float, findings: Findings, see: str) -> None:
    sure: Share = share((values.rows, values.missing), CERTAIN)
    if not values.rows:
        findings.undecided.add(("missing", name))
        findings.strike(f"missing\t{name}", None)
        return
    lost = values.missing >= LEAST and (sure.low or 0.0) > usual + LOST
    more = values.missing >= LEAST and (sure.low or 0.0) > max(0.02, 2 * usual)
    windows = findings.strike(f"missing\t{name}", lost or more)
    if lost or windows >= 2:
        findings.alert(
            "page" if lost else "ticket",
            "missing",
            name,
            f'"{name}" has no value in {values.missing:,} of {values.rows:,} rows '
            f"({values.missing / values.rows:.1%}), in the training in {usual:.1%}.",
            f"whether a caller has left it out or renamed it, or its source is down: `{see}`",
        )


def _categories(
    name: str, values: Values, gone: list[str], usual: dict[str, float], findings: Findings, see: str
) -> None:
    new, present = sum(values.new.values()), values.rows - values.missing
    if not values.rows:
        findings.undecided.add(("categories", name))
        findings.strike(f"categories\t{name}", None)
        return
    part = new / present if present else 0.0
    windows = findings.strike(f"categories\t{name}", new >= LEAST and part >= FEW_NEW)
    texts = ", ".join(f'"{text[:60]}" ({rows:,})' for text, rows in _most(values.new, 3))
    if gone and new >= LEAST:
        renamed = next((each for each in gone if new >= usual.get(each, 0.0) * present / 2), gone[0])
        findings.alert(
            "page",
            "categories",
            name,
            f'"{name}" has values that the model does not know in {new:,} of {present:,} rows ({part:.1%}): {texts}. '
            f'"{renamed}", {usual.get(renamed, 0.0):.1%} of the training, does not occur any more: it was probably '
            "renamed. The model takes the new value as missing.",
            f"who has renamed it; until it is undone, or the model is trained with it, these rows are guessed: `{see}`",
        )
    elif new >= LEAST and (part >= MANY_NEW or windows >= 2):
        findings.alert(
            "ticket",
            "categories",
            name,
            f'"{name}" has values that the model does not know in {new:,} of {present:,} rows ({part:.1%}): {texts}. '
            "It takes them as missing.",
            f"whether they are new, and the model should be trained with them, or spelt wrongly: `{see}`",
        )
    elif gone:
        shown = ", ".join(f'"{each}" ({usual.get(each, 0.0):.1%} of the training)' for each in gone[:3])
        findings.alert(
            "ticket",
            "categories",
            name,
            f'"{name}" has none of {present:,} rows with {shown}.',
            f"whether it does not exist any more, or a caller sends something else instead: `{see}`",
        )


def _most(counts: Counter, most: int) -> list:  # type: ignore[type-arg]
    """Return the most frequent, in an order that does not depend on chance."""
    return sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))[:most]
