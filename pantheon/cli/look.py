"""Commands that change nothing: ``status``, ``logs``, ``doctor``, ``test``, ``runs``, ``unit``, ``tier``."""

import json
import sys
from typing import Annotated

import typer

from pantheon.cli.options import (
    EngineName,
    InCluster,
    Json,
    Name,
    Offset,
    Registry,
    TierName,
    existing,
    opened,
    running,
)

Service = Annotated[str, typer.Option("--service", envvar="PANTHEON_SERVICE", help="show this service only")]
Follow = Annotated[bool, typer.Option("--follow", "-f", envvar="PANTHEON_FOLLOW", help="follow the logs until Ctrl-C")]
Tail = Annotated[int, typer.Option("--tail", min=0, help="number of recent lines to show for each service")]


def status(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Show every service's state, address, memory and uptime, and the model; exit with 1 if it cannot be served."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import status as reading

    result = reading.status(*running(name, tier, "status"))
    terminal.print_json(result) if as_json else views.show_status(result)
    if result["refused"]:
        raise typer.Exit(1)


def logs(
    tier: TierName = "",
    service: Service = "",
    follow: Follow = False,
    tail: Tail = 100,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Show the logs of the services."""
    from pantheon.terminal import printable

    _, _, engine = running(name, tier, "logs")
    for line in engine.logs(service or None, follow=follow, tail=tail):
        text = line.rstrip("\n")
        sys.stdout.write((json.dumps({"line": text}) if as_json else printable(text)) + "\n")
        sys.stdout.flush()


def doctor(
    tier: TierName = "",
    name: Name = "pantheon",
    engine: EngineName = "",
    port_offset: Offset = None,
    registry: Registry = None,
    registry_in_cluster: InCluster = None,
    as_json: Json = False,
) -> None:
    """Check this machine's ports, memory and disk, or the cluster, for the tier, and show how to fix problems."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import opening, preflight

    opened(name)
    deployment, chosen = opening.for_doctor(name, tier)
    given = {"port_offset": port_offset, "registry": registry, "registry_in_cluster": registry_in_cluster}
    for key, value in given.items():
        if value is not None:
            setattr(deployment.settings, key, value)
    findings = preflight.doctor(deployment, chosen, engine)
    terminal.print_json(preflight.as_json(findings)) if as_json else views.show_findings(findings)
    if not all(f.ok for f in findings):
        raise typer.Exit(1)


def test(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Run a smoke test against the running deployment: its services, its page and an example prediction."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import smoke

    deployment, _, engine = running(name, tier, "test")
    results = smoke.smoke(engine, deployment.address(engine, "button"))
    terminal.print_json(results) if as_json else views.show_smoke(results)
    if not all(r["ok"] for r in results):
        raise typer.Exit(1)


def runs(
    tier: TierName = "",
    show: Annotated[
        str, typer.Option("--show", metavar="RUN", help="show the stages of this run: an ID, or `latest`")
    ] = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """List the runs, newest first; with --show, show one with its stages."""
    import msgspec

    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import inside

    deployment, _, engine = running(name, tier, "runs")
    if show:
        found = msgspec.to_builtins(inside.look(deployment, engine, show))
        terminal.print_json(found) if as_json else views.show_run(found)
        return
    listed = [msgspec.structs.asdict(run) for run in inside.runs(deployment, engine)]
    terminal.print_json(listed) if as_json else views.show_runs(listed, deployment)


def unit(name: Name = "pantheon") -> None:
    """Print a systemd unit that starts the deployment when the machine boots."""
    from pantheon.deployment import boot

    deployment, _ = existing(name, "", "unit")
    sys.stdout.write(boot.unit(deployment))


def tier(tier: TierName = "", as_json: Json = False) -> None:
    """List the tiers; with a name, describe that tier."""
    from dataclasses import asdict

    from pantheon import terminal, tiers
    from pantheon.cli import views

    chosen = [tiers.find(tier)] if tier else tiers.all_tiers()
    if as_json:
        terminal.print_json([asdict(t) | {"folder": t.folder.name} for t in chosen])
    else:
        views.show_tiers(chosen, story=bool(tier))
