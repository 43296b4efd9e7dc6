"""Two S3 servers of different makers on free loopback ports: SeaweedFS as a process, moto's in this one."""

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from pantheon.state import StoreLocation
from pantheon.store.s3 import client
from pantheon.store.s3.store import S3Store
from tests.support import ROOT
from tests.support.ports import free_ports

KEYS = "[default]\naws_access_key_id = testkey\naws_secret_access_key = testsecret\n"
IDENTITIES = {
    "identities": [
        {
            "name": "all",
            "credentials": [{"accessKey": "testkey", "secretKey": "testsecret"}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
    ]
}


@dataclass
class Server:
    """An S3 with keys of its own; every ``bucket`` is new."""

    endpoint: str
    folder: Path
    made: int = 0

    @property
    def credentials(self) -> Path:
        path = self.folder / "credentials"
        if not path.exists():
            path.write_text(KEYS)
        return path

    @property
    def client(self) -> Any:
        return client.client(self.endpoint, "us-east-1", self.credentials)

    def bare_client(self) -> Any:
        """boto3 as it comes."""
        secret = {"aws_access_key_id": "testkey", "aws_secret_access_key": "testsecret"}
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", **secret)

    def bucket(self, versioning: bool = True) -> str:
        self.made += 1
        name = f"bucket-{self.made}"
        self.client.create_bucket(Bucket=name)
        if versioning:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def store(self, cache: Path, bucket: str = "", retry_seconds: float = 20.0) -> S3Store:
        name = bucket or self.bucket()
        return S3Store(
            name, endpoint=self.endpoint, credentials=self.credentials, cache=cache, retry_seconds=retry_seconds
        )


@dataclass
class Weed(Server):
    """SeaweedFS, which can be killed and started again with its data."""

    data: Path = Path()
    flags: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), *self.flags], stdout=log, stderr=log, env={**os.environ, **self.environment}, cwd=self.folder
            )
        self.wait()

    def wait(self, seconds: float = 40) -> None:
        """Until it lists buckets."""
        end = time.monotonic() + seconds
        while True:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "weed.log").read_text()[-3000:]
            try:
                self.client.list_buckets()
                return
            except (ClientError, BotoCoreError):
                assert time.monotonic() < end, (self.folder / "weed.log").read_text()[-3000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def binary() -> str:
    """The ``weed`` of the environment that runs the tests."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else str(shutil.which("weed"))


@contextlib.contextmanager
def weed(folder: Path, data: Path | None = None) -> Iterator[Weed]:
    """SeaweedFS as ``compose/s3.yaml`` starts it, but for the tokens between its parts."""
    data = data or folder / "data"
    data.mkdir(exist_ok=True)
    (folder / "s3_identities.json").write_text(json.dumps(IDENTITIES))
    definition = yaml.safe_load((ROOT / "compose" / "s3.yaml").read_text())["services"]["s3"]
    names = sorted(set(re.findall(r"\$\{(S3_\w*PORT)\b", " ".join(definition["command"]))))
    settings = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    settings |= {"OBJECTS_DIR": str(data), "SECRETS_DIR": str(folder), "BIND_HOST": "127.0.0.1"}
    flags = [re.sub(r"\$\{(\w+)[^}]*\}", lambda found: settings[found[1]], flag) for flag in definition["command"]]
    environment = {name: str(value) for name, value in definition["environment"].items()}
    endpoint = f"http://127.0.0.1:{settings['S3_PORT']}"
    server = Weed(endpoint, folder, data=data, flags=flags, environment=environment)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.process.kill()
            server.process.wait()


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Server]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Server(f"http://{host}:{port}", folder)
    finally:
        server.stop()


def where(server: Server, bucket: str) -> StoreLocation:
    """The location of a store in ``bucket``."""
    at = server.endpoint
    return StoreLocation(bucket, at, at)


def deployment(state: Path, server: Server) -> Path:
    """A state folder with the keys of ``server``."""
    (state / "state").mkdir(parents=True)
    (state / "secrets" / "s3").mkdir(parents=True)
    (state / "secrets" / "s3" / "credentials").write_text(server.credentials.read_text())
    return state
