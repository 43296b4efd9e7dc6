"""Access control: only S3 requests with keys are accepted, and keys have minimal permissions."""

import http.client
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.deployment import secrets
from tests.support.s3_service import BUCKET, GRPC, PORTS, Service, refusal


def ask(port: int, method: str, path: str, body: bytes = b"") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(("method", "path"), [
    ("PUT", f"/{BUCKET}/models/x"), ("POST", f"/{BUCKET}?delete"), ("DELETE", f"/{BUCKET}/models/x"), ("PUT", "/other"),
    ("GET", f"/{BUCKET}"), ("GET", f"/{BUCKET}/models/x"), ("GET", "/"),
])  # fmt: skip
def test_requests_without_keys_are_refused(s3: Service, method: str, path: str) -> None:
    s3.client().put_object(Bucket=BUCKET, Key="models/x", Body=b"model")
    assert ask(s3.port(), method, path, b"torn") == 403
    assert s3.client().get_object(Bucket=BUCKET, Key="models/x")["Body"].read() == b"model"


def test_no_user_can_create_users(s3: Service) -> None:
    """SeaweedFS's own API for that is off."""
    assert ask(s3.port(), "POST", "/?Action=CreateUser&UserName=eve&Version=2010-05-08") == 405


def test_a_wrong_secret_and_an_unknown_key_are_refused(s3: Service) -> None:
    wrong, unknown = s3.client(secret="wrong" * 8), s3.client(access="unknown" * 5)
    put = {"Bucket": BUCKET, "Key": "models/wrong", "Body": b"x"}
    assert refusal(lambda: wrong.put_object(**put)) == (403, "SignatureDoesNotMatch")
    assert refusal(lambda: unknown.put_object(**put)) == (403, "InvalidAccessKeyId")
    assert "Contents" not in s3.client().list_objects_v2(Bucket=BUCKET, Prefix="models/wrong")


