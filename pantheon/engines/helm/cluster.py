"""Which cluster a deployment is in: chosen by its first ``up``, and the same one from then on.

The current context of kubectl changes with other work, and a command for this deployment must not act on another
cluster then.
"""

import json
from pathlib import Path

from pantheon import files
from pantheon.engines import Options
from pantheon.engines.helm.kube import Kube
from pantheon.engines.record import read_derived
from pantheon.errors import PantheonError

SETTING = "PANTHEON_KUBECONTEXT"


class Cluster:
    """The cluster of one deployment.

    Args:
        file: remembers the context and the cluster's address.
    """

    def __init__(self, file: Path, options: Options) -> None:
        self.file, self.options = file, options
        self.recorded = read_derived(file, {"context": "", "server": ""}) or {"context": "", "server": ""}
        self.servers: dict[str, str] = {}

    @property
    def known(self) -> bool:
        """Whether the deployment is in a cluster."""
        return bool(self.recorded["context"])

    def kube(self) -> Kube:
        """Return the deployment's namespace in it.

        Raises:
            PantheonError: another cluster is chosen than the deployment's, or its context names another one now.
        """
        given = self.options.environment.get(SETTING, "")
        context = self.recorded["context"]
        if self.known and given not in ("", context):
            raise PantheonError(
                f"The deployment {self.options.name} is in the context {context}, not in {given}.",
                "Omit KUBECONTEXT=, or use another deployment: NAME=….",
            )
        kube = Kube(self.options.name, given or context, self.options.echo, self.options.environment)
        if self.known and (server := self._server(kube)) != self.recorded["server"]:
            raise PantheonError(
                f"The context {context} is now the cluster {server}; the deployment {self.options.name} is in "
                f"{self.recorded['server']}.",
                "Use the kubeconfig of that cluster: KUBECONFIG=….",
            )
        if not kube.context:
            kube.context = kube.run(["kubectl", "config", "current-context"]).strip()
        return kube

    def remember(self) -> None:
        kube = self.kube()
        found = {"context": kube.context, "server": self._server(kube)}
        if found != self.recorded:
            files.write_json(self.file, found)
            self.recorded = found

    def _server(self, kube: Kube) -> str:
        """Return the address of the context's cluster."""
        if kube.context in self.servers:
            return self.servers[kube.context]
        context = ["--context", kube.context] if kube.context else []
        text = kube.run(["kubectl", *context, "config", "view", "--minify", "-o", "json"])
        clusters = json.loads(text).get("clusters") or [{}]
        self.servers[kube.context] = str((clusters[0].get("cluster") or {}).get("server") or "")
        return self.servers[kube.context]
