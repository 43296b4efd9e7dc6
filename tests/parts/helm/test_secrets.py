"""The Secret has what `bin/pantheon prepare` would make, in the same form, and an upgrade keeps it."""

import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pantheon.components import PLACEHOLDER, RANDOM
from pantheon.components import read as read_components
from pantheon.deployment.secrets import aws_file
from tests.parts.helm.conftest import rendered
from tests.support import ROOT, helm
from tests.support.helm import TIERS, containers, of_kind, pods
from tests.support.s3_service import BUCKET, Service, refusal

DECLARED = read_components(TIERS[-1].definition("kserve")).secrets
NAME = "pantheon-secrets"


def decoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@pytest.fixture(scope="module")
def secret() -> dict[str, str]:
    return decoded(of_kind(helm.render(8), "Secret")[NAME]["data"])


def test_every_secret_has_the_form_that_its_component_declares(secret: dict[str, str]) -> None:
    def of(name: str) -> str:
        return secret[name.replace("/", ".")]

    random = re.compile(r"[A-Za-z0-9]{40}")
    for name, declared in DECLARED.items():
        value = of(name)
        if declared.random:
            assert random.fullmatch(value), name
            assert declared.random == 40
        elif declared.fernet:
            Fernet(value)
        elif declared.aws:
            assert value == aws_file(of(f"{declared.aws}_access_key"), of(f"{declared.aws}_secret_key"))
        elif declared.certificate:
            certificate = x509.load_pem_x509_certificate(value.encode())
            assert certificate.subject.rfc4514_string() == f"CN={declared.certificate}"
            assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            key = load_pem_private_key(value.encode(), None)
            assert key.public_key() == certificate.public_key()
        elif name == "s3_identities.json":
            wanted = json.loads(PLACEHOLDER.sub(lambda match: of(match[1]), declared.template))
            assert {each["name"]: each for each in json.loads(value)["identities"]} == {
                each["name"]: each for each in wanted["identities"]
            }
        else:
            parts = re.split(r"\{\{ *[^{}]*? *\}\}", declared.template)
            names = PLACEHOLDER.findall(declared.template)
            filled = [random.pattern if RANDOM.fullmatch(each) else re.escape(of(each)) for each in names]
            pattern = re.escape(parts[0]) + "".join(f + re.escape(p) for f, p in zip(filled, parts[1:], strict=True))
            assert re.fullmatch(pattern, value), name


def test_no_two_secrets_are_the_same_by_chance(secret: dict[str, str]) -> None:
    words = [secret[name.replace("/", ".")] for name, declared in DECLARED.items() if declared.random]
    assert len(words) == len(set(words)) > 20


VERSIONS = ("v1", "apps/v1", "batch/v1", "networking.k8s.io/v1")


def groups() -> list[dict[str, Any]]:
    versions = [(of.partition("/")[0], {"groupVersion": of, "version": "v1"}) for of in VERSIONS if "/" in of]
    return [{"name": name, "versions": [version], "preferredVersion": version} for name, version in versions]


def resources(of: str) -> dict[str, Any]:
    """The kinds of a version that the first tier has."""
    found = []
    for kind in sorted({each["kind"] for each in helm.render(1) if each["apiVersion"] == of}):
        one = kind.lower()
        many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
        found.append({"name": many, "singularName": one, "kind": kind, "namespaced": True, "verbs": ["get"]})
    return {"kind": "APIResourceList", "groupVersion": of, "resources": found}


