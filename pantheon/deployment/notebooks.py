"""Copy the shipped notebooks to JupyterLab's folder, with a task in JupyterLab's environment."""

import hashlib
import json

from pantheon import terminal
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.files import write_text
from pantheon.jupyter.client import Gone, Jupyter
from pantheon.jupyter.notebooks import SHIPPED, shipped
from pantheon.state import Route

RECORD = "notebooks.digest"  # in the deployment's folder: the digest of the notebooks copied last
COMMAND = ("python", "-m", "pantheon.jupyter.notebooks")


def bring(deployment: Deployment, engine: Engine, route: Route) -> None:
    """Copy the notebooks that the deployment's workflow runs, if any are new or missing.

    Raises:
        PantheonError: the task failed; includes its last lines.
    """
    if route.rest == "dataflow" or not any(each.name == "jupyter" for each in engine.planned()):
        return
    digest, file = _digest(route), deployment.state / RECORD
    copied = file.read_text(encoding="utf-8") if file.exists() else ""
    if copied == digest and not _missing(deployment, engine, route):
        return
    lines: list[str] = []
    command = [*COMMAND, "--rest", route.rest, "--models", route.models]
    if engine.run_task("jupyter", command, on_output=lines.append):
        last = "\n".join(lines[-15:])
        raise PantheonError(f"could not copy the shipped notebooks into JupyterLab:\n{last}", status=1)
    for name in json.loads(lines[-1])["kept"]:
        terminal.warn(
            f"notebooks/{name} has changes of yours and was not replaced; notebooks/ in the clone has a newer version"
        )
    write_text(file, digest)


def _digest(route: Route) -> str:
    """Return a digest of the shipped notebooks and of what runs them."""
    digest = hashlib.sha256(f"{route.rest} {route.models}".encode())
    for path in sorted(SHIPPED.glob("*.ipynb")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _missing(deployment: Deployment, engine: Engine, route: Route) -> bool:
    """Return whether a notebook that the workflow runs is missing.

    True if JupyterLab does not answer; False if it cannot be asked from here.
    """
    token, where = deployment.state / "secrets" / "jupyter_token", address(engine)
    if not where:  # JupyterHub is in front of it: its port is not published by containers
        return False
    try:
        lab = Jupyter(where, token.read_text(encoding="utf-8").strip(), retry_seconds=0.0)
        names = {item["name"] for item in lab.get("/api/contents?content=1")["content"]}
    except (PantheonError, Gone, OSError):
        return True
    return not {path.name for path in shipped(route)} <= names


def address(engine: Engine, inside: bool = False) -> str:
    """Return the address of the JupyterLab that runs notebooks; empty if it has none. See ``Engine.address``."""
    found = engine.address("jupyter", inside)
    return f"http://{found}" if found and "://" not in found else found
