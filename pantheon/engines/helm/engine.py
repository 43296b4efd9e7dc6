"""The Helm engine: runs a tier's services as pods, from the chart `helm/pantheon`."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pantheon import files
from pantheon import state as states
from pantheon.engines import Engine, Event, OnEvent, OnOutput, Options, Planned, ServiceStatus, no_service, silent
from pantheon.engines import logs as log_files
from pantheon.engines import record as records
from pantheon.engines.compose import project
from pantheon.engines.definition.model import Model
from pantheon.engines.definition.resolve import Definition
from pantheon.engines.findings import Finding
from pantheon.engines.helm import doctor, images, logs, publish, secrets, task, trouble, values, workloads
from pantheon.engines.helm.cluster import Cluster
from pantheon.engines.helm.forwards import Forwards
from pantheon.engines.helm.kube import Kube
from pantheon.engines.helm.release import Release
from pantheon.engines.helm.value_files import ValueFiles
from pantheon.engines.helm.volumes import HelmVolumes
from pantheon.engines.progress import MAX_LOG_LINES, Observation, Progress, is_up
from pantheon.errors import PantheonError

POLL_SECONDS = 0.5  # between two looks at the cluster
WAITS = {
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError"),
    "Unschedulable",
}
Provide = Callable[[Kube, Sequence[str], Callable[[str], None]], Mapping[str, str]]


class HelmEngine(Engine):
    """Runs the services of one deployment in the namespace of its name.

    Args:
        tags: variables with the images' tags, such as ``PANTHEON_SERVING_TAG``.
        provide: makes images available to the cluster; see ``images.provide``.
    """

    name = "helm"
    isolated = True
    lets_out = True  # a NetworkPolicy of the chart
    shares_folders = False
    own_test = "helm test"

    def __init__(self, options: Options, tags: Mapping[str, str], provide: Provide) -> None:
        self.options, self.provide = options, provide
        self.state = options.state.resolve()
        self.home = self.state / "helm"
        self.services_file = states.services_file(self.state)
        self.chart = options.root / "helm" / "pantheon"
        own = {key: value for key, value in options.environment.items() if key in project.PASSED}
        self.definition = Definition(options, lambda _: {}, own, dict(tags))
        addresses = project.interpolation(options)
        self.outside = Definition(options, addresses, own, dict(tags), listed=self.definition.variables)
        self.cluster = Cluster(self.home / "cluster.json", options)
        self.values = ValueFiles(self.home, self.chart, options)

    # the model --------------------------------------------------------------------------------------------------------

    @cached_property
    def kube(self) -> Kube:
        """The namespace in the deployment's cluster.

        Raises:
            PantheonError: the cluster of the deployment is not in the user's kubeconfig, or another one is chosen.
        """
        return self.cluster.kube()

    @cached_property
    def model(self) -> Model:
        """The services, with the ports that they have in the cluster."""
        return self.definition.resolve()

    @cached_property
    def plans(self) -> list[Planned]:
        """The services, with the ports of this machine at which they are reached."""
        inside = {plan.name: plan for plan in project.planned(self.model)}
        moved = self.options.port_offset or any(key.endswith(("_PORT", "_IMAGE")) for key in self.options.environment)
        outside = project.planned(self.outside.resolve()) if moved else inside.values()
        return [replace(plan, inside=inside[plan.name].inside) for plan in outside]

    def planned(self) -> list[Planned]:
        values.tier_values(self.options.definition)
        return self.plans

    def release(self) -> Release:
        return Release(self.kube, self.chart, self.values.paths)

    def forwards(self) -> Forwards:
        return Forwards(self.home, self.kube)

    def ports(self) -> dict[str, dict[int, int]]:
        """Return the ports of this machine for each service, and the port of the service behind each."""
        found = {}
        for plan in self.plans:
            there = [int(entry["target"]) for entry in self.model.services[plan.name].get("ports") or []]
            if plan.ports and not plan.task:
                found[plan.name] = dict(zip(plan.ports, sorted(there), strict=True))
        return found

    # before the start -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        values.tier_values(self.options.definition)
        self.kube.check()

    def findings(self) -> list[Finding]:
        return doctor.look(lambda: self.kube, self.chart, self.values.expected())

    def prepare(self, environments: Collection[str]) -> None:
        self.images(environments)

    def load_images(self, archive: Path) -> list[str]:
        return images.load_archive(self.kube, archive)

    def images(self, environments: Collection[str]) -> dict[str, str]:
        """Make the images of these environments available, and return their names in the cluster, with earlier ones."""
        wanted = list(dict.fromkeys(p.image for p in self.planned() if p.image and p.environment in environments))
        wanted += values.more_images(self.values.given())
        found = self.values.images()
        found |= self.provide(self.kube, wanted, self.options.echo) if wanted else {}
        self.values.name_images(found)
        return found

    def newest(self, image: str) -> str:
        """Return the name in the cluster of an image that ``prepare`` made last; empty if it made none."""
        return self.values.images().get(image, "")

    def write_values(self, images: Mapping[str, str]) -> str:
        """Write the values file; return a hash of the chart and all values."""
        return self.values.write(images, self.planned())

    def settings(self) -> states.Settings:
        return self.values.settings()

    # up ---------------------------------------------------------------------------------------------------------------

    def up(self, on_event: OnEvent | None = None, environments: Collection[str] = ()) -> None:
        self.check()
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            with files.lock(self.home / "change.lock") as held:
                images = self.images({*environments, "workflow"})
                self.release().make_namespace()
                self.cluster.remember()
                self.start(on_event, images, held)
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted. The started pods continue to run.",
                "Run `up` to wait for them, or `down` to stop them.",
                130,
            ) from None

    def start(self, on_event: OnEvent | None, images: Mapping[str, str], held: int) -> None:
        digest = self.write_values(images)
        before = self.services_now()
        same = records.read_derived(self.home / "up.json", {"digest": ""}) == {"digest": digest}
        if not (same and is_up(before, self.model)):
            folder, record = self.state / "secrets", self.home / "secrets.json"
            other_s3 = self.settings().s3 is not None
            secrets.exchange(self.kube, workloads.RELEASE, folder, record, other_s3)
            if other_s3:
                secrets.give_s3_keys(self.kube, values.S3_KEYS, folder)
            self.release().upgrade(held)
            secrets.exchange(self.kube, workloads.RELEASE, folder, record, other_s3)  # those that the chart made
            self.forget_failed()
            self.wait(Progress(on_event, self.last_lines, before))
            files.write_json(self.home / "up.json", {"digest": digest})
            before = self.services_now()
        self.forwards().keep(self.ports(), self.options.port_offset)
        self.record(before)
        self.publish(again=not same)

    def forget_failed(self) -> None:
        """Delete pods that wait minutes for their next try, so that a cause that is mended is seen at once.

        A StatefulSet does not replace a pod that never was ready, although its definition has changed.
        """
        seen = workloads.look(self.kube)
        pods = [pod for name, owner in seen.owners.items() for pod in workloads.newest_of(seen, owner, name)]
        if names := [pod["metadata"]["name"] for pod in pods if workloads.waiting(pod) & WAITS]:
            self.kube.run(self.kube.kubectl("delete", "pod", *names, "--wait=false"), loud=True)

    def wait(self, progress: Progress) -> None:
        """Wait until all services are up; their record is written also if they do not come up."""
        services: list[ServiceStatus] = []
        looked = trouble.Look(self.kube)

        def observe() -> Observation:
            there = workloads.look(self.kube)
            seen = self.services_of(there, looked)
            known = {status.name for status in seen}
            missing = [ServiceStatus(name, "waiting") for name in self.model.started if name not in known]
            services[:] = [*seen, *missing]
            settled = known <= set(self.model.started) and there.is_complete("settings")
            return Observation([s for s in services if s.name in self.model.started], settled=settled)

        try:
            progress.until_up(self.model, observe, POLL_SECONDS)
        finally:
            self.record(services)

    def last_lines(self, service: str) -> list[str]:
        seen = workloads.look(self.kube)
        owner = seen.parts.get(service, service)
        lines = logs.last(self.kube, owner, service, MAX_LOG_LINES)
        if not lines and owner in seen.owners:
            lines = logs.last(self.kube, owner, "prepare", MAX_LOG_LINES)
        return [line for line in lines if line.strip()]

    # down -------------------------------------------------------------------------------------------------------------

    def down(self, on_event: OnEvent | None = None) -> None:
        if not self.home.is_dir():
            return
        begin = time.monotonic()
        self.forwards().end()
        try:
            with files.lock(self.home / "change.lock") as held:
                seen = workloads.look(self.kube)
                if seen.exists:
                    (self.home / "up.json").unlink(missing_ok=True)
                    if not self.values.made.is_file():
                        self.write_values(self.values.images())
                    self.release().upgrade(held, "--set", "stopped=true")
                    self.end_tasks()
                    running = {name for name, pods in seen.pods.items() if pods and name in self.model.services}

                    def report(left: set[str]) -> None:
                        for name in sorted(running - left):
                            running.discard(name)
                            if on_event:
                                on_event(Event(name, "stopped", "", time.monotonic() - begin))

                    self.release().wait_gone(report)
                self.record([stopped(status) for status in self.recorded()])
        except KeyboardInterrupt:
            raise PantheonError("Interrupted. Pods may continue to stop.", "Run `down` again to check.", 130) from None

    def end_tasks(self) -> None:
        label = f"{workloads.INSTANCE}={workloads.RELEASE},{workloads.TASK}"
        self.kube.run(self.kube.kubectl("delete", "jobs", "-l", label, "--wait=false"))

    def destroy(self) -> None:
        """``down``, and delete the deployment's volumes, secrets and namespace; not one that ``up`` did not make."""
        if not self.cluster.known:
            return
        self.forwards().end()
        with files.lock(self.home / "change.lock"):
            self.release().remove()

    # status -----------------------------------------------------------------------------------------------------------

    def recorded(self) -> list[ServiceStatus]:
        return [records.status_of(record) for record in records.read(self.services_file)["services"]]

    def record(self, services: Sequence[ServiceStatus]) -> None:
        """Write services.json, for the page and for `status` when the deployment is down."""
        self.services_file.parent.mkdir(parents=True, exist_ok=True)
        records.write(self.services_file, [records.record_of(status) for status in services])

    def services_now(self, looked: trouble.Look | None = None) -> list[ServiceStatus]:
        """Return the current status of every service that the release has, in start order."""
        return self.services_of(workloads.look(self.kube), looked)

    def services_of(self, seen: workloads.Seen, looked: trouble.Look | None = None) -> list[ServiceStatus]:
        addresses = {plan.name: plan.address for plan in self.plans}
        return workloads.statuses(seen, list(self.model.started), addresses, looked or trouble.Look(self.kube))

    def status(self) -> list[ServiceStatus]:
        if not self.cluster.known:
            return []
        services = self.services_now()
        if not services and records.read(self.services_file)["on_host"]:
            return []  # another engine runs the deployment: the record is that engine's
        used = workloads.memory(self.kube)
        services = [replace(status, memory=used.get(status.name, 0)) for status in services]
        names = {status.name for status in services}
        services += [stopped(status) for status in self.recorded() if status.name not in names]
        self.record(services)
        return services

    def warnings(self) -> list[str]:
        if self.cluster.known and self.forwards().wanted() and not self.forwards().keeper():
            return [
                "The services cannot be reached at 127.0.0.1: the process that forwards their ports has ended. `up`"
            ]
        return []

    def test(self) -> str:
        self.release().test()
        return "every service accepts connections from a pod"

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        seen = workloads.look(self.kube)
        running = {
            name: str(workloads.template_of(owner)["spec"]["containers"][0]["name"])
            for name, owner in seen.owners.items()
            if owner["kind"] != "CronJob" and name in self.model.started
        }
        kept = {path.stem: path for path in sorted((self.state / "logs").glob("*.log"))}
        if service and service not in running and service not in kept:
            raise no_service(service, running)
        if service and service not in running:
            return log_files.stream({service: kept[service]}, follow, tail)
        return logs.stream(self.kube, {service: running[service]} if service else running, follow, tail)

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
        if service not in self.model.services:
            raise no_service(service, self.model.services)
        self.publish()
        owner = workloads.definition(self.kube, service)
        arguments = [project.inside(self.model.services[service], each, self.options.root) for each in command]
        lines = on_output or silent
        log = self.state / "logs" / f"{service}.log"
        on_lines = lines, on_errors or lines
        image = self.newest(str(self.model.services[service].get("image") or ""))
        return task.run(self.kube, owner, service, arguments, environment or {}, on_lines, log, input, output, image)

    def volumes(self) -> HelmVolumes:
        tasks = replace(self.options, definition=self.options.root / "compose" / "backup.yaml", without=())
        own = {key: value for key, value in self.options.environment.items() if key in project.PASSED}
        return HelmVolumes(self, Definition(tasks, lambda _: {}, own, {}).resolve)

    def publish(self, again: bool = False) -> None:
        """Bring the files of this machine into the volume, if one has changed since the last time.

        Args:
            again: also if none has changed.
        """
        record = self.home / "published.json"
        if not (self.home / "up.json").is_file():
            return  # it does not run; the next `up` brings them
        folder, exchanged = self.state / "secrets", self.home / "secrets.json"
        if secrets.changed(folder, exchanged):
            secrets.exchange(self.kube, workloads.RELEASE, folder, exchanged, self.settings().s3 is not None)
        content, digest = publish.archive(self.state)
        if not again and records.read_derived(record, {"digest": ""}) == {"digest": digest}:
            return
        said: list[str] = []
        command = [*task.POD, "unpack", "/pantheon"]
        lines = said.append, said.append
        owner, log = workloads.definition(self.kube, "files"), self.state / "logs" / "files.log"
        code = task.run(self.kube, owner, "files", command, {}, lines, log, content)
        if code:
            raise PantheonError(f"The deployment's files did not reach its pods: {'; '.join(said[-3:])}", "", 1)
        files.write_json(record, {"digest": digest})


def stopped(status: ServiceStatus) -> ServiceStatus:
    return replace(status, state="stopped", why="", pid=0, memory=0, uptime=0.0)
