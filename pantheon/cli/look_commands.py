"""The verbs that look and change nothing: ``status``, ``logs``, ``doctor``, ``test``, ``runs``, ``tier``."""

import sys
from typing import Annotated

import typer

from pantheon.cli.options import EngineName, Json, Name, Offset, TierName, opened, parts


def status(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Each service in human words, with address, memory and uptime."""
    from pantheon.cli import show
    from pantheon.cli import up as upping

    deployment, chosen, engine = parts(name, "")
    found = upping.status(deployment, chosen, engine)
    show.print_json(found) if as_json else upping.show_status(found)


def logs(
    tier: TierName = "",
    service: Annotated[str, typer.Option("--service", envvar="PANTHEON_SERVICE", help="of this service only")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", envvar="PANTHEON_FOLLOW", help="go on until Ctrl-C")
    ] = False,
    tail: Annotated[int, typer.Option("--tail", help="lines of each service to begin with")] = 100,
    name: Name = "pantheon",
) -> None:
    """What the services have said."""
    _, _, engine = parts(name, "")
    for line in engine.logs(service or None, follow=follow, tail=tail):
        sys.stdout.write(line.rstrip("\n") + "\n")
        sys.stdout.flush()


def doctor(
    tier: TierName = "",
    name: Name = "pantheon",
    engine: EngineName = "",
    port_offset: Offset = None,
    as_json: Json = False,
) -> None:
    """Is this machine fit for a tier: Python, ports, memory, disk; and what to do about it."""
    from pantheon.cli import doctor as checks
    from pantheon.cli import show
    from pantheon.cli.up import tier_of

    deployment = opened(name, must_exist=False)
    chosen = tier_of(deployment, tier or deployment.settings.tier or "persephone")
    if port_offset is not None:
        deployment.settings.port_offset = port_offset
    runs_on = deployment.engine(chosen, engine)
    ours = any(s.state not in ("stopped", "waiting") for s in runs_on.status())
    wanted = {port: each.name for each in runs_on.planned() if not each.task for port in each.ports}
    tools = deployment.tools(chosen, runs_on)
    findings = checks.look(chosen, deployment.state, wanted, ours, deployment.settings.port_offset, tools)
    if as_json:
        show.print_json(checks.as_json(findings))
    else:
        shown = show.table("", "what", "found", "what to do")
        for f in findings:
            shown.add_row(show.MARKS["healthy" if f.ok else "failed"], f.what, f.found, "" if f.ok else f.cure)
        show.out.print(shown)
    if not all(f.ok for f in findings):
        raise typer.Exit(1)


def test(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """A smoke test of the deployment that is up: its services, its page, a prediction from its own example."""
    from pantheon.cli import show, smoke

    deployment, chosen, engine = parts(name, "")
    results = smoke.smoke(engine, deployment.address(engine, "button"), chosen.name)
    if as_json:
        show.print_json(results)
    else:
        for result in results:
            show.out.print(
                f"{show.MARKS['done' if result['ok'] else 'failed']} {result['check']}  [dim]{result['found']}[/]"
            )
        passed = sum(r["ok"] for r in results)
        show.out.print(f"{passed} passed, {len(results) - passed} failed")
    if not all(r["ok"] for r in results):
        raise typer.Exit(1)


def runs(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """The runs so far, newest first."""
    from pantheon.cli import runs as listing
    from pantheon.cli import show

    found = listing.all_runs(opened(name).state)
    show.print_json(found) if as_json else listing.show_runs(found)


def tier(tier: TierName = "", as_json: Json = False) -> None:
    """What the tiers are; with a name, that tier's story."""
    from dataclasses import asdict

    from pantheon import tiers
    from pantheon.cli import show

    chosen = [tiers.find(tier)] if tier else tiers.all_tiers()
    if as_json:
        show.print_json([asdict(t) | {"folder": t.folder.name} for t in chosen])
        return
    shown = show.table("#", "tier", "adds", "")
    for t in chosen:
        shown.add_row(str(t.number), t.name, t.adds, "" if t.built else "not built yet")
    show.out.print(shown)
    if tier:
        show.out.print(f"\n{chosen[0].title}. {chosen[0].story}")
        if chosen[0].built:
            show.out.print(f"\n  make tier-{tier} up")
            for name, variant in chosen[0].variants.items():
                show.out.print(f"  make tier-{tier} up VARIANT={name}   [dim]{variant.adds}[/]")
