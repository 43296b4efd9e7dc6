"""``pantheon feast …``: run Feast in the deployment's repository."""

from typing import Annotated, Any

import typer

from pantheon.cli.options import Name, running

OPTIONS: dict[str, Any] = {  # for app.command
    "name": "feast",
    "context_settings": {  # pass everything after the first argument to Feast, including `--name`
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
}


def feast(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="arguments for Feast: apply, feature-views list …")
    ] = None,
    name: Name = "pantheon",
) -> None:
    """Run Feast in the deployment's repository: ``pantheon feast feature-views list``."""
    from pantheon import terminal
    from pantheon.errors import PantheonError

    deployment, _, engine = running(name, "", "feast")
    if not deployment.settings.route.features:
        raise PantheonError(
            "this deployment does not have Feast, which the tier hephaestus adds.",
            f"Grow to it: `{deployment.command('up', tier='hephaestus')}`",
        )
    command = ["python", "-m", "pantheon.features.launch", *(arguments or []), *context.args]
    with terminal.steps() as shown:
        shown.start("Feast starts")

        def output(line: str) -> None:
            shown.close()
            terminal.out.out(line)

        def errors(line: str) -> None:
            shown.close()
            terminal.err.out(line)

        status = engine.run_task("feast", command, on_output=output, on_errors=errors)
    raise typer.Exit(status)
