"""``up``: start a tier, from nothing, from another tier or after a crash, until it is healthy and has a model.

Runs two lists of steps in order: ``CHECKS`` change nothing, and any of them may fail; ``CHANGES`` can be interrupted
at any point, and the next ``up`` completes them. Progress goes to standard error (``pantheon.terminal``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pantheon import components, terminal
from pantheon.deployment import alerting, datasets, execution, inside, notebooks, preflight, settings, storage
from pantheon.deployment.datasets import Asked
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.status import RETRY_SECONDS, status
from pantheon.engines import Engine, Event, Planned, ServiceStatus
from pantheon.errors import PantheonError
from pantheon.processes import whoami
from pantheon.state import Route, StoreLocation, narrowed
from pantheon.tiers import Tier, find

LATER = ("log", "predictions_keep", "monitor", "monitor_report", "retrain", "materialize")  # from Epimetheus on


@dataclass(frozen=True)
class Options:
    """The options of ``up``. Empty or None keeps the deployment's setting; see ``Settings``.

    Attributes:
        asked: a dataset to train on from now on.
        schedule: in the form that ``settings.schedule`` parses.
        first_run: run the workflow if no model of the dataset exists yet.
    """

    engine: str = ""
    asked: Asked = field(default_factory=Asked)
    port_offset: int | None = None
    approval: str | None = None
    trials: int | None = None
    seed: int | None = None
    folds: int | None = None
    metric: str | None = None
    without: str = ""
    variant: str = ""
    s3_endpoint: str = ""
    s3_bucket: str = ""
    schedule: str | None = None
    log: str | None = None
    predictions_keep: str | None = None
    monitor: str | None = None
    monitor_report: str | None = None
    materialize: str | None = None
    retrain: str | None = None
    registry: str | None = None
    registry_in_cluster: str | None = None
    alert_webhook: str | None = None
    first_run: bool = True


@dataclass
class Up:
    """One ``up``: its options, and the results of the checks that the changes use.

    Attributes:
        before: the deployment's previous tier; empty for a new deployment.
        planned: services of ``tier`` on ``engine``; ``running``: services of this deployment that run now.
        route, old_route: which component runs which part of the workflow, after and before this ``up``.
        location: where to store the models (``storage.location``).
        dataset: the dataset to train on.
        outcome: the outcome of the run, if there was one.
    """

    deployment: Deployment
    tier: Tier
    options: Options
    before: str = ""
    engine: Engine = field(init=False)
    planned: list[Planned] = field(default_factory=list)
    running: list[ServiceStatus] = field(default_factory=list)
    route: Route = field(default_factory=Route)
    old_route: Route = field(default_factory=Route)
    location: StoreLocation | None = None
    dataset: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)


def up(deployment: Deployment, tier: Tier, options: Options) -> dict[str, Any]:
    """Start ``tier``; see the module.

    Returns:
        The status as ``status --json`` prints it, with the ``outcome`` of the run if there was one.

    Raises:
        PantheonError: a check failed and nothing has changed; or a change failed, and the next ``up`` continues.
    """
    this = Up(deployment, tier, options, before=deployment.settings.tier)
    for step in (*CHECKS, *CHANGES):
        step(this)
    return status(deployment, tier, this.engine, RETRY_SECONDS) | ({"outcome": this.outcome} if this.outcome else {})


# Checks: nothing is changed yet ---------------------------------------------------------------------------------------


def take_settings(this: Up) -> None:
    """Apply the options to the deployment's settings; ``record_tier`` saves them."""
    deployment, options = this.deployment, this.options
    storage.rebuild(deployment)
    storage.recall(deployment)
    for key in (
        "port_offset",
        "approval",
        "trials",
        "seed",
        "folds",
        "metric",
        "registry",
        "registry_in_cluster",
        *LATER,
    ):
        if (value := getattr(options, key)) is not None:
            setattr(deployment.settings, key, value)
    deployment.leave_out(this.tier, options.without)
    deployment.choose_variant(this.tier, options.variant)
    if components.read(this.tier.compose_file).route()["models"] == "s3":
        storage.choose(deployment, options.s3_endpoint, options.s3_bucket)
    if options.schedule is not None:
        deployment.settings.schedule = settings.schedule(options.schedule)
    there = {each.name for each in deployment.components(this.tier)}
    if deployment.settings.monitor and "monitoring" not in there:
        if options.monitor:
            raise PantheonError(f"{this.tier.title} has no monitor, so MONITOR= cannot be set.", "Use MONITOR=off.")
        terminal.say(f"{terminal.plain(this.tier.title)} has no monitor: its schedule ends")
        deployment.settings.monitor = ""
    if deployment.settings.materialize and "feast" not in there:
        if options.materialize:
            cause = f"{this.tier.title} has no feature store, so MATERIALIZE= cannot be set."
            raise PantheonError(cause, "Use MATERIALIZE=off.")
        terminal.say(f"{terminal.plain(this.tier.title)} has no feature store: the schedule of MATERIALIZE= ends")
        deployment.settings.materialize = ""


