"""The same components started by hand: no supervisor, no engine, each as soon as what it waits for is there.

What ``up`` is compared with: the commands and variables of the tier's own definition, one process each, probed every
50 ms.
"""

import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pantheon.engines.definition.model import COMPLETED
from pantheon.engines.local.service import Service

POLL_SECONDS = 0.05


def until(ready: Callable[[], bool], timeout: float = 120) -> None:
    end = time.perf_counter() + timeout
    while not ready():
        if time.perf_counter() > end:
            raise TimeoutError("a component did not become ready")
        time.sleep(POLL_SECONDS)


def environment(service: Service, root: Path) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "USER") if key in os.environ}
    return kept | {"PATH": f"{service.bin}:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(root)} | service.environment


def is_healthy(service: Service, env: dict[str, str]) -> bool:
    health = service.health
    if health is None:
        return True
    if health.url:
        try:
            with urllib.request.urlopen(health.url, timeout=5) as answer:
                return bool(answer.status < 400)
        except OSError:
            return False
    return subprocess.run(health.command, env=env, capture_output=True, check=False).returncode == 0


def chains(services: dict[str, Service], root: Path, logs: Path) -> dict[str, float]:
    """Start every service by hand, stop them again; seconds from the first start until each is ready."""
    ready: dict[str, float] = {}
    failed: list[str] = []
    processes: list[subprocess.Popen[bytes]] = []
    begin = time.perf_counter()

    def start(service: Service) -> None:
        try:
            until(lambda: all(needed in ready for needed in service.depends_on))
            env = environment(service, root)
            apart = ["unshare", "-U", "--map-user=1000", "--map-group=1000"]
            command = [*(apart if service.unprivileged and os.geteuid() == 0 else []), *service.command]
            with (logs / f"{service.name}.log").open("wb") as log:
                process = subprocess.Popen(
                    command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                    cwd=service.working_dir or logs,
                )  # fmt: skip
            processes.append(process)
            once = any(s.depends_on.get(service.name) == COMPLETED for s in services.values())
            until(lambda: process.poll() == 0 if once else is_healthy(service, env))
            ready[service.name] = time.perf_counter() - begin
        except Exception as error:  # noqa: BLE001 - passed to the main thread
            failed.append(f"{service.name}: {error!r}, see {logs}")

    threads = [threading.Thread(target=start, args=[s], daemon=True) for s in services.values() if not s.task]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        for process in reversed(processes):
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    if failed:
        raise RuntimeError("; ".join(failed))
    return ready