class Cluster(BaseHTTPRequestHandler):
    """As much of Kubernetes' API as Helm asks before it looks up the Secret."""

    secret: ClassVar[dict[str, Any] | None] = None

    def do_GET(self) -> None:
        answers: dict[str, Any] = {
            "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()},
            **{("/api/v1" if of == "v1" else f"/apis/{of}"): resources(of) for of in VERSIONS},
            f"/api/v1/namespaces/demo/secrets/{NAME}": self.secret,
        }
        answer = answers.get(self.path.partition("?")[0])
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(missing if answer is None else answer).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """A cluster that only has the Secret ``Cluster.secret``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    file = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    users = [{"name": "u", "user": {}}]
    whole = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": users}
    file.write_text(yaml.safe_dump(whole | {"current-context": "c"}))
    yield file
    server.shutdown()
    thread.join()
    server.server_close()


def left(secret: dict[str, str]) -> dict[str, Any]:
    """The Secret as an upgrade, or an installation after `helm uninstall`, finds it."""
    notes = {f"meta.helm.sh/release-{key}": value for key, value in (("name", "pantheon"), ("namespace", "demo"))}
    metadata = {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": notes}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def looked_up(kubeconfig: Path) -> dict[str, str]:
    """The Secret that an upgrade in this cluster would write."""
    arguments = [
        "--dry-run=server",
        "--disable-openapi-validation",
        "--kubeconfig",
        str(kubeconfig),
        "-s",
        "templates/secrets.yaml",
    ]
    done = helm.run("template", "pantheon", str(helm.CHART), "-n", "demo", *arguments)
    assert done.returncode == 0, done.stderr
    return decoded(yaml.safe_load(done.stdout)["data"])


def test_an_upgrade_keeps_every_secret(kubeconfig: Path, secret: dict[str, str]) -> None:
    Cluster.secret = left(secret)
    assert looked_up(kubeconfig) == secret


def test_a_secret_that_is_missing_is_made_and_those_made_from_it_follow(
    kubeconfig: Path, secret: dict[str, str]
) -> None:
    """As after an upgrade of the chart that adds one, or where somebody removed one to change it."""
    gone = {"button.password", "postgres_password"}
    Cluster.secret = left({key: value for key, value in secret.items() if key not in gone})
    after = looked_up(kubeconfig)
    assert {key for key, value in after.items() if secret[key] != value} == gone | {"pgpass"}
    assert after["pgpass"] == f"*:*:*:*:{after['postgres_password']}\n"


def test_without_an_installation_secrets_are_new(kubeconfig: Path, secret: dict[str, str]) -> None:
    Cluster.secret = None
    after = looked_up(kubeconfig)
    assert set(after) == set(secret)
    assert after["button.password"] != secret["button.password"]


def shell(script: str, replaced: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    """Run a container's script with folders of this machine."""
    for place, folder in replaced.items():
        script = script.replace(place, str(folder))
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_a_pod_makes_its_folders_and_closes_the_password_file(tmp_path: Path) -> None:
    volume, secrets, private = (tmp_path / name for name in ("volume", "secrets", "private"))
    for folder in (volume, secrets, private):
        folder.mkdir()
    (secrets / "pgpass").write_text("*:*:*:*:x\n")
    script = containers(pods(helm.render(3))["airflow-scheduler"])["prepare"]["command"][2]
    script, _, waits = script.rpartition("\n")
    assert waits == "exec python -S -m pantheon.web.wait airflow:8081"
    for _ in range(2):  # also where the container starts again
        done = shell(script, {"/volume": volume, "/run/secrets": secrets, "/run/private": private})
        assert done.returncode == 0, done.stderr
    assert (volume / "volumes" / "airflow").is_dir()
    assert (private / "pgpass").read_text() == "*:*:*:*:x\n"
    assert (private / "pgpass").stat().st_mode & 0o777 == 0o600


def test_the_settings_reach_the_volume_whole(tmp_path: Path) -> None:
    given, state = tmp_path / "settings", tmp_path / "state"
    given.mkdir()
    state.mkdir()
    (state / "keys.json").write_text("{}")
    for objects in (helm.render(5), helm.render(4), rendered("external")):
        data = of_kind(objects, "ConfigMap")["settings"]["data"]
        for file in given.iterdir():
            file.unlink()
        for name, text in data.items():
            (given / name).write_text(text)
        script = containers(pods(objects)["settings"])["settings"]["args"][2]
        done = shell(script, {"/settings": given, "/pantheon/state": state})
        assert done.returncode == 0, done.stderr
        assert {file.name: file.read_text() for file in state.iterdir()} == data | {"keys.json": "{}"}


def test_the_s3_service_runs_with_the_charts_secrets(tmp_path: Path, secret: dict[str, str]) -> None:
    """Its servers accept the certificate that the chart makes, and its users have the permissions that they need."""
    for name in read_components(ROOT / "compose" / "s3.yaml").secrets:
        file = tmp_path / "secrets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(secret[name.replace("/", ".")])
        file.chmod(0o600)
    service = Service(tmp_path)
    try:
        service.up()
        service.client("s3").put_object(Bucket=BUCKET, Key="data/a", Body=b"1")
        assert service.client("endpoint").get_object(Bucket=BUCKET, Key="data/a")["Body"].read() == b"1"
        denied = refusal(lambda: service.client("endpoint").put_object(Bucket=BUCKET, Key="data/a", Body=b"2"))
        assert denied == (403, "AccessDenied")
    finally:
        service.down()