def plan(this: Up) -> None:
    """Determine which services to run, which run now, and where to store the models."""
    deployment = this.deployment
    this.engine = deployment.engine(this.tier, this.options.engine, loud=True)
    terminal.say(f"{terminal.plain(this.tier.title)}: {terminal.plain(this.tier.adds)}")
    terminal.say(terminal.plain(deployment.why_engine(this.options.engine)))
    this.planned = this.engine.planned()
    this.running = [s for s in this.engine.status() if s.state not in ("stopped", "waiting")]
    this.route, this.old_route = deployment.route(this.tier), deployment.settings.route
    this.location = storage.location(deployment, this.engine, this.route)


def check_dataset(this: Up) -> None:
    """Check that ``DATA=`` names a dataset or a readable file."""
    datasets.check(this.deployment, this.engine, this.options.asked)


def show_difference(this: Up) -> None:
    """Print what the change of tier adds, stops, keeps and moves."""
    if not this.before or this.before == this.tier.name:
        return
    old, tier = find(this.before), this.tier
    now = storage.current(this.deployment)
    moves = "" if now == this.location else f"from {storage.describe(now)} to {storage.describe(this.location)}"
    running = [s.name for s in this.running]
    wanted = {each.name: each for each in this.planned if not each.task}
    new = {name: each.address for name, each in wanted.items() if name not in running}
    added = [f"{name} ({address})" if address else name for name, address in new.items()]
    stopped = [name for name in running if name not in wanted]
    kept = [name for name in wanted if name in running]
    change = "growing" if tier.number > old.number else "going back"
    terminal.say(
        f"{terminal.plain(change)} in place: {terminal.plain(old.name)} → {terminal.plain(tier.name)}; no data is lost"
    )
    if added or tier.number > old.number:
        terminal.say(f"  adds    {terminal.plain(', '.join(added) or 'no services: ' + tier.adds)}")
    if stopped:
        terminal.say(f"  stops   {terminal.plain(', '.join(stopped))}; their data stays")
    stay = "data, runs and notebooks" if moves else "data, models, runs and notebooks"
    terminal.say(
        f"  keeps   {terminal.plain(', '.join(kept) or 'no running service')}; {terminal.plain(stay)} are not moved"
    )
    if moves:
        along = ", with the prediction log and features" if now and this.old_route.answers else ""
        terminal.say(f"  moves   the models {terminal.plain(moves + along)}; nothing is lost")
    before, after = (this.deployment.components(each).memory_mb for each in (old, tier))
    terminal.say(f"  memory  {before:,} MB → {after:,} MB, including a run")


