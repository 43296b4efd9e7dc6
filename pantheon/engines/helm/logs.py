"""Log lines of pods, prefixed with the service's name."""

import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping

from pantheon.engines.helm.kube import Kube
from pantheon.engines.helm.workloads import COMPONENT, INSTANCE, RELEASE

AGAIN_SECONDS = 1.0  # until logs are followed again whose pod was replaced


def last(kube: Kube, service: str, container: str, tail: int) -> list[str]:
    """Return the last lines of a service's containers; none if it has no pod."""
    from pantheon.errors import PantheonError

    arguments = _arguments(service, container)
    try:
        return kube.run(kube.kubectl("logs", *arguments, f"--tail={tail}"), timeout=30.0).splitlines()
    except PantheonError:
        return []


def stream(kube: Kube, services: Mapping[str, str], follow: bool, tail: int) -> Iterator[str]:
    """Yield ``NAME  | line`` for the last ``tail`` lines of every service, then for new lines if ``follow``.

    Args:
        services: the container of each service.
    """
    width = max(map(len, services), default=0)
    if not follow:
        for name, container in services.items():
            yield from (f"{name:{width}} | {line}" for line in last(kube, name, container, tail))
        return
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    ended = threading.Event()
    followers = [Follower(kube, name, container, tail, lines, ended) for name, container in services.items()]
    try:
        while True:
            name, _, line = lines.get().partition("\0")
            yield f"{name:{width}} | {line}"
    finally:
        ended.set()
        for follower in followers:
            follower.end()


class Follower:
    """Follows one service's log, also after its pods were replaced."""

    def __init__(
        self,
        kube: Kube,
        name: str,
        container: str,
        tail: int,
        lines: "queue.SimpleQueue[str]",
        ended: threading.Event,
    ) -> None:
        self.kube, self.name, self.container, self.tail = kube, name, container, tail
        self.lines, self.ended = lines, ended
        self.process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        more = [f"--tail={self.tail}"]
        while not self.ended.is_set():
            command = self.kube.kubectl("logs", "--follow", *_arguments(self.name, self.container), *more)
            self.process = subprocess.Popen(
                [self.kube.find("kubectl"), *command[1:]],
                env=self.kube.own(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            assert self.process.stdout
            for raw in self.process.stdout:
                self.lines.put(f"{self.name}\0{raw.decode(errors='replace').rstrip()}")
            self.process.wait()
            more = [f"--since={int(AGAIN_SECONDS)}s"]
            self.ended.wait(AGAIN_SECONDS)

    def end(self) -> None:
        if self.process:
            self.process.kill()


def _arguments(service: str, container: str) -> list[str]:
    return ["-l", f"{INSTANCE}={RELEASE},{COMPONENT}={service}", "-c", container, "--max-log-requests=50"]
