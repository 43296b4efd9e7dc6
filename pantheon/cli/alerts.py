"""``pantheon alerts``: where the monitor's alerts go, what is open, and what was not delivered."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Json, Name, TierOption, existing, running

if TYPE_CHECKING:
    from pantheon.deployment.deployment import Deployment
    from pantheon.tiers import Tier

app = typer.Typer(
    name="alerts",
    help="Say where the monitor's alerts go: show, webhook, mail, test.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Off = Annotated[bool, typer.Option("--off", help="send none any more")]
Host = Annotated[str, typer.Option("--host", help="the mail server")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="default: 587; 465 with --tls tls, 25 with none")]
Sender = Annotated[str, typer.Option("--from", help="the sender's address")]
To = Annotated[str, typer.Option("--to", help="the receivers' addresses, with commas between them")]
User = Annotated[str, typer.Option("--user", help="the user, if the mail server wants one")]
Password = Annotated[str, typer.Option("--password-file", help="a file with this user's password, which is copied")]
Tls = Annotated[str, typer.Option("--tls", help="starttls; tls from the first byte; or none, in the clear")]


@app.command()
def show(tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Show where alerts go, which are open, and which could not be delivered."""
    from pantheon import terminal
    from pantheon.cli.monitor_views import print_alerts
    from pantheon.deployment import monitoring

    _, _, engine = running(name, tier, "alerts show")
    found = monitoring.ask(engine, "alerts")
    terminal.print_json(found) if as_json else print_alerts(found)


@app.command()
def webhook(off: Off = False, tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Send alerts to a URL, which is read from standard input: as JSON, whose "text" chat programs show."""
    from pantheon.deployment import alerting

    deployment, chosen = existing(name, tier, "alerts webhook")
    if off:
        url = ""
    elif sys.stdin.isatty():
        url = typer.prompt("URL", hide_input=True)
    else:
        url = sys.stdin.readline()
    changed = alerting.set_webhook(deployment, url)
    _done(deployment, chosen, changed, as_json)


@app.command()
def mail(
    host: Host = "",
    sender: Sender = "",
    to: To = "",
    port: Port = 0,
    user: User = "",
    password_file: Password = "",
    tls: Tls = "starttls",
    off: Off = False,
    tier: TierOption = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Send alerts by e-mail."""
    from pantheon.deployment import alerting
    from pantheon.errors import PantheonError

    deployment, chosen = existing(name, tier, "alerts mail")
    if not host and not off:
        example = "bin/pantheon alerts mail --host mail.example.com --from pantheon@example.com --to ops@example.com"
        raise PantheonError("--host is missing.", f"For example: `{example}`; or --off")
    changed = alerting.set_mail(deployment, "" if off else host, sender, to, port, user, password_file, tls)
    _done(deployment, chosen, changed, as_json)


@app.command()
def test(tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Send a test message everywhere; exits with 1 if one did not arrive."""
    from pantheon import terminal
    from pantheon.deployment import monitoring

    _, _, engine = running(name, tier, "alerts test")
    found: dict[str, str] = monitoring.ask(engine, "test")
    if as_json:
        terminal.print_json(found)
    else:
        for channel, problem in found.items():
            terminal.say(terminal.plain(f"{channel}: {problem or 'delivered'}"))
    if any(found.values()):
        raise typer.Exit(1)


def _done(deployment: "Deployment", tier: "Tier", changed: bool, as_json: bool) -> None:
    from pantheon import terminal
    from pantheon.deployment import alerting

    found = alerting.channels(deployment)
    value: dict[str, Any] = {"channels": found.names, "again": changed}
    if as_json:
        terminal.print_json(value)
        return
    terminal.say(terminal.plain(f"alerts go to: {', '.join(found.names)}"))
    if changed and deployment.settings.engine and deployment.engine(tier).isolated:
        up = deployment.command("up")
        terminal.say(terminal.plain(f"The monitor's container gets a way to other machines, or loses it, with: {up}"))
    terminal.say(terminal.plain(f"To try it: {deployment.command('alerts test')}"))
