"""``pantheon dvc …``: run DVC in the deployment's repository."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pantheon.cli.options import Name, running
from pantheon.tiers import ROOT

OPTIONS: dict[str, Any] = {  # for app.command
    "name": "dvc",
    "context_settings": {  # pass everything after the first argument to DVC, including `exp run --name`
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
}


def dvc(
    context: typer.Context,
    arguments: Annotated[list[str] | None, typer.Argument(help="arguments for DVC: repro, exp show …")] = None,
    name: Name = "pantheon",
) -> None:
    """Run DVC in the deployment's repository: ``pantheon dvc exp show``. In that folder, bin/dvc does the same."""
    from pantheon import terminal
    from pantheon.deployment import versions

    deployment, _, engine = running(name, "", "dvc")
    versions.must_have_dvc(deployment)
    dvc_arguments = [*(arguments or []), *context.args]
    folder = versions.inside(deployment.state, Path.cwd())
    if engine.on_host:
        os.chdir(deployment.state / folder)
        os.execv(ROOT / "bin" / "dvc", ["dvc", "--here", *dvc_arguments])  # noqa: S606
    command = ["python", "-S", "-P", "pantheon/versioning/launch.py", "--in", str(folder), *dvc_arguments]
    raise typer.Exit(engine.run_task("workflow", command, on_output=lambda line: terminal.out.out(line)))
