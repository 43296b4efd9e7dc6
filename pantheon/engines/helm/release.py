"""The Helm release of a deployment: install, upgrade, scale to nothing, remove."""

import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pantheon.engines.helm.kube import Forbidden, Kube, Missing, Refused
from pantheon.engines.helm.workloads import INSTANCE, RELEASE
from pantheon.errors import PantheonError

OURS = "pantheon/namespace"  # a label of a namespace that `up` made
PENDING = "another operation (install/upgrade/rollback) is in progress"
SECONDS = 300.0
TEST_SECONDS = 120.0
GONE_SECONDS = 120.0  # for pods to end
POLL_SECONDS = 0.5


class Release:
    """The release ``pantheon`` in the deployment's namespace.

    Args:
        chart: the folder of the chart.
        files: returns the values files, the most general one first.
    """

    def __init__(self, kube: Kube, chart: Path, files: Callable[[], Sequence[Path]]) -> None:
        self.kube, self.chart, self.files = kube, chart, files

    def make_namespace(self) -> None:
        """Create the namespace unless it exists; a user without rights in the cluster has one."""
        kube = self.kube
        try:
            kube.run(kube.kubectl("get", "namespace", kube.namespace, "-o", "name"))
            return
        except Forbidden:
            return
        except Missing:
            pass
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace, "labels": {OURS: "yes"}}}
        kube.echo(shlex.join(kube.kubectl("create", "namespace", kube.namespace)))
        try:
            kube.run(kube.kubectl("create", "-f", "-"), input=json.dumps(made).encode())
        except Forbidden:
            raise PantheonError(
                f"The namespace {kube.namespace} does not exist, and you may not create it.",
                "Ask whoever runs the cluster for it, or use the name of one of yours: NAME=….",
                1,
            ) from None

    def upgrade(self, held: int, *more: str) -> None:
        """Install the release, or change it. Returns when the cluster has taken the objects; pods start later.

        Args:
            held: the descriptor of the deployment's lock.
            more: options of `helm upgrade`.

        Raises:
            PantheonError: values contradict each other, or the cluster refuses an object.
        """
        given = [argument for path in self.files() for argument in ("-f", str(path))]
        shown = [argument for path in self.files() for argument in ("-f", os.path.relpath(path))]
        start, end = ("upgrade", "--install", RELEASE), (*more, "--server-side=true", "--force-conflicts")
        self.kube.echo(shlex.join(self.kube.helm(*start, os.path.relpath(self.chart), *shown, *more)))
        command = self.kube.helm(*start, str(self.chart), *given, *end)
        try:
            self.kube.run(command, timeout=SECONDS, held=held)
        except Refused as error:
            if PENDING not in error.said:
                raise refused(error) from None
            # a command was killed in the middle; the lock says that no other one of this deployment runs
            selector = f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
            self.kube.run(self.kube.kubectl("delete", "secret", "-l", selector), loud=True)
            self.kube.run(command, timeout=SECONDS, held=held)

    def test(self) -> None:
        """Run `helm test`: a pod connects to every service.

        Raises:
            PantheonError: one does not accept connections, or the pod did not run.
        """
        kube = self.kube
        command = kube.helm("test", RELEASE, f"--timeout={TEST_SECONDS:.0f}s")
        try:
            kube.run(command, loud=True, timeout=TEST_SECONDS + 30.0)
        except Refused as error:
            said = ""
            with suppress(PantheonError):
                lines = kube.run(kube.kubectl("logs", "test", "--tail=1")).strip().splitlines()
                said = lines[-1] if lines else ""
            raise PantheonError(
                f"`helm test` failed: {said or error.said}", "Look at `status` and `logs`.", 1
            ) from None

    def remove(self) -> None:
        """Uninstall the release, and delete its volumes, secrets and tasks; the namespace, too, if ``up`` made it."""
        kube = self.kube
        with suppress(Missing):
            kube.run(kube.helm("uninstall", RELEASE, "--ignore-not-found"), loud=True, timeout=SECONDS)
        label = f"{INSTANCE}={RELEASE}"
        kube.run(kube.kubectl("delete", "jobs,pods", "-l", label, "--ignore-not-found", "--wait=false"))
        self.wait_gone()
        for kind, selector in (("pvc,secret", label), ("secret", "pantheon/secret=yes")):
            kube.run(kube.kubectl("delete", kind, "-l", selector, "--ignore-not-found"), loud=True, timeout=SECONDS)
        with suppress(Forbidden, Missing):
            found = kube.json("get", "namespace", kube.namespace)
            if OURS in (found["metadata"].get("labels") or {}):
                kube.run(kube.kubectl("delete", "namespace", kube.namespace), loud=True, timeout=SECONDS)

    def wait_gone(self, on_pods: Callable[[set[str]], None] = lambda _: None) -> None:
        """Wait until no pod of the release is left.

        Args:
            on_pods: called again and again with the services that still have pods.
        """
        end = time.monotonic() + GONE_SECONDS
        while True:
            pods = self.kube.items("pods", "-l", f"{INSTANCE}={RELEASE}")
            left = [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]
            on_pods({pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in left})
            if not left:
                return
            if time.monotonic() > end:
                names = ", ".join(pod["metadata"]["name"] for pod in left)
                raise PantheonError(f"These pods do not end: {names}.", "Run the command again.", 1)
            time.sleep(POLL_SECONDS)


def refused(error: Refused) -> PantheonError:
    """Return the error of `helm upgrade` with what it is about, without Helm's own words before it."""
    text = error.said.removeprefix("Error: ").removeprefix("UPGRADE FAILED: ").removeprefix("INSTALLATION FAILED: ")
    return PantheonError(f"Helm could not install the tier: {text}", error.cure or "See `doctor`.", 1)
