"""The service kubeflow as a process, with a kind for tests (``kubeflow_inside.counting``) or with its own kinds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from pantheon.kubeflow.client import Http, Kubeflow
from pantheon.processes import find, table
from tests.support import ROOT
from tests.support.dataflow import Client
from tests.support.ports import free_ports
from tests.support.waiting import until

KEY = "sesame4711"
COUNTING = "tests.support.kubeflow_inside.counting"


def manifest(
    name: str, namespace: str = "", kind: str = "Count", version: str = "tests.pantheon/v1", **spec: Any
) -> bytes:
    """Return a manifest as YAML."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).encode()


class Service:
    """One service on one state folder; call ``start`` again after it was killed.

    Args:
        module: what runs it: ``COUNTING``, or ``pantheon.kubeflow``.
        python: that runs it.
    """

    def __init__(self, state: Path, module: str = COUNTING, python: str = sys.executable) -> None:
        self.python = python
        self.state, self.module, self.log = state, module, state / "kubeflow.log"
        self.port = free_ports(1)[0]
        self.raw = Client(self.port, {"Authorization": f"Bearer {KEY}"})
        self.key = state / "secrets" / "kubeflow" / "key"
        self.key.parent.mkdir(parents=True, exist_ok=True)
        self.key.write_text(KEY + "\n")
        self.client = Kubeflow(Http(f"http://127.0.0.1:{self.port}", self.key), "ada")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> Kubeflow:
        given = {
            **os.environ, "PYTHONPATH": str(ROOT), "STATE_DIR": str(self.state), "KUBEFLOW_BIND": "127.0.0.1",
            "KUBEFLOW_PORT": str(self.port), **environment,
        }  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-P", "-m", self.module], env=given, cwd=self.state, stdout=log, stderr=log
            )
        until(self.answers)
        return self.client

    def answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.output
        try:
            return self.raw("GET", "/healthz", Authorization="").status == 200
        except OSError:
            return False

    def end(self, number: int) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def children(self) -> list[int]:
        """Return the processes that name this state folder in their command line, except the service."""
        mine = str(self.state).encode()
        found = []
        for pid in table():
            try:
                named = mine in Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if named and find(pid):
                found.append(pid)
        return found


def ended(found: dict[str, Any], *types: str) -> bool:
    """Return whether one of these conditions is true; by default, those that end an object."""
    conditions = found["status"].get("conditions", [])
    return any(each["status"] == "True" and each["type"] in (types or ("Succeeded", "Failed")) for each in conditions)
