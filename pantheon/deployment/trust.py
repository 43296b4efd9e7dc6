"""Code that containers could write, and that runs on this machine after a deployment moves out of its containers."""

from pathlib import Path

import pantheon.features
from pantheon.deployment.deployment import Deployment
from pantheon.tiers import Tier

TEMPLATE = Path(pantheon.features.__file__).parent / "template"  # of Feast's repository, before anyone changed it


def code_of_containers(deployment: Deployment, tier: Tier, engine: str) -> list[str]:
    """Return folders that may contain such code, if this ``up`` moves the deployment from containers to this machine.

    Args:
        engine: the choice on the command line; may be empty.

    Returns:
        Paths in the state folder that are not empty, such as ``extensions`` and ``volumes/jupyter``.

    Raises:
        PantheonError: the engine does not exist.
    """
    before, after = deployment.settings.engine, deployment.choose_engine(engine)[0]
    if before in ("", after) or deployment.engine(tier, before).on_host or not deployment.engine(tier, after).on_host:
        return []
    state = deployment.state
    folders = [state / "extensions", state / "notebooks"]
    folders += [folder for name in ("repositories", "volumes") for folder in sorted((state / name).glob("*"))]
    if _has_files(state / "feast", besides=TEMPLATE):
        folders.append(state / "feast")
    return [str(folder.relative_to(state)) for folder in folders if _has_files(folder)]


def _has_files(folder: Path, besides: Path | None = None) -> bool:
    """Whether the folder has a file; those that are the same in ``besides`` do not count."""
    return any(
        path.is_file() and not path.is_symlink() and not (besides and _same(path, besides / path.relative_to(folder)))
        for path in folder.rglob("*")
    )


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