def test_all_ports_are_declared_and_on_loopback(s3: Service) -> None:
    listening = [each.laddr for each in s3.weed.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert {each.ip for each in listening} == {"127.0.0.1"}
    assert {each.port for each in listening} == {s3.port(name) for name in PORTS}
    (planned,) = [each for each in s3.engine().planned() if each.name == "s3"]
    assert set(planned.ports) == {s3.port(name) for name in PORTS}
    assert planned.address == s3.endpoint


@pytest.mark.parametrize("part", ["S3_FILER", "S3_MASTER"])
@pytest.mark.parametrize("method", ["PUT", "POST", "GET", "DELETE"])
def test_filer_and_master_do_not_serve_http(s3: Service, part: str, method: str) -> None:
    assert ask(s3.port(part), method, f"/buckets/{BUCKET}/models/round", b"torn") == 404
    assert "Contents" not in s3.client().list_objects_v2(Bucket=BUCKET, Prefix="models/round")


def test_volumes_are_read_and_written_only_with_a_token(s3: Service) -> None:
    s3.client().put_object(Bucket=BUCKET, Key="models/x", Body=b"model")
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert [ask(s3.port("S3_VOLUME"), method, f"/{n},01637037d6", b"torn") for n in range(1, 6)] == [401] * 5


@pytest.mark.parametrize("part", GRPC)
def test_grpc_wants_the_certificate_of_this_deployment(s3: Service, part: str, tmp_path: Path) -> None:
    own, other = s3.state / "secrets" / "s3_grpc.pem", tmp_path / "other.pem"
    other.write_text(secrets.certificate("pantheon s3"))
    assert speaks_http2(s3.port(part), own), "or this test looks at the wrong thing"
    assert not speaks_http2(s3.port(part), other)
    assert not speaks_http2(s3.port(part), None)
    with socket.create_connection(("127.0.0.1", s3.port(part)), timeout=5) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert frame(plain.recv) != SETTINGS


SETTINGS = 4  # the type of the first frame that a server of HTTP/2 sends


def frame(receive: Callable[[int], bytes]) -> int | None:
    """Return the type of the first HTTP/2 frame; None without one."""
    try:
        begin = receive(9)
    except (OSError, ssl.SSLError):
        return None
    return begin[3] if len(begin) == 9 and begin[:1] == b"\0" else None


def speaks_http2(port: int, certificate: Path | None) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        try:
            with context.wrap_socket(raw) as connection:
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                return frame(connection.recv) == SETTINGS
        except (OSError, ssl.SSLError):
            return False


def test_the_filer_refuses_grpc_without_a_certificate(s3: Service, tmp_path: Path) -> None:
    """With SeaweedFS's own client, which can all that gRPC can."""
    s3.client().put_object(Bucket=BUCKET, Key="models/x", Body=b"model")

    def shell(folder: Path) -> str:
        ports = {name: f"127.0.0.1:{s3.port(name)}.{s3.port(f'{name}_GRPC')}" for name in ("S3_MASTER", "S3_FILER")}
        weed = Path(s3.weed.exe())
        words = [weed, "shell", f"-master={ports['S3_MASTER']}", f"-filer={ports['S3_FILER']}"]
        with subprocess.Popen(words, cwd=folder, stdin=-1, stdout=-1, stderr=-2, text=True) as process:
            try:
                return process.communicate(f"fs.ls /buckets/{BUCKET}/models\nexit\n", timeout=4)[0]
            except subprocess.TimeoutExpired:  # it tries for ever
                process.kill()
                return process.communicate()[0]

    assert "x.versions" in shell(s3.state / "secrets").split()
    assert "x.versions" not in shell(tmp_path)


def test_its_sockets_and_files_are_private(s3: Service) -> None:
    assert len(s3.sockets()) == 6
    assert {path.stat().st_mode & 0o077 for path in s3.sockets()} == {0}
    data = [path for path in (s3.state / "volumes" / "objects").rglob("*.dat") if path.is_file()]
    assert data and {path.stat().st_mode & 0o077 for path in data} == {0}


def test_no_secret_is_among_the_arguments_or_in_the_environment(s3: Service) -> None:
    secrets = [path for path in (s3.state / "secrets").rglob("*") if path.is_file()]
    words = {path.read_text().strip() for path in secrets if path.name.endswith("_key")}
    seen = " ".join([*s3.weed.cmdline(), *s3.weed.environ().values(), (s3.state / "logs" / "s3.log").read_text()])
    assert len(words) > 5 and not [word for word in words if word in seen]


def test_the_button_reads_everything_and_writes_only_models(s3: Service) -> None:
    everyday, button = s3.client(), s3.client("button")
    everyday.put_object(Bucket=BUCKET, Key="dvc/data", Body=b"data")
    button.put_object(Bucket=BUCKET, Key="models/m/aliases/champion.json", Body=b"1")
    assert button.get_object(Bucket=BUCKET, Key="dvc/data")["Body"].read() == b"data"
    assert button.list_object_versions(Bucket=BUCKET, Prefix="models/m/")["Versions"]
    button.delete_object(Bucket=BUCKET, Key="models/m/aliases/champion.json")
    versioning = {"Status": "Suspended"}
    refused: list[Callable[[], Any]] = [
        lambda: button.put_object(Bucket=BUCKET, Key="dvc/data", Body=b"torn"),
        lambda: button.put_object(Bucket=BUCKET, Key="models-not/x", Body=b"torn"),
        lambda: button.put_object(Bucket=BUCKET, Key="models/../dvc/data", Body=b"torn"),
        lambda: button.delete_object(Bucket=BUCKET, Key="dvc/data"),
        lambda: button.copy_object(Bucket=BUCKET, Key="dvc/copy", CopySource=f"{BUCKET}/dvc/data"),
        lambda: button.create_multipart_upload(Bucket=BUCKET, Key="dvc/data"),
        lambda: button.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioning),
    ]
    assert [refusal(call)[0] for call in refused] == [403, 403, 400, 403, 403, 403, 403]
    bulk = button.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "dvc/data"}]})
    assert [error["Code"] for error in bulk["Errors"]] == ["AccessDenied"]
    assert everyday.get_object(Bucket=BUCKET, Key="dvc/data")["Body"].read() == b"data"


@pytest.mark.parametrize("user", ["s3", "button"])
def test_only_its_creator_can_change_or_remove_the_bucket(s3: Service, user: str) -> None:
    client = s3.client(user)
    everybody = '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}]}'
    refused: list[Callable[[], Any]] = [
        lambda: client.delete_bucket(Bucket=BUCKET),
        lambda: client.create_bucket(Bucket="another"),
        lambda: client.put_object(Bucket="another", Key="models/x", Body=b"x"),
        lambda: client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}),
        lambda: client.put_bucket_policy(Bucket=BUCKET, Policy=everybody),
        lambda: client.put_bucket_acl(Bucket=BUCKET, ACL="public-read-write"),
        lambda: client.put_object_acl(Bucket=BUCKET, Key="models/x", ACL="public-read-write"),
    ]
    assert [refusal(call) for call in refused] == [(403, "AccessDenied")] * len(refused)
    assert client.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
