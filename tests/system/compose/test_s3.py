"""The S3 service in a container: its permissions and who can reach it, in a deployment of this service only."""

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from pantheon import components
from pantheon.deployment import secrets as deployment_secrets
from pantheon.engines import Options
from pantheon.engines.compose import images
from pantheon.engines.compose.client import Api
from pantheon.engines.compose.engine import ComposeEngine
from pantheon.engines.owner import owner_of
from tests.support import ROOT
from tests.support.compose import docker_command, new_name
from tests.support.compose_keys import HONOURED
from tests.support.ports import free_port_offset
from tests.support.s3_service import BUCKET, ONE_TRY, PORTS, refusal
from tests.support.stand_ins import s3_image as stand_in_s3
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
KNOCK = """
import http.client, sys
for port in sys.argv[1:]:
    connection = http.client.HTTPConnection("s3", int(port), timeout=3)
    try:
        connection.request("PUT", "/pantheon/models/torn", b"torn")
        print(port, connection.getresponse().status)
    except http.client.BadStatusLine:
        print(port, "no-http")
    except OSError as error:
        print(port, type(error).__name__)
"""


class Stored:
    """The deployment."""

    def __init__(self, folder: Path, api: Api) -> None:
        self.name, self.state, self.api = new_name(), folder / "s3", api
        self.offset = free_port_offset()
        deployment_secrets.make(self.state / "secrets", components.read(ROOT / "compose" / "s3.yaml").secrets)

    def engine(self) -> ComposeEngine:
        definition, tags = ROOT / "compose" / "s3.yaml", images.tags()
        options = Options(self.name, self.state, definition, ROOT, self.offset)
        return ComposeEngine(options, tags, images.provide)

    def inspect(self, service: str = "s3") -> dict[str, Any]:
        (found,) = [c for c in self.api.containers(self.name) if c["Name"] == f"/{self.name}-{service}-1"]
        return found

    def port(self, name: str = "S3") -> int:
        return PORTS[name] + self.offset

    def client(self, user: str = "s3", secret: str = "") -> Any:
        own = deployment_secrets.s3_keys(self.state / "secrets", user)
        return boto3.session.Session().client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port()}", region_name="us-east-1", config=ONE_TRY,
            aws_access_key_id=own[0], aws_secret_access_key=secret or own[1],
        )  # fmt: skip

    def inside(self, *words: str) -> str:
        return docker_command("exec", f"{self.name}-s3-1", *words)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, docker: Api, stand_in: None) -> Iterator[Stored]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3_IMAGE", stand_in_s3.STAND_IN)
        made = Stored(tmp_path_factory.mktemp("stored"), docker)
        try:
            made.engine().up()
            yield made
        finally:
            made.engine().destroy()


def test_every_key_of_the_definition_is_applied(stored: Stored) -> None:
    for name, service in stored.engine().resolved().services.items():
        found = stored.inspect(name)
        lost = [key for key, wanted in service.items() if key in HONOURED and not HONOURED[key](found, wanted)]
        assert not lost, f"{name}: {lost}"


def test_only_s3_is_published_and_on_loopback(stored: Stored) -> None:
    ports = stored.inspect()["NetworkSettings"]["Ports"]
    published = {name: entries for name, entries in ports.items() if entries}
    number = stored.port()
    assert published == {f"{number}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(number)}]}


def test_it_runs_as_the_owner_without_privileges(stored: Stored) -> None:
    uid, gid = owner_of(stored.state, rootless=False)
    status = dict(line.split(":\t", 1) for line in stored.inside("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert (status["Uid"].split()[0], status["Gid"].split()[0]) == (str(uid), str(gid))
    assert {status[key] for key in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    written = stored.inside(
        "sh", "-c", "for f in / /etc /usr/bin /run/secrets; do touch $f/x 2>/dev/null && echo $f; done; true"
    )
    assert written == ""


def test_its_mounts_and_networks_are_limited(stored: Stored) -> None:
    kept = {"s3_identities.json", "security.toml", "s3_grpc.pem"}
    assert set(stored.inside("ls", "/run/secrets").split()) == kept
    sees = {mount["Destination"] for mount in stored.inspect("s3-buckets")["Mounts"]}
    assert sees == {"/run/secrets/s3_owner", "/app/compose/health.sh"}
    variables = dict(each.split("=", 1) for each in stored.inspect()["Config"]["Env"])
    assert variables["GOMEMLIMIT"] == "272MiB"
    words = {deployment_secrets.read(path) for path in (stored.state / "secrets").glob("*_key")}
    assert not [word for word in words if word in str(stored.inspect()) + str(stored.inspect("s3-buckets"))]
    uid, _ = owner_of(stored.state, rootless=False)
    data = list((stored.state / "volumes" / "objects").rglob("*"))
    assert data and {path.stat().st_uid for path in data} == {uid}


def test_the_bucket_exists_and_keeps_versions(stored: Stored) -> None:
    assert stored.inspect("s3-buckets")["State"]["ExitCode"] == 0
    client = stored.client()
    assert client.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    for body in (b"1", b"2"):
        client.put_object(Bucket=BUCKET, Key="models/m/aliases/champion.json", Body=body)
    assert len(client.list_object_versions(Bucket=BUCKET, Prefix="models/m/aliases/")["Versions"]) == 2


def test_another_container_without_keys_is_rejected(stored: Stored) -> None:
    """From another container of the deployment's inner network: S3 refuses, the other parts are not even there."""
    ports = [str(stored.port(name)) for name in PORTS]
    words = ["run", "--rm", "--network", f"{stored.name}_inside", images.image_of("workflow"), "python", "-c", KNOCK]
    said = dict(line.split() for line in docker_command(*words, *ports).splitlines())
    s3, grpc = str(stored.port("S3")), str(stored.port("S3_GRPC"))
    assert said.pop(s3) == "403"
    assert said.pop(grpc) in ("no-http", "ConnectionResetError", "RemoteDisconnected")  # it wants a certificate first
    assert set(said.values()) == {"ConnectionRefusedError"} and len(said) == 6
    assert "Contents" not in stored.client().list_objects_v2(Bucket=BUCKET, Prefix="models/torn")


def test_wrong_keys_and_wrong_paths_are_rejected(stored: Stored) -> None:
    put = {"Bucket": BUCKET, "Key": "dvc/x", "Body": b"x"}
    assert refusal(lambda: stored.client(secret="wrong" * 8).put_object(**put)) == (403, "SignatureDoesNotMatch")
    assert refusal(lambda: stored.client("button").put_object(**put)) == (403, "AccessDenied")
    assert refusal(lambda: stored.client().delete_bucket(Bucket=BUCKET)) == (403, "AccessDenied")
    anonymous = urllib.request.Request(f"http://127.0.0.1:{stored.port()}/{BUCKET}/dvc/x", b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(anonymous, timeout=5)
    assert caught.value.code == 403


def test_a_kill_loses_no_data(stored: Stored) -> None:
    client = stored.client()
    client.put_object(Bucket=BUCKET, Key="models/kept", Body=b"kept")
    before = stored.inspect()["State"]
    os.kill(before["Pid"], signal.SIGKILL)

    def back() -> bool:
        now = stored.inspect()["State"]
        return now["Pid"] not in (0, before["Pid"]) and now["Health"]["Status"] == "healthy"

    until(back, 60)
    assert client.get_object(Bucket=BUCKET, Key="models/kept")["Body"].read() == b"kept"
