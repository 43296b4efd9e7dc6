"""Run `kubectl` and `helm`: the user's programs, in one context and namespace, with errors that say what to do."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon.engines import silent
from pantheon.errors import PantheonError

OLDEST_KUBECTL = (1, 30)
OLDEST_HELM = (4, 0)  # applies on the server
OLDEST_CLUSTER = (1, 30)  # `preStop: {sleep: …}`
SECONDS = "20s"  # for one answer of the API server
PASSED = (
    *("PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "KUBECONFIG"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),  # of logins
    *("AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS"),
    *("CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"),
)
OTHER = "Choose another cluster with KUBECONTEXT=, or use another engine: ENGINE=local."
INSTALL = {
    "kubectl": "Install it: https://kubernetes.io/docs/tasks/tools/",
    "helm": "Install it: https://helm.sh/docs/intro/install/",
}


class Refused(PantheonError):
    """A command of kubectl or helm failed.

    Attributes:
        said: the last line of its standard error.
    """

    def __init__(self, cause: str, cure: str = "", status: int = 1, said: str = "") -> None:
        super().__init__(cause, cure, status)
        self.said = said


class Missing(Refused):
    """The object, or the namespace, does not exist."""


class Forbidden(Refused):
    """The user does not have the permission."""


@dataclass
class Kube:
    """One namespace of one cluster.

    Attributes:
        namespace: the deployment's name.
        context: of the user's kubeconfig; empty: its current context.
        echo: called with commands that change something, as a user would type them.
        environment: the user's variables.
    """

    namespace: str
    context: str = ""
    echo: Callable[[str], None] = silent
    environment: Mapping[str, str] = field(default_factory=dict)
    _checked: "Versions | None" = field(default=None, repr=False, compare=False)

    # commands ---------------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str) -> list[str]:
        """Return a command of kubectl in this context and namespace."""
        return ["kubectl", *(["--context", self.context] if self.context else []), "-n", self.namespace, *arguments]

    def helm(self, *arguments: str) -> list[str]:
        """Return a command of helm in this context and namespace."""
        context = ["--kube-context", self.context] if self.context else []
        return ["helm", *context, "-n", self.namespace, *arguments]

    def own(self) -> dict[str, str]:
        """Return the environment of both programs."""
        found = {key: value for key, value in self.environment.items() if key in PASSED}
        if "KUBECONFIG" in found:  # the programs run in another folder
            found["KUBECONFIG"] = os.pathsep.join(
                str(Path(part).absolute()) for part in found["KUBECONFIG"].split(os.pathsep) if part
            )
        return found

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | None = None,
        loud: bool = False,
        timeout: float = 120.0,
        held: int = -1,
    ) -> str:
        """Run a command that ``kubectl`` or ``helm`` returned, and return its standard output.

        Args:
            input: for its standard input: manifests and secrets, which must not be arguments.
            loud: show the command first; use it for commands that change something.
            timeout: seconds.
            held: a lock's descriptor: if this process is killed, the lock is kept until the command has ended.

        Raises:
            Missing, Forbidden, Refused: it failed.
            PantheonError: the program is not installed, or the cluster does not answer.
        """
        if loud:
            self.echo(shlex.join(command))
        path = self.find(command[0])
        try:
            done = subprocess.run(
                [path, *command[1:]],
                env=self.own(),
                cwd="/",
                input=b"" if input is None else input,
                capture_output=True,
                check=False,
                timeout=timeout,
                pass_fds=(held,) if held >= 0 else (),
            )
        except subprocess.TimeoutExpired:
            raise self.unreachable(f"`{shlex.join(command[:6])} …` took more than {timeout:.0f} s") from None
        if done.returncode:
            raise self.error(command, done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def find(self, program: str) -> str:
        """Return the path of ``kubectl`` or ``helm``.

        Raises:
            PantheonError: it is not installed.
        """
        path = shutil.which(program, path=self.environment.get("PATH"))
        if not path:
            raise PantheonError(f"{program} is not installed; ENGINE=helm needs it.", INSTALL[program])
        return path

    def json(self, *arguments: str, input: bytes | None = None) -> Any:
        """Return the JSON that a command of kubectl prints: ``json("get", "pods")``. Raises as ``run``."""
        options = (f"--request-timeout={SECONDS}", "-o", "json")
        return json.loads(self.run(self.kubectl(*arguments, *options), input=input))

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a kind, or of several with commas between them. Raises as ``run``."""
        found: list[dict[str, Any]] = self.json("get", kind, *arguments)["items"]
        return found

    # errors -----------------------------------------------------------------------------------------------------------

    def error(self, command: Sequence[str], stderr: str) -> PantheonError:
        """Return the error for a command that failed."""
        lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _is_noise(line)]
        said = lines[-1] if lines else "it printed nothing"
        lower = stderr.lower()
        if "no configuration has been provided" in lower or "current-context is not set" in lower:
            return PantheonError(
                "There is no Kubernetes cluster to use: kubectl has no current context.",
                "Set KUBECONFIG, or choose one of `kubectl config get-contexts` with KUBECONTEXT=.",
            )
        if match := re.search(r'context "?([^"\s]+)"? does not exist', stderr):
            return PantheonError(
                f"kubectl knows no context {match[1]!r}.",
                "See `kubectl config get-contexts`; KUBECONTEXT= chooses one.",
            )
        if "unauthorized" in lower or "must be logged in" in lower:
            return PantheonError(
                f"The cluster{self._called()} does not accept your login.", "Log in to it again, then repeat.", 1
            )
        if any(sign in lower for sign in _UNREACHABLE):
            return self.unreachable(said)
        short = f"`{shlex.join(command[:8])}{' …' if len(command) > 8 else ''}` failed: {said}"
        if "forbidden" in lower and "exceeded quota" not in lower and "podsecurity" not in lower:
            who = "Ask whoever runs the cluster for the role `edit` in this namespace: `doctor` lists what is missing."
            return Forbidden(f"You may not do this in the namespace {self.namespace}: {said}", who, 1, said)
        if "notfound" in lower or "not found" in lower:
            return Missing(short, "", 1, said)
        return Refused(short, "", 1, said)

    def unreachable(self, why: str) -> PantheonError:
        return PantheonError(f"The Kubernetes cluster{self._called()} does not answer: {why}", f"Start it. {OTHER}", 1)

    def _called(self) -> str:
        return f" {self.context}" if self.context else ""

    # versions ---------------------------------------------------------------------------------------------------------

    def check(self) -> "Versions":
        """Return the versions of both programs and of the cluster; they are asked once.

        Raises:
            PantheonError: one of them is too old or missing, or the cluster does not answer.
        """
        if self._checked:
            return self._checked
        helm = self.run(["helm", "version", "--short"]).strip()
        found = json.loads(self.run(self.kubectl("version", "-o", "json", "--request-timeout=10s"), timeout=30.0))
        client, server = found["clientVersion"], found.get("serverVersion") or {}
        versions = Versions(
            kubectl=_number(client["gitVersion"]), helm=_number(helm), cluster=_number(server.get("gitVersion", ""))
        )
        for name, has, oldest in (
            ("kubectl", versions.kubectl, OLDEST_KUBECTL),
            ("helm", versions.helm, OLDEST_HELM),
            ("the cluster", versions.cluster, OLDEST_CLUSTER),
        ):
            if has < oldest:
                needed = ".".join(map(str, oldest))
                raise PantheonError(
                    f"{name} has version {'.'.join(map(str, has)) or 'unknown'}; {needed} or newer is needed.",
                    INSTALL.get(name, OTHER),
                )
        self._checked = versions
        return versions


@dataclass(frozen=True)
class Versions:
    """Versions as (major, minor)."""

    kubectl: tuple[int, ...]
    helm: tuple[int, ...]
    cluster: tuple[int, ...]


def _number(text: str) -> tuple[int, ...]:
    match = re.search(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else ()


_UNREACHABLE = (
    *("connection refused", "no such host", "i/o timeout", "timed out", "connection reset", "no route to host"),
    *("unable to connect to the server", "kubernetes cluster unreachable", "network is unreachable"),
    *("tls handshake timeout", "the connection to the server", "client.timeout exceeded"),
)


def _is_noise(line: str) -> bool:
    """Whether a line of standard error is a warning, or the log of a library (``E1130 15:04:05 …``)."""
    return bool(re.match(r"(warning:|[WIE]\d{4} |level=|time=)", line.strip(), re.IGNORECASE))
