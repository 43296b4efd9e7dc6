"""``pantheon dvc …``, and bringing a version back: git and DVC work where the workflow does, on either engine."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pantheon.cli.options import Name, parts
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT

# For main.py: app.command(**versioning.DVC)(versioning.dvc)
DVC: dict[str, Any] = {
    "name": "dvc",
    "context_settings": {  # what follows the first word is DVC's, `exp run --name` too
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
}


def dvc(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(help="what DVC itself takes: repro, exp show …")] = None,
    name: Name = "pantheon",
) -> None:
    """DVC in the deployment's repository: ``pantheon dvc exp show``. bin/dvc is the same, in a terminal there."""
    from pantheon.cli import show

    deployment, _, engine = parts(name, "")
    arguments = [*(words or []), *context.args]
    folder = within(deployment.state, Path.cwd())
    if not (deployment.state / "repositories" / "main" / ".dvc").is_dir():
        raise PantheonError("this deployment has no DVC: the tier odysseus brings it.", "Grow: make tier-odysseus up")
    if engine.name == "local":
        os.chdir(deployment.state / folder)
        os.execv(ROOT / "bin" / "dvc", ["dvc", *arguments])  # noqa: S606
    command = ["python", "-S", "-P", "pantheon/versioning/launch.py", "--in", str(folder), *arguments]
    status = engine.run_task("workflow", command, on_output=lambda line: show.out.out(line))
    raise typer.Exit(status)


def within(state: Path, folder: Path) -> Path:
    """The repository that ``folder`` lies in, relative to the state folder; the main one where it lies in none."""
    repositories = (state / "repositories").resolve()
    try:
        inside = folder.resolve().relative_to(repositories)
    except ValueError:
        inside = Path()
    return Path("repositories") / inside if inside.parts else Path("repositories/main")


def prepare(deployment: Any, engine: Any) -> None:
    """Make the deployment's repository where there is none: in the workflow's surroundings, which have git.

    Raises:
        PantheonError: git is not installed, the keys of the store are missing …
    """
    from pantheon.cli.workflow import Task
    from pantheon.versioning import repository

    if repository.is_prepared(deployment.state):
        return  # without starting anything
    Task(engine)(["version-prepare"])


def checkout(deployment: Any, engine: Any, model: str, version: str) -> dict[str, Any]:
    """Bring back what made a version, and say where it lies and how to repeat it.

    Returns:
        ``{"path", "commit", "run", "there", "warning"}``.

    Raises:
        PantheonError: it was made without DVC, its folder has changes of somebody's own …
    """
    from pantheon.cli import show
    from pantheon.cli.workflow import Task, relative

    events: list[dict[str, Any]] = []
    with show.steps() as steps:
        steps.start("bringing back")
        try:
            Task(engine)(["version-checkout", "--model", model, "--version", version], events.append)
        except BaseException:
            steps.drop("bringing back")
            raise
        steps.drop("bringing back")
    found = {key: value for key, value in events[-1].items() if key != "event"}
    folder = deployment.state / "repositories" / Path(found["path"]).name  # a container knows it by another path
    found["path"] = str(folder)
    how = "is there already, as it was made" if found["there"] else "is back, bit for bit: parameters, spec and data"
    show.say(f"[green]✓[/] version {version} of {model} {how}; commit {found['commit'][:12]}, run {found['run']}")
    if found["warning"]:
        show.say(f"[yellow]![/] {found['warning']}")
    show.say(f"  To make it again: PATH=$PWD/bin:$PATH; cd {relative(folder)} && dvc repro -f")
    return found
