"""What several verbs take: options with their settings' names, and the deployment that they speak of."""

from typing import Annotated, Any

import typer

TierName = Annotated[str, typer.Argument(help="persephone, daedalus …; without it, the tier that the deployment is at")]
Name = Annotated[str, typer.Option("--name", envvar="PANTHEON_NAME", help="the deployment")]
EngineName = Annotated[str, typer.Option("--engine", envvar="PANTHEON_ENGINE", help="local, compose or helm")]
Offset = Annotated[int | None, typer.Option("--port-offset", envvar="PANTHEON_PORT_OFFSET", help="added to every port")]
Data = Annotated[
    str, typer.Option("--data", envvar="PANTHEON_DATA", help="a bundled dataset, or a CSV, Parquet or Excel file")
]
Target = Annotated[str, typer.Option("--target", envvar="PANTHEON_TARGET", help="the column to predict")]
Approval = Annotated[
    str | None, typer.Option("--approval", envvar="PANTHEON_APPROVAL", help="auto, or required: a person decides")
]
Trials = Annotated[
    int | None, typer.Option("--trials", envvar="PANTHEON_TRIALS", help="tuning trials for each family of models")
]
Seed = Annotated[int | None, typer.Option("--seed", envvar="PANTHEON_SEED", help="seed of every random choice")]
Without = Annotated[
    str, typer.Option("--without", envvar="PANTHEON_WITHOUT", help="leave components out: airflow, jupyter …; none")
]
Json = Annotated[bool, typer.Option("--json", envvar="PANTHEON_JSON", help="print JSON for scripts")]
Note = Annotated[str, typer.Option("--note", envvar="PANTHEON_NOTE", help="a note kept with the decision")]


def opened(name: str, must_exist: bool = True) -> Any:
    from pantheon.cli.deployment import Deployment

    deployment = Deployment(name or "pantheon")
    return deployment.must_exist() if must_exist else deployment


def parts(name: str, tier: str, loud: bool = False) -> Any:
    """An existing deployment, its tier and its engine."""
    from pantheon.cli.up import tier_of

    deployment = opened(name)
    chosen = tier_of(deployment, tier or deployment.settings.tier)
    return deployment, chosen, deployment.engine(chosen, loud=loud)
