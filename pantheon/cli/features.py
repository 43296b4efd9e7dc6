"""``pantheon features``: the catalogue of the feature store, what entities' features are and were, and its upkeep."""

from typing import Annotated, Any

import typer

from pantheon.cli.options import Confirm, Json, Name, TierOption, confirm_first, running
from pantheon.errors import PantheonError

app = typer.Typer(
    name="features",
    help="Look into the feature store: list, show, get, at, backfill, materialize, forget (from hephaestus on).",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ViewName = Annotated[str, typer.Argument(metavar="VIEW", help="a feature view; `features list` shows them")]
Entities = Annotated[list[str], typer.Argument(metavar="ENTITY...", help="such as robot-id=7, or 7")]
EntityOption = Annotated[
    list[str], typer.Option("--entity", metavar="ENTITY", help="such as robot-id=7; several times")
]
Time = Annotated[str, typer.Argument(metavar="TIME", help="2026-11-22T10:00 (local time), '10 minutes ago', or now")]
OfView = Annotated[str, typer.Option("--view", help="only of this feature view; default: all with this entity")]
Since = Annotated[str, typer.Option("--since", help="only rows of this time and later, as TIME; default: all")]
What = Annotated[str, typer.Argument(metavar="COLUMN=VALUE", help="which rows, such as robot-id=7")]


@app.command("list")
def list_(tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """List the feature views: entity, rows, freshness, checks, owner, and the models that use them."""
    from pantheon import terminal
    from pantheon.cli import feature_views

    found = _ask("list", tier, name)
    terminal.print_json(found) if as_json else feature_views.show_list(found["views"])


@app.command()
def show(view: ViewName, tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Show a feature view: its features with their expectations, checks and distributions, lineage and parts."""
    from pantheon import terminal
    from pantheon.cli import feature_views

    found = _ask("show", tier, name, view=view)
    terminal.print_json(found) if as_json else feature_views.show_view(found)


@app.command()
def get(
    entities: Entities, view: OfView = "", tier: TierOption = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Show the features of entities in the online store: what the endpoint reads now."""
    from pantheon import terminal
    from pantheon.cli import feature_views

    found = _ask("get", tier, name, entities=entities, view=view)
    terminal.print_json(found) if as_json else feature_views.show_rows(found["rows"])


@app.command()
def at(
    time: Time,
    entity: EntityOption,
    view: OfView = "",
    tier: TierOption = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Show the features of entities as they were known at a time, such as in training."""
    from pantheon import terminal
    from pantheon.cli import feature_views
    from pantheon.deployment import features

    found = _ask("at", tier, name, entities=entity, time=features.moment(time), view=view)
    terminal.print_json(found) if as_json else feature_views.show_rows(found["rows"])


@app.command()
def backfill(
    view: ViewName, since: Since = "", tier: TierOption = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Compute an engineered view for stored rows that it lacks, such as earlier loads after its code changed."""
    from pantheon import terminal
    from pantheon.deployment import features

    found = _ask("backfill", tier, name, view=view, since=features.moment(since))
    if as_json:
        terminal.print_json(found)
        return
    if not found["new"]:
        terminal.say(terminal.plain(f"No row was missing in {view}."))
        return
    rows = f"{found['new']:,} row{'s were' if found['new'] != 1 else ' was'}"
    terminal.say(terminal.plain(f"{rows} computed with the code of run {found['run']}, and written."))


@app.command()
def materialize(
    views: Annotated[list[str] | None, typer.Argument(metavar="[VIEW]...", help="feature views; default: all")] = None,
    everything: Annotated[bool, typer.Option("--all", help="read all rows again, not only new ones")] = False,
    tier: TierOption = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Bring online what is not, such as rows that were loaded since the last run; late rows and corrections too."""
    from pantheon import terminal

    found = _ask("materialize", tier, name, views=views or [], everything=everything)
    if as_json:
        terminal.print_json(found)
        return
    for view, done in found["views"].items():
        again = "; Valkey had lost it" if done["rebuilt"] else ""
        counts = f"{done['read']:,} rows read, {done['written']:,} entities written, {done['older']:,} older{again}"
        terminal.say(terminal.plain(f"{view}: {counts}"))


@app.command()
def forget(
    what: What, tier: TierOption = "", confirm: Confirm = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Delete the rows with this value in this column from the feature store, offline and online, for good."""
    from pantheon import terminal
    from pantheon.deployment import features

    column, value = column_and_value(what)
    deployment, _, engine = running(name, tier, "features forget")
    if confirm != "yes" and features.has_store(deployment):
        cause = f"this deletes every row with {what} from the feature store, for good."
        confirm_first(cause, deployment.command("features forget", what, confirm="yes"), "yes")
    found = features.ask(deployment, engine, "forget", column=column, value=value)
    terminal.print_json(found) if as_json else terminal.say(terminal.plain(found["words"]))


def column_and_value(what: str) -> tuple[str, str]:
    """Parse ``COLUMN=VALUE``.

    Raises:
        PantheonError: it is not that.
    """
    column, equals, value = what.partition("=")
    if not (column and equals and value):
        raise PantheonError(f"{what!r} is not COLUMN=VALUE.", "Name a column and a value, such as customer=4711.")
    return column, value


def _ask(operation: str, tier: str, name: str, **given: Any) -> Any:
    from pantheon.deployment import features

    deployment, _, engine = running(name, tier, f"features {operation}")
    return features.ask(deployment, engine, operation, **given)
