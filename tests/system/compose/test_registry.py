"""Images are pushed to a real registry, and only once; a refusal says why.

The registry is the program of Debian's package docker-registry; without it, these tests are skipped.
"""

import io
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pantheon.engines.compose.client import Api
from pantheon.engines.helm import registry
from pantheon.engines.helm.images import tagged
from pantheon.errors import PantheonError
from tests.support.ports import free_ports
from tests.support.waiting import until

pytestmark = pytest.mark.docker
IMAGE = "localhost/pantheon/registry-test:1"


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@contextmanager
def served(folder: Path, host: str, more: str = "") -> Iterator[str]:
    """A place in a registry that runs meanwhile: HOST:PORT/team."""
    program = shutil.which("docker-registry")
    if not program:
        pytest.skip("docker-registry is not installed")
    (port,) = free_ports(1)
    settings = folder / "registry.yaml"
    http = f"{{addr: '{host}:{port}'{more}}}"
    settings.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {http}\n")
    process = subprocess.Popen([program, "serve", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(host, port), 30)
        yield f"{host}:{port}/team"
    finally:
        process.terminate()
        process.wait()


def address() -> str:
    """An address of this machine outside its loopback, for which Docker checks certificates."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@pytest.fixture
def image(docker: Api) -> Iterator[str]:
    """A small image in the Docker engine."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    command = ["docker", "import", "-", IMAGE]
    subprocess.run(command, input=packed.getvalue(), check=True, capture_output=True)
    yield IMAGE
    docker.ask(f"/images/{IMAGE}", "DELETE")


def push(docker: Api, image: str, place: str) -> list[str]:
    """Push the image, and return what was said about the progress."""
    said: list[str] = []
    name = f"{place}/pantheon-tiny:1"
    with tagged(docker, {image: name}):
        registry.push(name, place, docker.host, said.append)
    assert docker.ask(f"/images/{name}/json") is None, "the name is only for the push"
    return said


def test_a_pushed_image_is_found_by_its_tag_and_processor(docker: Api, image: str, tmp_path: Path) -> None:
    here = docker.ask(f"/images/{image}/json")["Architecture"]
    with served(tmp_path, "127.0.0.1") as place:
        name = f"{place}/pantheon-tiny:1"
        assert not registry.has(name, here, docker)
        assert push(docker, image, place)[-1] == "1 of 1 layers"
        assert registry.has(name, here, docker)
        assert not registry.has(name, "s390x", docker)
        assert not registry.has(f"{place}/pantheon-tiny:2", here, docker)


def test_a_certificate_that_nobody_trusts_is_named(docker: Api, image: str, tmp_path: Path) -> None:
    host, key, certificate = address(), tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry"]
    command += ["-addext", f"subjectAltName=IP:{host}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    tls = f", tls: {{key: {key}, certificate: {certificate}}}"
    with served(tmp_path, host, tls) as place, pytest.raises(PantheonError, match="is not trusted"):
        push(docker, image, place)


def test_a_registry_without_tls_is_named(docker: Api, image: str, tmp_path: Path) -> None:
    with served(tmp_path, address()) as place, pytest.raises(PantheonError, match="does not use TLS"):
        push(docker, image, place)


def test_a_registry_that_does_not_answer_is_named(docker: Api, image: str) -> None:
    (port,) = free_ports(1)
    with pytest.raises(PantheonError, match="does not answer"):
        push(docker, image, f"127.0.0.1:{port}/team")
