"""A cluster to test with: the kubeconfig that PANTHEON_TEST_KUBECONFIG names; without one the tests are skipped."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command_line import Pantheon, make_pantheon

ROBOT = '{"robot-age": 5, "rust-level": 9, "battery": "low"}'
GIVEN = os.environ.get("PANTHEON_TEST_KUBECONFIG", "")
# how images come to the nodes; values of the test machine's chart; the PATH with `helm` and `kubectl`
PASSED = ("REGISTRY", "REGISTRY_IN_CLUSTER", "VALUES", "IMPORT_IMAGES")


def missing() -> str:
    """Return why there is no cluster to test with; empty if there is one."""
    if not GIVEN:
        return "PANTHEON_TEST_KUBECONFIG names no kubeconfig"
    for program in ("kubectl", "helm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    done = subprocess.run(
        ["kubectl", "--kubeconfig", GIVEN, "get", "namespaces", "-o", "name", "--request-timeout=10s"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"the cluster does not answer: {done.stderr.strip()[-200:]}" if done.returncode else ""


@dataclass
class Clustered:
    """A deployment in the cluster, in a namespace of its own."""

    pantheon: Pantheon
    name: str

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        command = ["kubectl", "--kubeconfig", GIVEN, "-n", self.name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def pods(self) -> dict[str, str]:
        """The uid of each running service's pod; none of tasks and one-offs."""
        return {
            each["metadata"]["labels"]["app.kubernetes.io/component"]: each["metadata"]["uid"]
            for each in self.objects("pods")
            if each["metadata"].get("ownerReferences", [{}])[0].get("kind") != "Job"
        }

    @property
    def state(self) -> Path:
        return self.pantheon.home / self.name


@contextmanager
def clustered(home: Path, **settings: str) -> Iterator[Clustered]:
    """A deployment that is not up yet. At the end nothing of it is left in the cluster and on this machine."""
    name = f"pantheon-test-{secrets.token_hex(3)}"
    given = {key: os.environ[f"PANTHEON_TEST_{key}"] for key in PASSED if f"PANTHEON_TEST_{key}" in os.environ}
    pantheon = make_pantheon(home, ENGINE="helm", NAME=name, **{**given, **settings})
    pantheon.settings["KUBECONFIG"] = GIVEN
    made = Clustered(pantheon, name)
    try:
        yield made
    finally:
        with suppress(AssertionError):
            pantheon("destroy", "--confirm", "yes", check=False)
        made.kubectl("delete", "namespace", name, "--ignore-not-found", check=False)
        left = subprocess.run(["pgrep", "-f", f"-n {name} port-forward"], capture_output=True, text=True, check=False)
        assert left.stdout == ""
