"""Options that several commands share, named after their settings, and the deployment that a command acts on."""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from pantheon.deployment import commands, settings
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.deployment.deployment import Deployment
    from pantheon.engines import Engine
    from pantheon.tiers import Tier

TierName = Annotated[str, typer.Argument(help="persephone, daedalus …; default: the deployment's current tier")]
TierOption = Annotated[str, typer.Option("--tier", help="the deployment's current tier")]
Name = Annotated[str, typer.Option("--name", envvar="PANTHEON_NAME", help="the deployment's name")]
EngineName = Annotated[str, typer.Option("--engine", envvar="PANTHEON_ENGINE", help="compose, local or helm")]
Offset = Annotated[
    int | None,
    typer.Option(
        "--port-offset",
        envvar="PANTHEON_PORT_OFFSET",
        parser=settings.port_offset,
        metavar="INTEGER",
        help="number to add to every port",
    ),
]
Data = Annotated[
    str, typer.Option("--data", envvar="PANTHEON_DATA", help="a bundled dataset, or a CSV, Parquet or Excel file")
]
Target = Annotated[str, typer.Option("--target", envvar="PANTHEON_TARGET", help="the column to predict")]
Approval = Annotated[
    str | None,
    typer.Option(
        "--approval",
        envvar="PANTHEON_APPROVAL",
        parser=settings.approval,
        metavar="TEXT",
        help="auto, or required: a person approves new models",
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        envvar="PANTHEON_TRIALS",
        parser=settings.trials,
        metavar="INTEGER",
        help="tuning trials per model family",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", envvar="PANTHEON_SEED", parser=settings.seed, metavar="INTEGER", help="the random seed"),
]
Ignore = Annotated[
    str,
    typer.Option(
        "--ignore", envvar="PANTHEON_IGNORE", help="columns to leave out from now on, with commas between them"
    ),
]
Header = Annotated[
    str,
    typer.Option(
        "--header", envvar="PANTHEON_HEADER", help="none: no line of the file names the columns; they are column_1 …"
    ),
]
Infer = Annotated[
    str,
    typer.Option(
        "--infer", envvar="PANTHEON_INFER", help="again: infer the columns of a known dataset again; edits are kept"
    ),
]
Dataset = Annotated[
    str,
    typer.Option(
        "--dataset", envvar="PANTHEON_DATASET", help="the dataset that the file belongs to; default: named after it"
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        envvar="PANTHEON_FOLDS",
        parser=settings.folds,
        metavar="INTEGER",
        help="cross-validation folds; fewer for rare classes",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        envvar="PANTHEON_METRIC",
        parser=settings.metric,
        metavar="TEXT",
        help="what models are chosen and judged by: mae, pr_auc …; auto: ROC AUC or RMSE",
    ),
]
Without = Annotated[
    str,
    typer.Option("--without", envvar="PANTHEON_WITHOUT", help="components to leave out: airflow, jupyter …; or none"),
]
Registry = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="PANTHEON_REGISTRY",
        parser=settings.registry,
        metavar="TEXT",
        help="where to push images for a cluster, such as registry.example.com/team; none: load them into its nodes",
    ),
]
InCluster = Annotated[
    str | None,
    typer.Option(
        "--registry-in-cluster",
        envvar="PANTHEON_REGISTRY_IN_CLUSTER",
        parser=settings.registry,
        metavar="TEXT",
        help="the name that nodes have for the registry, if it is another one",
    ),
]
Json = Annotated[bool, typer.Option("--json", envvar="PANTHEON_JSON", help="print JSON for scripts")]
Note = Annotated[str, typer.Option("--note", envvar="PANTHEON_NOTE", help="a note to store with the decision")]
Confirm = Annotated[str, typer.Option("--confirm", envvar="PANTHEON_CONFIRM", help="yes: do not ask for confirmation")]

_subject = {"name": commands.DEFAULT, "tier": ""}  # the deployment of the current command, for its error messages


def opened(name: str) -> "Deployment":
    """Return the deployment ``name``, which need not exist."""
    from pantheon.deployment.deployment import Deployment

    _subject.update(name=name or commands.DEFAULT)  # for errors about its settings
    deployment = Deployment(name or commands.DEFAULT)
    about(deployment, deployment.settings.tier)
    return deployment


def about(deployment: "Deployment", tier: str) -> None:
    """Complete commands in later messages for ``deployment`` at ``tier``."""
    _subject.update(name=deployment.name, tier=tier)


def existing(name: str, tier: str, verb: str) -> tuple["Deployment", "Tier"]:
    """Return the deployment that the command ``verb`` acts on, and its tier; ``tier`` as on the command line."""
    from pantheon.deployment import opening

    opened(name)
    return opening.existing(name, tier, verb)


def running(name: str, tier: str, verb: str, loud: bool = False) -> tuple["Deployment", "Tier", "Engine"]:
    """Return ``existing`` and the deployment's engine; ``loud`` prints its external commands."""
    deployment, chosen = existing(name, tier, verb)
    return deployment, chosen, deployment.engine(chosen, loud=loud)


def completed(message: str) -> str:
    """Return ``message`` with its commands completed for the current command's deployment."""
    return commands.complete(message, _subject["name"], _subject["tier"])


def confirm_first(cause: str, command: str, answer: str) -> None:
    """Make the user type ``answer``; without a terminal, fail and name ``command``, which needs no confirmation."""
    if not sys.stdin.isatty():
        raise PantheonError(cause, f"To confirm: `{command}`")
    if typer.prompt(f"{cause} Type {answer} to continue") != answer:
        raise PantheonError("nothing was done.", status=1)


def interrupt_when_ended() -> None:
    """Let SIGTERM and SIGHUP interrupt the command like Ctrl-C, so that it cleans up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
