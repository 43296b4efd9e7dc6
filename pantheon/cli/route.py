"""``pantheon route``: which version of a model the endpoint asks. A change takes effect within two seconds."""

from typing import Annotated, Any

import typer

from pantheon.cli.models import Model
from pantheon.cli.options import Json, Name, Note, TierOption, completed, running

app = typer.Typer(
    name="route",
    help="Choose which version answers: show, weights, pin, header, sticky, shadow, bandit, test, clear.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Shares = Annotated[
    list[str], typer.Argument(metavar="VERSION=PERCENT...", help="such as challenger=10; the champion gets the rest")
]
To = Annotated[str, typer.Argument(metavar="VERSION", help="a version number or an alias; none: remove it")]
Several = Annotated[list[str], typer.Argument(metavar="VERSION...", help="version numbers or aliases; none: remove it")]
By = Annotated[str, typer.Argument(metavar="BY", help="key: the API key; or the name of a header; none: chance")]
HeaderName = Annotated[str, typer.Argument(metavar="NAME", help="the header's name, such as x-beta")]
HeaderValue = Annotated[str, typer.Argument(metavar="VALUE", help="its exact value")]
Challenger = Annotated[str, typer.Argument(metavar="VERSION", help="a version number or an alias")]
Floor = Annotated[
    float, typer.Option("--floor", min=2, max=50, help="the least share of each version, in percent, from 2 on")
]


@app.command()
def show(tier: TierOption = "", model: Model = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Show who answers which share of the traffic, and every rule."""
    _do("show", tier, model, name, as_json)


@app.command()
def weights(
    shares: Shares,
    tier: TierOption = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Give versions shares of the traffic (canary); only as many requests move as must."""
    from pantheon.deployment import routes

    _do("weights", tier, model, name, as_json, note=note, percent=routes.percentages(shares))


@app.command()
def pin(
    to: To, tier: TierOption = "", model: Model = "", note: Note = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Have one version answer everything that no header rule decides."""
    from pantheon.deployment import routes

    _do("pin", tier, model, name, as_json, note=note, to=routes.or_none(to))


@app.command()
def header(
    header_name: HeaderName,
    value: HeaderValue,
    to: To,
    tier: TierOption = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Have requests with this header and value be answered by one version, before every other rule."""
    from pantheon.deployment import routes

    rule = {"name": header_name, "value": value, "to": routes.or_none(to)}
    _do("header", tier, model, name, as_json, note=note, **rule)


@app.command()
def sticky(
    by: By, tier: TierOption = "", model: Model = "", note: Note = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """With weights: let an API key, or a header's value, always get the same version."""
    from pantheon.deployment import routes

    _do("sticky", tier, model, name, as_json, note=note, to=routes.or_none(by))


@app.command()
def shadow(
    versions: Several,
    tier: TierOption = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Send copies of all requests to versions whose answers are only recorded."""
    from pantheon.deployment import routes

    _do("shadow", tier, model, name, as_json, note=note, to=routes.names(versions))


@app.command()
def bandit(
    versions: Several,
    floor: Floor = 2.0,
    tier: TierOption = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Let users' feedback divide the traffic between versions (Thompson sampling)."""
    from pantheon.deployment import routes

    _do("bandit", tier, model, name, as_json, note=note, arms=routes.names(versions), floor=floor / 100)


@app.command()
def test(
    challenger: Challenger = "challenger",
    tier: TierOption = "",
    model: Model = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Say whether users find a version better than the champion; it may be asked at any time, as often as you like."""
    from pantheon import terminal

    found = _ask("test", tier, model, name, challenger=challenger)
    terminal.print_json(found) if as_json else terminal.say(terminal.plain(found["sentence"]))


@app.command()
def clear(tier: TierOption = "", model: Model = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Remove the policy, even a damaged one: the champion answers everything."""
    _do("clear", tier, model, name, as_json)


def _ask(operation: str, tier: str, model: str, deployed: str, /, **given: Any) -> dict[str, Any]:
    from pantheon.deployment import routes

    deployment, _, engine = running(deployed, tier, f"route {operation}")
    return routes.ask(deployment, engine, operation, model, **given)


def _do(operation: str, tier: str, model: str, deployed: str, as_json: bool, /, **given: Any) -> None:
    from pantheon import terminal

    found = _ask(operation, tier, model, deployed, **given)
    terminal.print_json(found) if as_json else _print(found)


def _print(found: dict[str, Any]) -> None:
    """Print who answers what, for people."""
    from pantheon import terminal
    from pantheon.cli.views import utc

    plain = terminal.plain
    shown = terminal.table("share", "version", "is the", "because of")
    for each in found["traffic"]:
        arm = "" if each["arm"] == each["version"] else each["arm"]
        shown.add_row(f"{100 * each['share']:.4g} %", each["version"] or "none", arm, each["reason"])
    for rule in found["headers"]:
        shown.add_row("", rule["version"], "" if rule["to"] == rule["version"] else rule["to"], _rule(rule))
    for each in found["shadows"]:
        arm = "" if each["to"] == each["version"] else each["to"]
        shown.add_row("a copy", each["version"], arm, "shadow: its answers are only recorded")
    terminal.out.print(shown)
    if found["sticky"]:
        by = "API key" if found["sticky"] == "key" else f"value of the header {found['sticky']}"
        terminal.say(plain(f"The same {by} always gets the same version."))
    for version, (right, wrong) in (found["bandit"] or {}).get("counts", {}).items():
        terminal.say(plain(f"version {version}: users called {right:,} answers right, {wrong:,} wrong"))
    for problem in found["problems"]:
        terminal.say(f"[yellow]![/] {plain(problem)}")
    if found["trouble"]:
        terminal.say(f"[red]✗[/] {plain(found['trouble'])} {plain(completed(found['cure']))}")
    since = f", since {utc(found['since'])}" if found["since"] else ""
    by = f" by {found['by']}" if found["by"] else ""
    note = f": {found['note']}" if found["note"] else ""
    terminal.say(f"[dim]{plain(found['model'])}, in {plain(found['where'])}{plain(since + by + note)}[/]")


def _rule(rule: dict[str, Any]) -> str:
    return f"{rule['name']}: {rule['value']}"
