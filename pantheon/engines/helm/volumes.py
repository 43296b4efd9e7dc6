"""The volumes of a deployment on Kubernetes, for backups: tasks in a pod that mounts all of them.

That pod is made from the CronJob `files`, whose folders are parts of the volume `data`; here it gets the whole volume,
and those of servers that do not run. PostgreSQL's image has no Python, which our tasks need: its programs run in the
server's own pod.
"""

import copy
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from pantheon import files
from pantheon.engines import OnOutput, Options, silent
from pantheon.engines.compose.images import OURS, image_of
from pantheon.engines.definition.model import Model
from pantheon.engines.helm import publish, secrets, task, trouble, values, workloads
from pantheon.engines.helm.cluster import Cluster
from pantheon.engines.helm.kube import Kube
from pantheon.engines.helm.release import Release
from pantheon.engines.tasks import source
from pantheon.engines.volumes import RunsTasks, Volumes
from pantheon.errors import PantheonError
from pantheon.state import Settings

DATA, OTHERS = PurePosixPath("/pantheon"), PurePosixPath("/volumes")  # where the pod has the volumes
MEMORY = "512Mi"  # as the task `stopped` of the compose file
START_SECONDS = 300.0
POLL_SECONDS = 0.5
LIST = 'while [ $# -gt 1 ]; do [ -z "$(find "$2" ! -type d -print -quit 2>/dev/null)" ] || echo "$1"; shift 2; done'
# runs a script and drains its standard input: kubectl waits until all of it is read, also after the script has failed
WHOLE = 'script=$0 shell=$1; shift; "$shell" -c "$script" "$@" && status=0 || status=$?; cat >/dev/null; exit $status'
ENDED = "command terminated with exit code"  # what kubectl says after the output


class Helm(RunsTasks, Protocol):
    """What ``HelmEngine`` offers here."""

    options: Options
    state: Path
    home: Path
    cluster: Cluster

    @property
    def kube(self) -> Kube: ...

    @property
    def model(self) -> Model: ...

    def check(self) -> None: ...

    def settings(self) -> Settings: ...

    def images(self, environments: Collection[str]) -> dict[str, str]: ...

    def newest(self, image: str) -> str: ...

    def write_values(self, images: Mapping[str, str]) -> str: ...

    def release(self) -> Release: ...

    def end_tasks(self) -> None: ...