def check_machine(this: Up) -> None:
    """Check the engine, ports, memory, disk and programs; for a running deployment, only the engine and new ports."""
    deployment = this.deployment
    deployment.check_move(this.engine, this.tier)
    this.engine.check()
    ours = [*this.running, *_running_elsewhere(this)]
    up_already = {s.name for s in ours}
    wanted = {port: s.name for s in this.planned if not s.task and s.name not in up_already for port in s.ports}
    for port in _held(this, up_already):  # a service of this tier may take over the port of one of the tier before
        wanted.pop(port, None)
    offset = deployment.settings.port_offset
    if up_already:
        findings = preflight.ports(wanted, False, offset)
    else:
        tools = deployment.tools(this.tier, this.engine)
        here = this.engine.shares_folders
        parts = deployment.components(this.tier)
        findings = preflight.look(parts, deployment.state, wanted, False, offset, tools, here)
    if not up_already or this.before != this.tier.name:
        findings = [*this.engine.findings(), *findings]
    for finding in preflight.refuse_if_unfit(findings):
        terminal.warn(f"{finding.what}: {finding.found}. {finding.cure}")


def check_store(this: Up) -> None:
    """Check that services can reach another S3, that it answers and accepts the keys."""
    storage.check_reachable(this.engine, this.location)
    storage.check(this.deployment, this.location)


def _held(this: Up, running: set[str]) -> set[int]:
    """Return the ports that the deployment's running services have, by the definition of the tier that they are of."""
    planned = this.planned
    if this.before and this.before != this.tier.name:
        engine = this.deployment.engine(find(this.before), this.deployment.settings.engine)
        planned = engine.planned()
    return {port for service in planned if service.name in running for port in service.ports}


def _running_elsewhere(this: Up) -> list[ServiceStatus]:
    """Return this deployment's services on another engine; ``stop_other_engine`` stops them."""
    deployment = this.deployment
    if deployment.settings.engine in ("", this.engine.name):
        return []
    try:
        services = deployment.engine(this.tier, deployment.settings.engine).status()
    except PantheonError:  # that engine is not available: it holds no ports
        return []
    return [s for s in services if s.state not in ("stopped", "waiting")]


# Changes: can be interrupted; the next `up` continues ---------------------------------------------------------


def make_folders(this: Up) -> None:
    """Create folders and secrets; complete an interrupted move of the models."""
    this.deployment.make_folders(this.tier)
    storage.settle(this.deployment)


def take_webhook(this: Up) -> None:
    """Store where alerts go, if it was given; the services' network follows from it."""
    if this.options.alert_webhook is not None and alerting.set_webhook(this.deployment, this.options.alert_webhook):
        this.engine = this.deployment.engine(this.tier, this.options.engine, loud=True)


def stop_other_engine(this: Up) -> None:
    """Stop the deployment's services on another engine: both engines would use the same ports and folders."""
    this.deployment.move_to(this.engine, this.tier)


def move_models_out(this: Up) -> None:
    """Move the models out of the tier's own S3 while it still runs, if they are to be stored elsewhere."""
    if this.location is None or not this.location.embedded:
        storage.move_before(this.deployment, this.tier, this.location)


def record_tier(this: Up) -> None:
    """Save the tier and the settings. New components take over later, in ``record_route``, when they are healthy."""
    deployment = this.deployment
    deployment.update(tier=this.tier.name, engine=this.engine.name, owner=deployment.settings.owner or whoami())
    if (leaving := narrowed(this.old_route, this.route)) != this.old_route:
        deployment.update(route=leaving)


def start_services(this: Up) -> None:
    """Create environments, start every service when its environment is ready, stop services no longer defined."""
    environments = [*(s.environment for s in this.planned), *this.deployment.components(this.tier).environments]
    with terminal.steps() as steps:
        this.engine.up(on_event=lambda event: follow(steps, event), environments=environments)
    this.deployment.finish_migration(this.engine)
    if this.before == this.tier.name and _which(this.running) == _which(this.engine.status()):
        terminal.say("already up: nothing to do")


