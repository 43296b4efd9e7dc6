"""Routing on the page: who answers, what the log says about it, and the changes that its forms ask for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from pantheon.errors import PantheonError
from pantheon.store import ModelStore
from pantheon.store.records import is_version
from serving.formatting import ago, percent
from serving.page.routes import pairs
from serving.questions.reader import Reader
from serving.questions.requests import REASONS
from serving.remote.log import Log, LogError

SINCE = "24h"  # of the requests that are counted
VERSIONS = 10  # newest ones to choose from
ARMS = 4  # lines of the form for weights
NOTE_CHARACTERS = 2000


def described(store: ModelStore, reader: Reader, log: Log, model: str) -> dict[str, Any]:
    """Return the values of the page about ``model``; raises PantheonError, OSError if the store does not answer."""
    from pantheon.routing import operations

    shown = reader.ask(lambda: operations.show(store, model))
    aliases = {name: reader.alias(model, name) for name in ("champion", "challenger")}
    named = {name: alias.version for name, alias in aliases.items() if alias}
    versions = [each.version for each in reversed(reader.list(model)[-VERSIONS:])]
    other = _other(shown, named)
    counted, problem = _counted(log, model, _since(reader, model, other, aliases) if other else "")
    weights = [
        (each["arm"], f"{100 * each['share']:g}")
        for each in shown["traffic"]
        if each["reason"] in ("weights", "sticky")
    ]
    return {
        **shown,
        "changed": f"{ago(shown['since'])}{' by ' + shown['by'] if shown['by'] else ''}" if shown["since"] else "",
        "traffic": [_arm(each) for each in shown["traffic"]],
        "targets": [(name, f"{name} (version {version})") for name, version in named.items()]
        + [(version, f"version {version}") for version in versions],
        "weights": [*weights, *[("", "")] * ARMS][:ARMS],
        "counted": counted["arms"],
        "counts": [
            {"version": version, "right": f"{right:,}", "wrong": f"{wrong:,}"}
            for version, (right, wrong) in counted["counts"].items()
        ],
        "log_problem": problem,
        "sentence": _sentence(store, reader, model, counted["counts"], other) if not problem else "",
        "bandit_counts": [
            {"version": version, "right": f"{right:,}", "wrong": f"{wrong:,}"}
            for version, (right, wrong) in (shown["bandit"] or {}).get("counts", {}).items()
        ],
        "pinned": next((each["arm"] for each in shown["traffic"] if each["reason"] == "pin"), ""),
    }


def changed(store: ModelStore) -> tuple[str, tuple[str, str]]:
    """Carry out the submitted form; return the model, and the tone and words of a notice."""
    given = pairs()
    values = dict(given)
    model, action = values.get("model", ""), values.get("action", "")
    try:
        if action not in CHANGES:
            raise PantheonError(f"there is no change {action[:40]!r}.")
        _unchanged(store, model, values.get("seen", ""))
        note = values.get("note", "").strip()[:NOTE_CHARACTERS]
        CHANGES[action](store, model, values, given, {"by": "page", "note": note})
    except (PantheonError, OSError) as error:
        text = str(error)
        return model, ("bad", text[:1].upper() + text[1:])
    return model, ("good", "Changed. It takes effect within two seconds, and no request fails because of it.")


def _unchanged(store: ModelStore, model: str, seen: str) -> None:
    """Raise PantheonError if the policy is not the one that the page showed."""
    from pantheon.routing import operations

    if operations.show(store, model)["since"] != seen:
        raise PantheonError(f"the routing policy of {model} changed in the meantime.", "Look at it again first.")


Given = list[tuple[str, str]]
Who = dict[str, str]


def _weights(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    shares: dict[str, float] = {}
    for number in range(ARMS):
        target, share = values.get(f"target{number}", ""), values.get(f"percent{number}", "").strip()
        if target and share:
            if target in shares:
                raise PantheonError(f"{target} has two percentages.", "Name it once.")
            shares[target] = _number(share, 0, 100)
    operations.weights(store, model, shares, **who)


def _sticky(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    by = {"key": "key", "header": values.get("header", "").strip()}.get(values.get("by", ""), "")
    if values.get("by") == "header" and not by:
        raise PantheonError("the header has no name.", "Name one, such as x-customer.")
    operations.sticky(store, model, by, **who)


def _pin(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    operations.pin(store, model, values.get("to", ""), **who)


def _header(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    name, value = values.get("header", "").strip(), values.get("value", "").strip()
    operations.header(store, model, name, value, values.get("to", ""), **who)


def _shadow(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    operations.shadow(store, model, [value for name, value in given if name == "to"], **who)


def _bandit(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    floor = _number(values.get("floor", "2"), 2, 50) / 100
    operations.bandit(store, model, [value for name, value in given if name == "to"], floor, **who)


def _clear(store: ModelStore, model: str, values: dict[str, str], given: Given, who: Who) -> None:
    from pantheon.routing import operations

    operations.clear(store, model)


CHANGES: Final[dict[str, Callable[[ModelStore, str, dict[str, str], Given, Who], None]]] = {
    "weights": _weights,
    "sticky": _sticky,
    "pin": _pin,
    "header": _header,
    "shadow": _shadow,
    "bandit": _bandit,
    "clear": _clear,
}


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise PantheonError(f"“{text[:40]}” is not a percentage from {least:g} to {most:g}.")
    return number


def _arm(each: dict[str, Any]) -> dict[str, Any]:
    share = each["share"]
    return {
        "version": each["version"] or "none",
        "name": "" if each["arm"] == each["version"] else each["arm"],
        "percent": f"{100 * share:.4g} %",
        "width": round(100 * share, 2),
        "because": REASONS.get(each["reason"], each["reason"]),
    }


def _other(shown: dict[str, Any], named: dict[str, str]) -> str:
    """Return what is compared with the champion: the challenger, or another version that gets traffic."""
    champion = named.get("champion", "")
    if named.get("challenger", champion) != champion:
        return "challenger"
    return next((each["version"] for each in shown["traffic"] if each["version"] not in ("", champion)), "")


def _since(reader: Reader, model: str, other: str, aliases: dict[str, Any]) -> str:
    """Return from when on answers count: since both versions are what they are."""
    began = [aliases["champion"].since] if aliases["champion"] else []
    if is_version(other):
        began.append(reader.describe(model, other).created)
    elif aliases.get(other):
        began.append(aliases[other].since)
    return max(began, key=datetime.fromisoformat, default="")


def _counted(log: Log, model: str, judged_since: str) -> tuple[dict[str, Any], str]:
    """Return what the log counts, and why it does not; empty if it does."""
    try:
        found = log.routing(model=model, since=SINCE, judged_since=judged_since)
    except LogError as error:
        return {"arms": [], "counts": {}}, str(error)
    total = sum(each["requests"] for each in found["arms"] if each["reason"] != "shadow") or 1
    arms = [
        {
            "version": each["version"],
            "name": "" if each["arm"] in (each["version"], each["reason"]) else each["arm"],
            "because": REASONS.get(each["reason"], each["reason"]),
            "requests": f"{each['requests']:,}",
            "failed": f"{each['failed']:,}" if each["failed"] else "",
            "share": "a copy" if each["reason"] == "shadow" else percent(each["requests"] / total),
        }
        for each in found["arms"]
    ]
    counts = {version: (int(right), int(wrong)) for version, (right, wrong) in found["counts"].items()}
    return {"arms": arms, "counts": counts}, ""


def _sentence(store: ModelStore, reader: Reader, model: str, counts: dict[str, tuple[int, int]], other: str) -> str:
    """Return the recommendation; see ``pantheon.routing.sequential``."""
    if not other:
        return "There is nothing to compare: only the champion answers."
    from pantheon.routing import operations

    try:
        found = reader.ask(lambda: operations.recommend(store, model, counts, other))
    except PantheonError as error:
        return f"Not compared: {error.cause}"
    return str(found["sentence"])
