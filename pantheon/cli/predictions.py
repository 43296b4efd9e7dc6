"""``pantheon predictions`` and ``pantheon forget``: what was answered, and a person's right to be deleted from it."""

from typing import Annotated, Any

import typer

from pantheon.cli.features import column_and_value
from pantheon.cli.options import Confirm, Json, Name, TierOption, confirm_first, running

Request = Annotated[str, typer.Argument(metavar="[ID]", help="one request: the x-request-id of its answer")]
OfModel = Annotated[str, typer.Option("--model", help="only of this model")]
OfVersion = Annotated[str, typer.Option("--version", help="only of this version")]
OfKey = Annotated[str, typer.Option("--key", help="only of requests with this API key, by its name")]
Since = Annotated[str, typer.Option("--since", help="from then on: 2h, 7d, 2026-03-01 or 2026-03-01T12:30 (UTC)")]
Until = Annotated[str, typer.Option("--until", help="before then, as --since")]
OnlyShow = Annotated[bool, typer.Option("--no-replay", help="show one request without asking its version again")]
Most = Annotated[int, typer.Option("--most", min=1, max=10_000, help="how many rows at most, the newest")]
ORIGIN = "_features"  # in a logged row, where its inputs came from
SHOWN = 20  # rows of one request
What = Annotated[str, typer.Argument(metavar="COLUMN=VALUE", help="which rows, such as customer=4711")]


def predictions(
    id: Request = "",
    tier: TierOption = "",
    model: OfModel = "",
    version: OfVersion = "",
    key: OfKey = "",
    since: Since = "",
    until: Until = "",
    most: Most = 20,
    no_replay: OnlyShow = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """List what the endpoint answered, or show one request: who answered, why, from which data, what users said.

    One request is replayed: the version that answered it is asked again, and must give the same answer.
    """
    from pantheon import terminal
    from pantheon.deployment import inside

    deployment, _, engine = running(name, tier, "predictions")
    if id:
        found = inside.replayed(engine, id, not no_replay)
    else:
        wanted: dict[str, Any] = {
            "model": model,
            "version": version,
            "key": key,
            "since": since,
            "until": until,
            "most": most,
        }
        found = inside.ask(deployment, engine, "predictions.list", **wanted)
    if as_json:
        terminal.print_json(found)
    elif id:
        _print_one(found)
    else:
        _print_list(found)


def forget(
    what: What, tier: TierOption = "", confirm: Confirm = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Delete every prediction whose input has this value in this column, and what users said about it, for good.

    With a feature store, also the features of rows that have this value, offline and online.
    """
    from pantheon import terminal
    from pantheon.deployment import features

    column, value = column_and_value(what)
    deployment, _, engine = running(name, tier, "forget")
    if confirm != "yes":
        and_features = " and every row of features" if features.has_store(deployment) else ""
        cause = f"this deletes every prediction{and_features} with {what}, for good."
        confirm_first(cause, deployment.command("forget", what, confirm="yes"), "yes")
    found = features.forget(deployment, engine, column, value)
    terminal.print_json(found) if as_json else terminal.say(terminal.plain(found["words"]))


def _print_list(found: dict[str, Any]) -> None:
    from pantheon import terminal

    if not found["rows"]:
        terminal.say(f"No prediction in {terminal.plain(found['where'])} is like that.")
        return
    shown = terminal.table("time (UTC)", "id", "row", "model", "version", "because of", "key", "prediction", "feedback")
    for row in found["rows"]:
        answered = f"refused: {row['error']}" if row["status"] >= 400 else _json(row["prediction"])
        reason = "shadow" if row["shadow"] else row["reason"]
        cells = (_time(row["at"]), row["id"], row["row"], row["model"], row["version"], reason, row["key"], answered)
        shown.add_row(*map(str, cells), _said(row))
    terminal.out.print(shown)
    count = f"{len(found['rows']):,} {'row' if len(found['rows']) == 1 else 'rows'}"
    terminal.say(f"[dim]{terminal.plain(count)}, in {terminal.plain(found['where'])}[/]")


def _print_one(found: dict[str, Any]) -> None:
    from pantheon import terminal

    for row in found["rows"][:SHOWN]:
        version = found["versions"].get(row["version"], {})
        shadow = ", a shadow: nobody saw this answer" if row["shadow"] else ""
        made = (
            version.get("why")
            or f"created {_time(version.get('created') or '?')} UTC, from {_data(version.get('data'))}"
        )
        lines = {
            "row": row["row"],
            "time": f"{_time(row['at'])} UTC, {row['ms']:.2f} ms, status {row['status']}",
            "answered by": f"{row['model']}, version {row['version']} ({row['reason']}{shadow})",
            "this version": made,
            "API key": row["key"] or "none",
            "trace": row["trace"],
            "input": _json(_inputs(row["input"])),
            "features": _looked_up(row["input"]),
            "prediction": row["error"] or _json(row["prediction"]),
            "probabilities": _json(row["probabilities"]) if row["probabilities"] is not None else "",
            "why": (row["explanation"] or {}).get("words", ""),
            "feedback": _said(row),
            "replayed": _replayed(row["replay"]),
        }
        shown = terminal.table("", "")
        shown.show_header = False
        for title, text in lines.items():
            if text not in ("", None):
                shown.add_row(title, str(text))
        terminal.out.print(shown)
    if (more := len(found["rows"]) - SHOWN) > 0:
        terminal.say(f"[dim]and {more:,} more rows: --json has them all[/]")


def _data(data: Any) -> str:
    """Return what a version was trained on, as words."""
    if isinstance(data, dict):
        return f"the data {data.get('name')}, sha256 {data.get('sha256')}"
    return f"the data {data}"


def _inputs(given: Any) -> Any:
    """Return a logged row, or all rows of a refused request, without where its values came from."""
    if isinstance(given, list):
        return [_inputs(row) for row in given]
    return {name: value for name, value in given.items() if name != ORIGIN} if isinstance(given, dict) else given


def _looked_up(given: Any) -> str:
    """Return whose features were looked up for a row, and what came from where, as words; empty: none were."""
    if isinstance(given, list):
        return "; ".join(filter(None, map(_looked_up, given)))
    origin = given.get(ORIGIN) if isinstance(given, dict) else None
    if not isinstance(origin, dict):
        return ""
    who = ", ".join(f"{column} {id}" for column, id in origin["entity"].items())
    if "views" not in origin:
        return f"of {who}: none were used"
    found = [
        f"{', '.join(entry['inputs'])} from {view}, of {_time(entry['time'])} UTC"
        for view, entry in origin["views"].items()
    ]
    return f"of {who}: {'; '.join(found) or 'the request had all inputs'}"


def _replayed(replay: dict[str, Any] | None) -> str:
    if replay is None:
        return ""
    if replay["same"] is None:
        return f"no: {replay['why']}"
    if replay["same"]:
        return "the same answer"
    return f"ANOTHER ANSWER: {replay.get('error') or _json(replay.get('prediction'))}"


def _said(row: dict[str, Any]) -> str:
    """Return what a user said about a row, as words; empty: nothing."""
    if row["said_at"] is None:
        return ""
    words = {True: "right", False: "wrong", None: ""}[row["correct"]]
    truth = f"truly {_json(row['true_value'])}" if row["true_value"] is not None else ""
    return "; ".join(filter(None, (words, truth, row["comment"])))


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
