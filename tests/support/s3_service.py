"""The S3 service of compose/s3.yaml under the local engine, on free ports, and clients of it."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from botocore.exceptions import ClientError

from pantheon import components
from pantheon.deployment import secrets
from pantheon.engines import Options, ServiceStatus
from pantheon.engines.local.engine import LocalEngine
from pantheon.tiers import ROOT
from tests.support.ports import free_port_offset

BUCKET = secrets.BUCKET
PORTS = {"S3": 9000, "S3_GRPC": 9010, "S3_MASTER": 9011, "S3_MASTER_GRPC": 9012, "S3_VOLUME": 9013,
         "S3_VOLUME_GRPC": 9014, "S3_FILER": 9015, "S3_FILER_GRPC": 9016}  # fmt: skip
GRPC = [name for name in PORTS if name.endswith("_GRPC")]
ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20, s3={"addressing_style": "path"})


class Service:
    """A deployment of the S3 service alone.

    Attributes:
        offset: what is added to every port.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        secrets.make(state / "secrets", components.read(ROOT / "compose" / "s3.yaml").secrets)
        self.move()

    def move(self) -> None:
        """Other ports from the next `up` on."""
        self.offset = free_port_offset(PORTS.values())

    def engine(self) -> LocalEngine:
        options = Options("s3", self.state, ROOT / "compose" / "s3.yaml", ROOT, self.offset)
        return LocalEngine(options, lambda _: Path(sys.prefix))

    def up(self) -> None:
        self.engine().up()

    def down(self) -> None:
        self.engine().down()

    def status(self, name: str = "s3") -> ServiceStatus:
        (found,) = [status for status in self.engine().status() if status.name == name]
        return found

    def port(self, name: str = "S3") -> int:
        return PORTS[name] + self.offset

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port()}"

    def client(self, user: str = "s3", access: str = "", secret: str = "") -> Any:
        """A boto3 client with the keys of ``user``, or with others; one try a request."""
        own = secrets.s3_keys(self.state / "secrets", user)
        return boto3.session.Session().client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", config=ONE_TRY,
            aws_access_key_id=access or own[0], aws_secret_access_key=secret or own[1],
        )  # fmt: skip

    @property
    def weed(self) -> psutil.Process:
        """SeaweedFS itself, which the start script waits for."""
        (found,) = [
            each for each in psutil.Process(self.status().pid).children(recursive=True) if each.name() == "weed"
        ]
        return found

    def kill(self) -> None:
        """kill -9 of SeaweedFS."""
        os.kill(self.weed.pid, signal.SIGKILL)

    def sockets(self) -> list[Path]:
        """What it listens on in /tmp."""
        ports = {str(self.port(name)) for name in PORTS}
        return [path for path in Path("/tmp").glob("seaweedfs-*.sock") if path.stem.rpartition("-")[2] in ports]


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    """The status and the code of the refusal that ``call`` must meet."""
    try:
        answer = call()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError(f"it was not refused: {answer}")
