"""The deployment's git repository with DVC, for commands: git and DVC run where the workflow runs."""

from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError


def must_have_dvc(deployment: Deployment) -> None:
    """Raise PantheonError if the deployment has no repository with DVC."""
    if deployment.settings.route.data != "dvc":
        raise PantheonError(
            "this deployment does not have DVC, which the tier odysseus adds.",
            f"Grow to it: `{deployment.command('up', tier='odysseus')}`",
        )


def inside(state: Path, folder: Path) -> Path:
    """Return ``folder`` relative to the state folder if it is in one of its repositories; else the main repository."""
    repositories = (state / "repositories").resolve()
    try:
        within = folder.resolve().relative_to(repositories)
    except ValueError:
        within = Path()
    return Path("repositories") / within if within.parts else Path("repositories/main")


def prepare(deployment: Deployment, engine: Engine) -> None:
    """Create the deployment's repository if it is missing, in the workflow's environment, which has git.

    Raises:
        PantheonError: git is not installed, the keys of the store are missing …
    """
    step, done = "repository with DVC", dict[str, Any]()
    with terminal.steps() as steps:
        steps.start(step)
        try:
            Task(engine)(["version-prepare"], done.update)
        except BaseException:
            steps.end(step, "failed")
            raise
        if done["changed"]:
            steps.end(step)
        else:
            steps.drop(step)
    if done["warning"]:
        terminal.say(f"[yellow]![/] {terminal.plain(done['warning'])}")


def checkout(deployment: Deployment, engine: Engine, model: str, version: str) -> dict[str, Any]:
    """Restore what made a version, in a separate folder, and print how to train it again.

    Returns:
        ``{"path", "commit", "run", "there", "warning"}``.

    Raises:
        PantheonError: the version was made without DVC, its folder has changes of the user's …
    """
    events: list[dict[str, Any]] = []
    with terminal.step(f"restoring version {version}"):
        Task(engine)(["version-checkout", "--model", model, "--version", version], events.append)
    restored = {key: value for key, value in events[-1].items() if key != "event"}
    folder = deployment.state / "repositories" / Path(restored["path"]).name  # a container has it at another path
    restored["path"] = str(folder)
    how = "was restored before and is unchanged" if restored["there"] else "is restored: parameters, spec and data"
    done = f"version {version} of {model} {how}; commit {restored['commit'][:12]}, run {restored['run']}"
    terminal.say(f"{terminal.MARKS['done']} {terminal.plain(done)}")
    if restored["warning"]:
        terminal.warn(restored["warning"])
    terminal.say(
        f"  To train it again: PATH=$PWD/bin:$PATH; cd {terminal.plain(terminal.relative(folder))} && dvc repro -f"
    )
    return restored
