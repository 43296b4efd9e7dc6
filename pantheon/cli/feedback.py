"""``pantheon feedback``: what other systems know about predictions."""

from typing import Annotated, Any

import typer

from pantheon.cli.options import Json, Name, TierOption, running

SOME_REFUSED = 3  # the exit status if some rows were refused

app = typer.Typer(
    name="feedback",
    help="Take feedback about predictions from a file: import.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def feedback() -> None:
    """Take feedback about predictions from a file: import."""


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="a CSV, Parquet or JSON-lines file")],
    tier: TierOption = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace FILE.refused.csv of an earlier call")] = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Take feedback of a file: id and row of the answer, and correct, value (the true one), comment or at (when).

    Taking a file again changes nothing. Rows that are refused are written to FILE.refused.csv, with the reason.
    """
    from pantheon import terminal
    from pantheon.cli.views import show_refused
    from pantheon.deployment import feedback_import

    deployment, _, engine = running(name, tier, "feedback import")
    done: dict[str, Any] = feedback_import.take(deployment, engine, feedback_import.Asked(file, overwrite))
    if as_json:
        terminal.print_json(done)
    else:
        show_refused(done, "refused")
        terminal.say(f"{done['sent']:,} of {done['rows']:,} pieces of feedback were taken.")
    if done["refused"]:
        raise typer.Exit(SOME_REFUSED)
