"""The environment of a node: what Trainer, JobSet and Kubernetes set, and where its volumes are on this machine."""

import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from pantheon.kubeflow.trainer.plan import Plan
from pantheon.kubeflow.trainer.runtimes import NODE

MASTER = "127.0.0.1"
PORT = 29500
"""The port of the first node, in Trainer; here the first free one from it on, since jobs share the machine."""
MOST_PORTS = 1000
DEPLOYMENT = "pantheon"
"""The claim that is the deployment's own folder; any other one is a folder of the TrainJob."""
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")


def free_port(taken: Iterable[int]) -> int:
    """Return the first port from ``PORT`` on that nothing listens on, and that is not in ``taken``."""
    avoided = set(taken)
    for port in range(PORT, PORT + MOST_PORTS):
        if port in avoided:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((MASTER, port))
            except OSError:
                continue
        return port
    raise OSError(f"no port from {PORT} to {PORT + MOST_PORTS - 1} is free")


def passed(names: Iterable[str]) -> dict[str, str]:
    """Return those of this service's own variables that are set."""
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def pod(name: str, index: int) -> str:
    """Return the name of a node: that of its pod in a cluster, without the random ending."""
    return f"{name}-{NODE}-0-{index}"


def folders(plan: Plan, folder: Path, state: Path) -> dict[str, Path]:
    """Return where each mounted path is on this machine.

    Args:
        folder: of the TrainJob's own files.
        state: the deployment's.
    """
    claims = {each.name: each.persistent_volume_claim.claim_name for each in plan.volumes}
    own = {name: state if claim == DEPLOYMENT else folder / "volumes" / name for name, claim in claims.items()}
    return {each.mount_path: own[each.name] for each in plan.mounts}


def localised(text: str, places: dict[str, Path]) -> str:
    """Replace paths below mounted ones by those on this machine."""
    for mounted, here in places.items():
        parts = re.split(rf"(?<![\w./-]){re.escape(mounted)}(?![\w.-])", text)
        text = str(here).join(parts)
    return text


def expanded(text: str, values: dict[str, str]) -> str:
    """Replace ``$(VAR)`` as Kubernetes does: unknown names stay, and ``$$`` is one dollar."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else values.get(found[2], found[0])

    return _REFERENCE.sub(value, text)


def node(plan: Plan, name: str, index: int, port: int, places: dict[str, Path]) -> tuple[list[str], dict[str, str]]:
    """Return the command and the variables of one node.

    Args:
        name: of the TrainJob.
        index: of the node, from 0.
        port: of the first node.
    """
    values = {"JOB_COMPLETION_INDEX": str(index), "HOSTNAME": pod(name, index)}
    for each in plan.variables:
        values[each.name] = expanded(localised(each.value, places), values)
    if plan.told:
        values |= rendezvous(plan, index, port)
    return [expanded(localised(word, places), values) for word in plan.command], values


def rendezvous(plan: Plan, index: int, port: int) -> dict[str, str]:
    """Return what tells a node about the others, as the plugins of Trainer do."""
    if plan.kind == "torch":
        return {
            "PET_NNODES": str(plan.nodes),
            "PET_NPROC_PER_NODE": str(plan.processes),
            "PET_NODE_RANK": str(index),
            "PET_MASTER_ADDR": MASTER,
            "PET_MASTER_PORT": str(port),
        }
    if plan.kind == "jax":
        return {
            "JAX_NUM_PROCESSES": str(plan.nodes),
            "JAX_PROCESS_ID": str(index),
            "JAX_COORDINATOR_ADDRESS": f"{MASTER}:{port}",
        }
    if plan.kind == "xgboost":
        return {
            "DMLC_TRACKER_URI": MASTER,
            "DMLC_TRACKER_PORT": str(port),
            "DMLC_TASK_ID": str(index),
            "DMLC_NUM_WORKER": str(plan.nodes),
        }
    return {}
