"""``up``: from nothing, from another tier, or from a crash, to a tier that is healthy and has a model."""

from typing import Any

from pantheon.cli import doctor, envs, show, workflow
from pantheon.cli.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier, all_tiers, find, find_built


def tier_of(deployment: Deployment, name: str) -> Tier:
    """The tier asked for, else the one that the deployment is at.

    Raises:
        PantheonError: neither; or the tier is not built yet.
    """
    if name:
        return find_built(name)
    if deployment.settings.tier:
        return find_built(deployment.settings.tier)
    names = ", ".join(f"make tier-{t.name} up" for t in all_tiers() if t.built)
    raise PantheonError(f"deployment {deployment.name!r} has no tier yet.", f"Say which: {names}")


def up(deployment: Deployment, tier: Tier, engine_name: str, data: str, target: str, first_run: bool) -> dict[str, Any]:
    """Bring ``tier`` up; see the module.

    Args:
        engine_name: ``local`` …; empty for the deployment's own.
        data, target: a dataset to train on from now on; empty for the deployment's own.
        first_run: run the workflow where no model of the dataset is there yet.

    Returns:
        The status as ``status --json`` prints it, with ``outcome`` of the run where there was one.
    """
    before = deployment.settings.tier
    deployment.make_folders()
    engine = deployment.engine(tier, engine_name, loud=True)
    show.say(f"{tier.title}: {tier.adds}")
    show.say(deployment.why_engine(engine_name))
    planned = engine.planned()
    envs.prepare(engine, [each.environment for each in planned])
    deployment.move_to(engine, tier)
    running = [s for s in engine.status() if s.state not in ("stopped", "waiting")]
    wanted = {port: each.name for each in planned if not each.task for port in each.ports}
    if not running:
        looked = doctor.look(tier, deployment.state, wanted, False, deployment.settings.port_offset)
        for finding in doctor.refuse_if_unfit(looked):
            show.say(f"[yellow]![/] {finding.what}: {finding.found}. {finding.cure}")
    if before and before != tier.name:
        show_difference(before, tier, [s.name for s in running], engine)
    deployment.update(tier=tier.name, engine=engine.name)
    with show.steps() as steps:
        engine.up(on_event=lambda event: follow(steps, event))
    if before == tier.name and {(s.name, s.pid) for s in running} == {(s.name, s.pid) for s in engine.status()}:
        show.say("it is up already: nothing to do")
    dataset = workflow.prepare_dataset(deployment, engine, data, target)
    deployment.update(dataset=dataset.name)
    result: dict[str, Any] = {}
    if first_run and not deployment.has_model() and not deployment.has_model("challenger"):
        result["outcome"] = workflow.run(deployment, engine, tier, dataset)
        workflow.show_outcome(result["outcome"], tier.name)
    return status(deployment, tier, engine) | result


def follow(steps: show.Steps, event: Any) -> None:
    if event.state in ("starting", "waiting"):
        steps.start(event.service)
    elif event.state in ("healthy", "running", "completed", "failed", "restarting", "stopped"):
        steps.end(event.service, event.state, event.why, event.seconds)


def show_difference(before: str, tier: Tier, running: list[str], engine: Engine) -> None:
    """What growing (or going back) will change, before it does."""
    old = find(before)
    word = "growing" if tier.number > old.number else "going back"
    services = {each.name for each in engine.planned() if not each.task}
    added, kept = sorted(services - set(running)), sorted(services & set(running))
    show.say(f"{word} in place: {old.name} → {tier.name}; nothing is lost")
    show.say(f"  adds    {', '.join(added) or 'no service: ' + tier.adds}")
    show.say(f"  keeps   {', '.join(kept) or 'nothing running'}; data, models, runs")


def status(deployment: Deployment, tier: Tier, engine: Engine) -> dict[str, Any]:
    """The deployment, its services and its model, for people and for ``--json``."""
    services = [
        {
            "name": s.name,
            "state": s.state,
            "why": s.why,
            "address": s.address,
            "memory_mb": round(s.memory / 1e6) if s.memory else None,
            "uptime_seconds": s.uptime,
            "restarts": s.restarts,
        }
        for s in engine.status()
    ]
    champion = deployment.store().alias(deployment.settings.dataset, "champion")
    return {
        "name": deployment.name,
        "tier": tier.name,
        "engine": engine.name,
        "page": deployment.address(engine, "button"),
        "dataset": deployment.settings.dataset,
        "model": {"version": champion.version, "since": champion.since} if champion else None,
        "state": str(deployment.state),
        "services": services,
    }


def show_status(found: dict[str, Any]) -> None:
    title = f"{found['tier']} · deployment {found['name']} · engine {found['engine']}"
    shown = show.table("service", "state", "address", "memory", "up for", "")
    for s in found["services"]:
        memory = f"{s['memory_mb']} MB" if s["memory_mb"] else ""
        uptime = show.seconds(s["uptime_seconds"]) if s["uptime_seconds"] else ""
        mark = show.MARKS.get(s["state"], "·")
        shown.add_row(s["name"], f"{mark} {s['state']}", s["address"] or "", memory, uptime, s["why"] or "")
    show.out.print(title, style="bold")
    show.out.print(shown)
    model = found["model"]
    words = (
        f"version {model['version']}, since {model['since']}"
        if model
        else "none yet: make tier-" + found["tier"] + " run"
    )
    show.out.print(f"model     {found['dataset']}, {words}")
    show.out.print(f"state     {workflow.relative_text(found['state'])}  (secrets/ holds the credentials, mode 0600)")
    show.out.print(f"page      {found['page']}")
