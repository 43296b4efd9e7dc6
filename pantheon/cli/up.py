"""``up``: from nothing, from another tier, or from a crash, to a tier that is healthy and has a model."""

from typing import Any

from pantheon.cli import doctor, envs, objects, show, workflow
from pantheon.cli.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier, all_tiers, environments, find, find_built

LOGINS = {  # who has a login, and in which file of secrets/ its password or token is
    "airflow": {"title": "Airflow", "who": "user admin, password", "file": "airflow_password"},
    "jupyter": {"title": "Jupyter", "who": "token", "file": "jupyter_token"},
    "s3": {"title": "S3", "who": "keys", "file": "s3/credentials"},
}
NOBODY = {"etl": "dataflow", "rest": "dataflow", "models": "folder", "data": ""}  # as at the first tiers


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
    engine = deployment.engine(tier, engine_name, loud=True)
    deployment.make_folders()
    objects.settle(deployment)
    show.say(f"{tier.title}: {tier.adds}")
    show.say(deployment.why_engine(engine_name))
    planned = engine.planned()
    running = [s for s in engine.status() if s.state not in ("stopped", "waiting")]
    route, old = deployment.route(tier), deployment.settings.route
    location = objects.location(deployment, engine, route)
    if before and before != tier.name:
        now = objects.current(deployment)
        moves = "" if now == location else f"from {objects.words(now)} to {objects.words(location)}"
        show_difference(find(before), tier, [s.name for s in running], engine, moves)
    extra = environments(tier, deployment.left_out, deployment.settings.variant)
    envs.prepare(engine, [*(each.environment for each in planned), *extra])
    objects.check(deployment, location)
    deployment.move_to(engine, tier)
    wanted = {port: each.name for each in planned if not each.task for port in each.ports}
    if not running:
        tools = deployment.tools(tier, engine)
        looked = doctor.look(tier, deployment.state, wanted, False, deployment.settings.port_offset, tools)
        for finding in doctor.refuse_if_unfit(looked):
            show.say(f"[yellow]![/] {finding.what}: {finding.found}. {finding.cure}")
    if location is None or not location["embedded"]:
        objects.move_before(deployment, tier, location)
    if route["rest"] != "dataflow":
        from pantheon.cli import notebooks

        for name in notebooks.bring(deployment.state, route=route).kept:
            show.say(
                f"notebooks/{name} is yours and stays; there is a newer one in the clone's notebooks/ to compare with"
            )
    deployment.update(tier=tier.name, engine=engine.name)
    if any(route[part] == none != old.get(part, none) for part, none in NOBODY.items()):
        deployment.update(
            route={part: none if route[part] == none else old.get(part, none) for part, none in NOBODY.items()}
        )
    with show.steps() as steps:
        engine.up(on_event=lambda event: follow(steps, event))
    if location and location["embedded"]:
        objects.move(deployment, location)
    if route["data"]:
        from pantheon.cli import versioning

        versioning.prepare(deployment, engine)
    deployment.update(route=route)  # who starts now is asked only when it can answer
    if before == tier.name and {(s.name, s.pid) for s in running} == {(s.name, s.pid) for s in engine.status()}:
        show.say("it is up already: nothing to do")
    dataset = workflow.prepare_dataset(deployment, engine, data, target)
    deployment.update(dataset=dataset.name)
    result: dict[str, Any] = {}
    if first_run and not deployment.has_model() and not deployment.has_model("challenger"):
        result["outcome"] = workflow.run(deployment, engine, tier, dataset)
        workflow.show_outcome(result["outcome"], tier.name)
    if deployment.settings.schedule and route["etl"] == "airflow":
        show.say(f"Airflow starts a run by itself: {deployment.settings.schedule} (it looks every minute; UTC)")
    return status(deployment, tier, engine) | result


def follow(steps: show.Steps, event: Any) -> None:
    if event.state in ("starting", "waiting"):
        steps.start(event.service)
    elif event.state in ("healthy", "running", "completed", "failed", "restarting", "stopped"):
        steps.end(event.service, event.state, event.why, event.seconds)


def show_difference(old: Tier, tier: Tier, running: list[str], engine: Engine, moves: str = "") -> None:
    """What growing (or going back) will change, before it does; ``moves``: the models' way, if they go one."""
    word = "growing" if tier.number > old.number else "going back"
    planned = {each.name: each for each in engine.planned() if not each.task}
    added = [
        name + (f" ({each.address})" if each.address else "") for name, each in planned.items() if name not in running
    ]
    stopped = [name for name in running if name not in planned]
    kept = [name for name in planned if name in running]
    show.say(f"{word} in place: {old.name} → {tier.name}; nothing is lost")
    if added or tier.number > old.number:
        show.say(f"  adds    {', '.join(added) or 'no service: ' + tier.adds}")
    if stopped:
        show.say(f"  stops   {', '.join(stopped)}; their data stays")
    stay = "data, runs and notebooks" if moves else "data, models, runs and notebooks"
    show.say(f"  keeps   {', '.join(kept) or 'nothing running'}; {stay} stay where they are")
    if moves:
        show.say(f"  moves   the models {moves}; nothing is deleted")
    show.say(f"  memory  {old.memory_mb:,} MB → {tier.memory_mb:,} MB, a run included")


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
    logins = {
        name: LOGINS[name] | {"file": str(deployment.state / "secrets" / LOGINS[name]["file"])}
        for name in LOGINS
        if any(s["name"] == name for s in services)
    }
    try:
        champion = deployment.store().alias(deployment.settings.dataset, "champion")
        trouble = ""
    except PantheonError as error:  # S3 is away: all else can be said
        champion, trouble = None, error.cause
    return {
        "name": deployment.name,
        "tier": tier.name,
        "engine": engine.name,
        "page": deployment.address(engine, "button"),
        "dataset": deployment.settings.dataset,
        "model": {"version": champion.version, "since": champion.since} if champion else None,
        "models": {"where": objects.words(objects.current(deployment)), "trouble": trouble},
        "state": str(deployment.state),
        "services": services,
        "logins": logins,
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
    if found["models"]["trouble"]:
        words = f"[red]?[/] {found['models']['trouble']}"
    show.out.print(f"model     {found['dataset']}, {words}")
    show.out.print(f"models    {found['models']['where']}")
    show.out.print(f"state     {workflow.relative_text(found['state'])}  (secrets/ holds the credentials, mode 0600)")
    show.out.print(f"page      {found['page']}")
    addresses = {s["name"]: s["address"] for s in found["services"]}
    for name, login in found["logins"].items():
        file = workflow.relative_text(login["file"])
        show.out.print(f"{login['title']:<10}{addresses[name]}  ({login['who']}: cat {file})")
