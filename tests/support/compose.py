"""An engine to test with: PANTHEON_TEST_DOCKER_HOST, else this machine's; without one the tests are skipped."""

import hashlib
import os
import re
import secrets
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines.compose import client
from pantheon.engines.compose.client import Api, DockerEngine
from pantheon.engines.compose.engine import ComposeEngine
from pantheon.errors import PantheonError
from tests.support import ROOT
from tests.support.command_line import Answer, Pantheon
from tests.support.engines import FIXTURE, Deployment
from tests.support.ports import free_port_offset
from tests.support.stand_ins import s3_image as stand_in_s3
from tests.support.stand_ins import valkey_image as stand_in_valkey
from tests.support.stand_ins.postgres_image import STAND_IN

STAND_INS = Path(__file__).parent / "stand_ins"


def engine_or_reason() -> DockerEngine | str:
    asked = os.environ.get("PANTHEON_TEST_DOCKER_HOST")
    try:
        return client.find({**os.environ, "DOCKER_HOST": asked} if asked else os.environ)
    except PantheonError as error:
        return error.cause


FOUND = engine_or_reason()


def new_name() -> str:
    """A name for a deployment; it contains the worker of pytest that uses it."""
    return f"pantheon-test-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}-{secrets.token_hex(3)}"


def of_other_worker(name: str) -> bool:
    """Whether a container, network or volume belongs to a test that runs in another worker of pytest."""
    found = re.search(r"pantheon-test-(gw\d+)-", name)
    return found is not None and found.group(1) != os.environ.get("PYTEST_XDIST_WORKER", "gw0")


def inventory(api: Api) -> set[str]:
    """Containers, networks and volumes, by name."""
    found = {f"container {name}" for each in api.ask("/containers/json?all=1") for name in each["Names"]}
    found |= {f"network {each['Name']}" for each in api.ask("/networks")}
    return found | {f"volume {each['Name']}" for each in api.ask("/volumes")["Volumes"] or []}


def docker_command(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {words}: {done.stderr}"
    return done.stdout


class Contained(Deployment):
    """A deployment of the engine's fixture in containers."""

    def __init__(self, folder: Path, api: Api) -> None:
        super().__init__(folder, new_name())
        self.api = api

    def engine(self, file: Path | None = None) -> ComposeEngine:
        file = file or FIXTURE / "compose.yaml"
        overlays = [
            STAND_INS / "overlay-database.yaml",
            *([STAND_INS / "overlay.yaml"] if file.name == "compose.yaml" else []),
        ]
        return ComposeEngine(self.options(file), overrides=overlays)

    def kill(self, service: str) -> int:
        """kill -9 of a service's main process, from outside; its pid."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def left(self) -> list[str]:
        """Containers and networks of the deployment; its volumes stay."""
        return sorted(n for n in inventory(self.api) if self.name in n and not n.startswith("volume "))

    def inspect(self, service: str) -> dict[str, Any]:
        (found,) = [c for c in self.api.containers(self.name) if c["Name"] == f"/{self.name}-{service}-1"]
        return found


@contextmanager
def contained(folder: Path, api: Api) -> Iterator[Contained]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIXTURE", str(FIXTURE))
        made = Contained(folder, api)
        try:
            yield made
        finally:
            made.engine(FIXTURE / "compose.yaml").destroy()
    assert [name for name in inventory(api) if made.name in name] == []


@dataclass
class Composed(Pantheon):
    """``bin/pantheon`` with a deployment of its own name: names are shared by all who use a Docker engine."""

    name: str = ""
    first: Answer = field(default_factory=lambda: Answer(0, "", ""))  # what the first `up` answered, where it is kept

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PANTHEON_NAME": self.name} | self.settings

    @property
    def state(self) -> Path:
        return self.home / self.name

    def row(self, dataset: str) -> dict[str, Any]:
        """The example of a bundled dataset's spec."""
        spec = tomllib.loads((ROOT / "datasets" / f"{dataset}.toml").read_text())
        return {column["name"]: column["example"] for column in spec["columns"] if column["role"] == "feature"}

    def files(self) -> dict[str, str]:
        """Checksums of every run's and every version's files; aliases move, that is what they are for."""
        return {
            str(path.relative_to(self.state)): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in ("runs", "models")
            for path in (self.state / folder).rglob("*")
            if path.is_file() and "aliases" not in path.parts and not path.name.startswith(".")
        }

    def inspect(self, api: Api, service: str = "button") -> dict[str, Any]:
        (found,) = [c for c in api.containers(self.name) if c["Name"] == f"/{self.name}-{service}-1"]
        return found


def make_composed(home: Path, **settings: str) -> Composed:
    given = {f"PANTHEON_{key}": value for key, value in {"ENGINE": "compose", "TRIALS": "1", **settings}.items()}
    given |= {
        "POSTGRES_IMAGE": STAND_IN,
        "S3_IMAGE": stand_in_s3.STAND_IN,
        "VALKEY_IMAGE": stand_in_valkey.STAND_IN,
    }  # who needs them has the fixture `stand_in` too
    return Composed(home, free_port_offset(), given, new_name())


def clear(made: Composed) -> None:
    if (made.state / "state" / "deployment.json").exists():
        made("destroy", "--confirm", "yes")
    assert not made.state.exists()