class HelmVolumes(Volumes):
    """The volumes of the deployment that ``engine`` runs.

    Args:
        tasks: returns the model of the tasks that no tier has, in compose/backup.yaml.
    """

    of_host = publish.FOLDERS
    reader = "volumes"

    def __init__(self, engine: Helm, tasks: Callable[[], Model]) -> None:
        self.engine, self.tasks = engine, tasks
        self._claims: dict[str, str] | None = None

    def place(self, path: str) -> tuple[PurePosixPath, str]:
        pure = PurePosixPath(path)
        if pure.parts[0] == "volumes" and len(pure.parts) > 1 and pure.parts[1] in self.claims():
            return OTHERS / pure.parts[1], str(PurePosixPath(*pure.parts[2:]))
        return DATA, path

    def claims(self) -> dict[str, str]:
        """Return the claims besides `data` by the name of their volume, without those of servers that run."""
        if self._claims is None:
            self._claims = self.look()
        return self._claims

    def look(self) -> dict[str, str]:
        kube = self.engine.kube
        found = {
            str(each["metadata"]["labels"].get(workloads.COMPONENT)): str(each["metadata"]["name"])
            for each in kube.items("pvc", "-l", f"{workloads.INSTANCE}={workloads.RELEASE}")
        }
        for owner in kube.items("statefulsets", "-l", f"{workloads.INSTANCE}={workloads.RELEASE}"):
            for volume in workloads.template_of(owner)["spec"]["volumes"]:
                if claim := volume.get("persistentVolumeClaim"):
                    found[volume["name"]] = claim["claimName"]
                    if owner["spec"].get("replicas", 1) or owner["status"].get("replicas"):
                        del found[volume["name"]]
        found.pop("data", None)
        return found

    def with_files(self, folders: Collection[str]) -> set[str]:
        places = [word for each in folders for word in (each, str(PurePosixPath(*self.place(each))))]
        lines: list[str] = []
        status = self.run_task(self.reader, ["sh", "-c", LIST, "list", *places], on_output=lines.append)
        if status:
            raise PantheonError(f"the deployment's volumes cannot be read: {' '.join(lines[-3:])}", "See `doctor`.", 1)
        return set(lines)

    # tasks ------------------------------------------------------------------------------------------------------------

    def run_task(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_output: OnOutput | None = None,
        on_errors: OnOutput | None = None,
        input: Path | bytes | None = None,
        output: int | None = None,
    ) -> int:
        engine, lines = self.engine, on_output or silent
        on_lines = lines, on_errors or lines
        if service == self.reader:
            log = engine.state / "logs" / f"{service}.log"
            image = engine.newest(image_of("workflow"))
            owner, more = self.owner(), environment or {}
            return task.run(engine.kube, owner, service, command, more, on_lines, log, input, output, image)
        if service in engine.model.services:
            return engine.run_task(
                service,
                command,
                environment=environment,
                on_output=on_output,
                on_errors=on_errors,
                input=input,
                output=output,
            )
        return self.run_beside(service, command, on_lines, input, output)

    def owner(self) -> workloads.Object:
        """Return the definition of the pod that mounts the volumes."""
        owner = copy.deepcopy(workloads.definition(self.engine.kube, "files"))
        pod = workloads.template_of(owner)["spec"]
        (container,) = pod["containers"]
        mounts = [each for each in container["volumeMounts"] if each["name"] != "data"]
        mounts.append({"name": "data", "mountPath": str(DATA)})
        for name, claim in sorted(self.claims().items()):
            mounts.append({"name": name, "mountPath": str(OTHERS / name)})
            pod["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": claim}})
        container["volumeMounts"] = mounts
        container["resources"] = {**container["resources"], "limits": {"memory": MEMORY}}
        return owner

    def run_beside(
        self,
        service: str,
        command: Sequence[str],
        on_lines: tuple[OnOutput, OnOutput],
        input: Path | bytes | None,
        output: int | None,
    ) -> int:
        """Run a task with the programs of a server, in the pod of the service that has the same image."""
        kube, engine = self.engine.kube, self.engine
        definition = self.tasks().services[service]
        image = str(definition.get("image"))
        assert not image.startswith(OURS)
        server = next(name for name in engine.model.started if engine.model.services[name].get("image") == image)
        given = definition.get("environment") or {}
        own = {key for key, value in given.items() if key.endswith("HOST") and value == server}
        words = [f"{key}={'127.0.0.1' if key in own else value}" for key, value in given.items()]
        script = engine.options.root / command[1]  # not in the image
        run = ["env", *words, "sh", "-c", WHOLE, script.read_text(encoding="utf-8"), *command]
        start = kube.kubectl(
            "exec", *(["-i"] if input is not None else []), f"statefulset/{server}", "-c", server, "--"
        )
        kube.echo(" ".join([*start, *command]))
        with source(input) as descriptor:
            done = subprocess.run(
                [kube.find("kubectl"), *start[1:], *run],
                env=kube.own(),
                cwd="/",
                stdin=descriptor,
                stdout=subprocess.PIPE if output is None else output,
                stderr=subprocess.PIPE,
                check=False,
            )
        for on_line, text in zip(on_lines, (done.stdout or b"", done.stderr), strict=True):
            for line in text.decode(errors="replace").splitlines():
                if not line.startswith(ENDED):
                    on_line(line)
        return done.returncode

    def end_tasks(self) -> None:
        label = f"{workloads.INSTANCE}={workloads.RELEASE},{task.TASK}={self.reader}"
        self.engine.kube.run(self.engine.kube.kubectl("delete", "jobs", "-l", label, "--wait=false"))

    # a new deployment -------------------------------------------------------------------------------------------------

    def create(self, environments: Collection[str]) -> None:
        engine = self.engine
        engine.check()
        kube = engine.kube
        label = f"{workloads.INSTANCE}={workloads.RELEASE}"
        if kube.items("pvc,secrets,cronjobs", "-l", label):
            cause = f"The namespace {kube.namespace} has a deployment, or volumes of an earlier one."
            raise PantheonError(cause, "Choose another name: NAME=…")
        engine.home.mkdir(parents=True, exist_ok=True)
        with files.lock(engine.home / "change.lock") as held:
            images = engine.images(environments)
            engine.cluster.remember()  # from now on, `destroy` removes what an interrupted restore left
            release = engine.release()
            release.make_namespace()
            engine.write_values(images)
            folder, record = engine.state / "secrets", engine.home / "secrets.json"
            other_s3 = engine.settings().s3 is not None
            secrets.exchange(kube, workloads.RELEASE, folder, record, other_s3)
            if other_s3:
                secrets.give_s3_keys(kube, values.S3_KEYS, folder)
            release.upgrade(held, "--set", "stopped=true")
            self._claims = None
            secrets.exchange(kube, workloads.RELEASE, folder, record, other_s3)  # those that the chart made

    @contextmanager
    def alone(self, server: str) -> Iterator[None]:
        kube = self.engine.kube
        scale = kube.kubectl("scale", f"statefulset/{server}")
        self.end_tasks()  # their pod has the server's volume
        self._claims = None
        kube.run([*scale, "--replicas=1"], loud=True)
        try:
            self.wait_healthy(server)
            yield
        finally:
            kube.run([*scale, "--replicas=0"], loud=True)
            self.engine.end_tasks()
            self.engine.release().wait_gone()
            self._claims = None

    def wait_healthy(self, server: str) -> None:
        kube, end = self.engine.kube, time.monotonic() + START_SECONDS
        looked = trouble.Look(kube)
        while True:
            status = workloads.status(workloads.look(kube), server, "", looked)
            if status.state == "healthy":
                return
            if status.state == "failed" or time.monotonic() > end:
                why = status.why or f"it did not start within {START_SECONDS:.0f} s"
                raise PantheonError(f"The service {server} cannot be started: {why}", "See why: `doctor`", 1)
            time.sleep(POLL_SECONDS)
