"""Runs the workflow as a pipeline without any network, while its service is killed; see ``outcome``.

``unshare --map-root-user --net python -m tests.support.pipelines_inside.offline STATE`` prints what it found as JSON.
"""

import fcntl
import json
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.kubeflow import Service, ended, manifest
from tests.support.waiting import until

ENVIRONMENTS = ROOT / ".pantheon" / "envs"
RUN = "20260131-142500-0a1b"
SIOCSIFFLAGS, UP = 0x8914, 1
SECONDS = 300.0


def loopback() -> None:
    """Bring up this network's only interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP))
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


def outcome(state: Path) -> dict[str, Any]:
    """Run the pipeline, and kill its service while the TrainJob of the step train runs."""
    service = Service(state, "pantheon.kubeflow", str(ENVIRONMENTS / "kubeflow/bin/python"))
    environment = {
        "WORKFLOW_ENVIRONMENT": str(ENVIRONMENTS / "workflow"),
        "KUBEFLOW_URL": f"http://127.0.0.1:{service.port}",
        "KUBEFLOW_KEY_FILE": str(service.key),
    }
    client = service.start(**environment)
    try:
        parameters = {"run": RUN, "trials": 2, "folds": 2}
        spec = {"pipelineRef": {"name": "workflow"}, "parameters": parameters}
        client.apply(manifest("offline", kind="PipelineRun", version="pantheon.org/v1", **spec))
        until(lambda: any(each["status"].get("nodes") for each in client.list("trainjobs")), SECONDS, "nodes train")
        service.end(signal.SIGKILL)
        service.start(**environment)
        found = client.wait("pipelineruns", "offline", ended, SECONDS)
        assert found and ended(found, "Succeeded"), (found, service.output)
        log = client.log("pipelineruns", "offline", "train.log")[0].decode()
        return {
            "run": found,
            "jobs": client.list("trainjobs"),
            "experiments": client.list("experiments"),
            "log": log,
        }
    finally:
        service.end(signal.SIGTERM)


if __name__ == "__main__":
    loopback()
    print(json.dumps(outcome(Path(sys.argv[1]))))
