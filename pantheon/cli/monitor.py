"""``pantheon monitor``: what the prediction log says about the deployed models."""

from typing import Annotated

import typer

from pantheon.cli.options import Json, Name, TierName, running
from pantheon.errors import PantheonError

PAGED = 3  # the exit status if an alert that cannot wait is open
OfModel = Annotated[str, typer.Option("--model", envvar="PANTHEON_MODEL", help="only this model; default: all")]
Since = Annotated[str, typer.Option("--since", envvar="PANTHEON_SINCE", help="from then on: 2h, 7d, 2026-03-01 (UTC)")]
Until = Annotated[str, typer.Option("--until", envvar="PANTHEON_UNTIL", help="before then, as --since; default: now")]
Window = Annotated[str, typer.Option("--window", envvar="PANTHEON_WINDOW", help="how long the window is, such as 6h")]
Last = Annotated[bool, typer.Option("--last", help="show the newest report that was kept, instead of making one")]
TrainAgain = Annotated[bool, typer.Option("--train-again", help="train again what should be, with users' feedback")]


def monitor(
    tier: TierName = "",
    model: OfModel = "",
    since: Since = "",
    until: Until = "",
    window: Window = "",
    last: Last = False,
    train_again: TrainAgain = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Report what the log says about the deployed models. Exits with 3 if something cannot wait.

    Without a time, the window is as long as MONITOR= says (hourly: an hour; else a day) and ends now; the report is
    kept for the page, and alerts are told. A window that you choose is only shown.
    """
    from pantheon import terminal
    from pantheon.cli import monitor_views
    from pantheon.deployment import monitoring

    if last and (since or until or window or train_again):
        raise PantheonError("--last shows what was kept.", "Omit --since, --until, --window and --train-again.")
    if window and since:
        raise PantheonError("--since and --window both say when the window begins.", "Omit one of them.")
    if train_again and (since or until or window):
        raise PantheonError("--train-again looks at the newest window.", "Omit --since, --until and --window.")
    deployment, chosen, engine = running(name, tier, "monitor")
    with terminal.steps() as steps:
        steps.start("reading the log")
        try:
            given = {"model": model, "since": since, "until": until, "window": window}
            found = monitoring.ask(engine, "last", model=model) if last else monitoring.ask(engine, "report", **given)
        finally:
            steps.drop("reading the log")
    if not as_json:
        monitor_views.print_reports(found, deployment)
    if train_again:
        found["retraining"] = monitoring.retrain(deployment, engine, chosen, found["due"])
        if not as_json:
            monitor_views.print_retraining(found["retraining"], deployment)
    if as_json:
        terminal.print_json(found)
    if any(alert["level"] == "page" for each in found["reports"].values() for alert in each["alerts"]):
        raise typer.Exit(PAGED)
