"""``up``: start a deployment, or move it to another tier."""

from typing import Annotated

import typer

from pantheon.cli.options import (
    Approval,
    Confirm,
    Data,
    Dataset,
    EngineName,
    Folds,
    Header,
    InCluster,
    Infer,
    Json,
    Metric,
    Name,
    Offset,
    Registry,
    Seed,
    Target,
    TierName,
    Trials,
    Without,
    about,
    confirm_first,
    opened,
)
from pantheon.deployment import settings

Variant = Annotated[
    str,
    typer.Option(
        "--variant", envvar="PANTHEON_VARIANT", help="a variant of the tier, such as pycaret or kserve; or none"
    ),
]
S3 = Annotated[
    str,
    typer.Option(
        "--s3-endpoint-url",
        envvar=["PANTHEON_S3_ENDPOINT_URL", "S3_ENDPOINT_URL"],
        help="the URL of another S3, with its keys in AWS_ACCESS_KEY_ID …; aws; none: the tier's own S3",
    ),
]
Bucket = Annotated[
    str, typer.Option("--s3-bucket", envvar=["PANTHEON_S3_BUCKET", "S3_BUCKET"], help="the bucket in that S3")
]
Schedule = Annotated[
    str | None,
    typer.Option("--schedule", envvar="PANTHEON_SCHEDULE", help="the cron schedule of Airflow's runs; off: none"),
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        envvar="PANTHEON_LOG",
        parser=settings.log,
        metavar="TEXT",
        help="answers that cannot be logged: required (refuse them), best-effort or off",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--predictions-keep",
        envvar="PANTHEON_PREDICTIONS_KEEP",
        parser=settings.predictions_keep,
        metavar="TEXT",
        help="for how long predictions are kept, such as 90d; or forever",
    ),
]
Monitor = Annotated[
    str | None,
    typer.Option(
        "--monitor",
        envvar="PANTHEON_MONITOR",
        parser=settings.monitor,
        metavar="TEXT",
        help="when Airflow runs the monitor: hourly, daily, a cron schedule; or off",
    ),
]
Materialize = Annotated[
    str | None,
    typer.Option(
        "--materialize",
        envvar="PANTHEON_MATERIALIZE",
        parser=settings.materialize,
        metavar="TEXT",
        help="when Airflow brings features online: hourly, daily, a cron schedule; or off",
    ),
]
MonitorReport = Annotated[
    str | None,
    typer.Option(
        "--monitor-report",
        envvar="PANTHEON_MONITOR_REPORT",
        parser=settings.monitor_report,
        metavar="TEXT",
        help="evidently: the monitor also makes Evidently's HTML report; or none",
    ),
]
Retrain = Annotated[
    str | None,
    typer.Option(
        "--retrain",
        envvar="PANTHEON_RETRAIN",
        parser=settings.retrain,
        metavar="TEXT",
        help="the shortest time between two retrainings that the monitor starts, such as 24h; or off",
    ),
]
FirstRun = Annotated[
    bool, typer.Option("--run/--no-run", envvar="PANTHEON_RUN", help="run the workflow once if no model exists yet")
]


def up(
    tier: TierName = "",
    name: Name = "pantheon",
    engine: EngineName = "",
    data: Data = "",
    target: Target = "",
    header: Header = "",
    infer: Infer = "",
    dataset: Dataset = "",
    port_offset: Offset = None,
    approval: Approval = None,
    trials: Trials = None,
    seed: Seed = None,
    folds: Folds = None,
    metric: Metric = None,
    without: Without = "",
    variant: Variant = "",
    s3: S3 = "",
    bucket: Bucket = "",
    schedule: Schedule = None,
    log: Log = None,
    predictions_keep: Keep = None,
    monitor: Monitor = None,
    monitor_report: MonitorReport = None,
    materialize: Materialize = None,
    retrain: Retrain = None,
    registry: Registry = None,
    registry_in_cluster: InCluster = None,
    run: FirstRun = True,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Start a tier, or move the deployment to it in place; does nothing if it is already up."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import alerting, opening, trust
    from pantheon.deployment import up as starting
    from pantheon.deployment.datasets import Asked

    deployment = opened(name)
    chosen = opening.to_bring_up(deployment, tier)
    about(deployment, chosen.name)
    if confirm != "yes" and (folders := trust.code_of_containers(deployment, chosen, engine)):
        cause = (
            f"After this move, code that containers could write runs on this machine as you: see {', '.join(folders)} "
            f"in {deployment.state}."
        )
        confirm_first(cause, deployment.command("up", tier=chosen.name, engine=engine, confirm="yes"), deployment.name)
    webhook = alerting.from_environment()
    options = starting.Options(
        engine=engine,
        asked=Asked(data, target, header, infer, dataset),
        port_offset=port_offset,
        approval=approval,
        trials=trials,
        seed=seed,
        folds=folds,
        metric=metric,
        without=without,
        variant=variant,
        s3_endpoint=s3,
        s3_bucket=bucket,
        schedule=schedule,
        log=log,
        predictions_keep=predictions_keep,
        monitor=monitor,
        materialize=materialize,
        monitor_report=monitor_report,
        retrain=retrain,
        registry=registry,
        registry_in_cluster=registry_in_cluster,
        alert_webhook=webhook,
        first_run=run,
    )
    result = starting.up(deployment, chosen, options)
    if "outcome" in result:
        views.show_outcome(result["outcome"], deployment)
    terminal.print_json(result) if as_json else views.show_status(result)
    if result.get("outcome", {}).get("decision") == "refused" or result["refused"]:
        raise typer.Exit(1)
