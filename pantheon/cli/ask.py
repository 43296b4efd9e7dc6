"""``ask``: the questions that an architecture is asked, put to the button that is up."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pantheon.cli.options import Json, Name, TierName, parts
from pantheon.errors import PantheonError

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
AGO = re.compile(rf"([0-9]{{1,6}})\s*({'|'.join(UNITS)})s?(?:\s+ago)?")
MARKS = {"answered": "[green]✓[/]", "unanswered": "[yellow]●[/]", "cannot": "[dim]·[/]"}


def ask(
    tier: TierName = "",
    at: Annotated[
        str, typer.Option("--at", envvar="PANTHEON_AT", help="the time T: 2026-11-22T10:00 (local) or '10 minutes ago'")
    ] = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """What can this architecture answer? Asked live, each answer with where it came from."""
    from pantheon.cli import predict, show

    moment = time(at, datetime.now().astimezone()) if at else None
    deployment, chosen, engine = parts(name, "")
    query = f"?at={quote(moment.astimezone(UTC).isoformat())}" if moment else ""
    said, _ = predict.ask(deployment.address(engine, "button"), f"/questions{query}", chosen.name)
    show.print_json(said) if as_json else show_answers(said)


def time(text: str, now: datetime) -> datetime:
    """``AT=`` as a time: ISO 8601, local where no offset is given, or how long ago.

    Raises:
        PantheonError: it is neither.
    """
    try:
        if ago := AGO.fullmatch(text.strip().lower()):
            return now - timedelta(seconds=int(ago[1]) * UNITS[ago[2]])
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise PantheonError(
            f"AT={text} is no time.", "Such as AT=2026-11-22T10:00 (local), with an offset, or AT='10 minutes ago'."
        ) from None


def show_answers(said: dict[str, Any]) -> None:
    """Question, answer and source, a paragraph each."""
    from rich.markup import escape

    from pantheon.cli import show

    for number, each in enumerate(said["questions"], start=1):
        show.out.print(f"[bold]{number}. {escape(each['question'])}[/]")
        show.out.print(f"   {MARKS[each['state']]} {escape(each['answer'])}")
        if each["source"]:
            show.out.print(f"     [dim]from {escape(each['source'])}[/]")
    count = sum(each["state"] == "answered" for each in said["questions"])
    show.say(f"[dim]{count} of {len(said['questions'])} answered. Another time T: AT='10 minutes ago'[/]")