def _which(services: list[ServiceStatus]) -> set[tuple[str, int, str]]:
    """Return what differs between two processes, or pods, of the same service."""
    return {(each.name, each.pid, each.since) for each in services}


def bring_notebooks(this: Up) -> None:
    """Copy the notebooks that this deployment's workflow runs."""
    notebooks.bring(this.deployment, this.engine, this.route)


def move_models_in(this: Up) -> None:
    """Move the models into the tier's own S3, now that it runs."""
    if this.location and this.location.embedded:
        storage.move(this.deployment, this.engine, this.location)


def prepare_repository(this: Up) -> None:
    """Create the git repository with DVC, from odysseus on."""
    if this.route.data:
        from pantheon.deployment import versions

        versions.prepare(this.deployment, this.engine)


def record_route(this: Up) -> None:
    """Save the new route: from now on services hand over to the new components, which are ready."""
    this.deployment.update(route=this.route)


def take_dataset(this: Up) -> None:
    """Set the dataset to train on; infer the columns of a new file."""
    this.dataset = datasets.take(this.deployment, this.engine, this.options.asked)
    this.deployment.update(dataset=this.dataset)


def first_run(this: Up) -> None:
    """Run the workflow once, if no model of the dataset exists yet."""
    deployment = this.deployment
    if this.options.first_run and not inside.has_model(deployment, this.engine, deployment.settings.dataset):
        this.outcome = execution.run(deployment, this.engine, this.tier, this.dataset)


def show_leader(this: Up) -> None:
    """Say so if runs do not use Kubeflow's pipeline although the deployment has Kubeflow, as with VARIANT=pycaret."""
    parts = this.deployment.components(this.tier)
    leader = parts.leader("rest")
    if leader and leader.name != "kubeflow" and any(each.name == "kubeflow" for each in parts):
        terminal.say(
            f"runs go through Airflow and the notebooks of {terminal.plain(leader.title)}, not through Kubeflow's "
            "pipeline; orders and `pipeline run workflow` still use the pipeline"
        )


def show_schedule(this: Up) -> None:
    """Print the schedules of Airflow's runs, of the monitor and of features."""
    airflow = any(each.name == "airflow" for each in this.deployment.components(this.tier))
    if this.deployment.settings.schedule and airflow:
        schedule = this.deployment.settings.schedule
        terminal.say(f"Airflow starts runs on schedule: {terminal.plain(schedule)} (UTC; checked every minute)")
    if monitor := this.deployment.settings.monitor:
        if airflow:
            terminal.say(f"Airflow runs the monitor on schedule: {terminal.plain(monitor)} (UTC; checked every minute)")
        else:
            terminal.warn("MONITOR= needs Airflow. Without it, have cron run `bin/pantheon monitor`.")
    if materialize := this.deployment.settings.materialize:
        if airflow:
            terminal.say(
                f"Airflow brings features online on schedule: {terminal.plain(materialize)} (UTC; checked every minute)"
            )
        else:
            terminal.warn("MATERIALIZE= needs Airflow. Without it, runs bring their own features online.")


def follow(steps: terminal.Steps, event: Event) -> None:
    """Show a service's change of state."""
    if event.state in ("starting", "waiting"):
        steps.start(event.service)
    elif event.state in ("healthy", "running", "completed", "failed", "restarting", "stopped"):
        steps.end(event.service, event.state, event.why, event.seconds)


Step = Callable[[Up], None]
CHECKS: tuple[Step, ...] = (take_settings, plan, check_dataset, show_difference, check_machine, check_store)
CHANGES: tuple[Step, ...] = (
    make_folders,
    take_webhook,
    stop_other_engine,
    move_models_out,
    record_tier,
    start_services,
    bring_notebooks,
    move_models_in,
    prepare_repository,
    record_route,
    take_dataset,
    show_leader,
    first_run,
    show_schedule,
)
