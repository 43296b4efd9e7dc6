"""After a crash of Docker's daemon, services start again with it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pantheon.engines.compose.client import Api
from tests.support import ROOT
from tests.support.compose import Contained, contained
from tests.support.waiting import until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dockerd"), reason="only root can start an own engine"),
]
IMAGE = "python:3.11-slim-bookworm"


class OwnEngine:
    """An engine of this test, in a network namespace of its own: without networks it deletes other engines' bridge."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data, self.socket = folder, data, folder / "docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        places = {"data-root": self.data, "exec-root": self.folder / "exec", "pidfile": self.folder / "dockerd.pid"}
        command = [
            *("unshare", "--net", "dockerd"),
            "--host",
            f"unix://{self.socket}",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ]
        command += [word for option, path in places.items() for word in (f"--{option}", str(path))]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self.answers, 60)

    def answers(self) -> bool:
        assert self.process and self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return bool(Api(f"unix://{self.socket}").ask("/version", timeout=2))
        except OSError:
            return False

    def crash(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def own(docker: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    folder = Path("/run") / f"pantheon-test-{os.getpid()}"  # the path of a socket is short
    folder.mkdir(mode=0o700)
    engine = OwnEngine(folder, tmp_path / "images")
    try:
        engine.start()
        saved = subprocess.Popen(["docker", "image", "save", IMAGE], stdout=subprocess.PIPE)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.socket}")
        subprocess.run(
            ["docker", "image", "load", "--quiet"], stdin=saved.stdout, check=True, stdout=subprocess.DEVNULL
        )
        saved.wait()
        yield engine
    finally:
        engine.stop()
        mounts = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([m for m in mounts if m.is_relative_to(folder) or m.is_relative_to(engine.data)]):
            subprocess.run(["umount", "-l", mount], check=False)
        for left in (folder, engine.data):
            shutil.rmtree(left)


def started(web: Contained) -> tuple[str, str]:
    state = web.inspect("web")["State"]
    return state["StartedAt"], state["Health"]["Status"]


def test_services_start_again_after_a_crash_of_the_engine(own: OwnEngine, tmp_path: Path) -> None:
    health = {"test": ["CMD", "true"], "interval": "200ms", "start_period": "30s", "start_interval": "100ms"}
    service = {
        "extends": {"file": str(ROOT / "compose" / "hardened.yaml"), "service": "hardened"},
        "image": IMAGE,
        "command": ["sleep", "3600"],
        "healthcheck": health,
        "network_mode": "none",
        "restart": "always",
    }
    with contained(tmp_path, Api(f"unix://{own.socket}")) as made:
        service["volumes"] = [f"{made.state}/data:/data"]
        made.file.write_text(yaml.safe_dump({"services": {"web": service}}))
        engine = made.engine(made.file)
        engine.definition.overrides.clear()
        engine.up()
        before, _ = started(made)
        assert "sleep" in engine.survivors().values()
        own.crash()
        assert "sleep" in engine.survivors().values(), "so that the local engine does not start beside it"
        own.start()
        until(lambda: started(made)[1] == "healthy" and started(made)[0] != before, 60)
        made.engine(made.file).down()
        assert made.left() == [], "`down` removes what would start again with the engine"
