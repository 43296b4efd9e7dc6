"""A Docker engine that is missing, silent, forbidden, remote or old gives an error with a cure; nothing starts."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest

from pantheon.engines import Options
from pantheon.engines.compose import client
from pantheon.engines.compose.engine import ComposeEngine
from pantheon.engines.compose.project import inside, write_override
from pantheon.engines.definition.model import Model
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, find
from tests.support.command_line import Pantheon


def refusal(host: str) -> PantheonError:
    with pytest.raises(PantheonError) as caught:
        client.find({"DOCKER_HOST": host, "USER": "ada"})
    return caught.value


@pytest.fixture
def pretender(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes engines that say they have a version."""
    servers = []

    def make(version: str, security: tuple[str, ...] = ()) -> str:
        answers = {"/version": {"Version": version}, "/info": {"SecurityOptions": list(security)}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(answers[self.path]).encode())

            def address_string(self) -> str:
                return "test"

            def log_message(self, format: str, *args: object) -> None:
                pass

        path = tmp_path / f"{len(servers)}.sock"
        servers.append(UnixStreamServer(str(path), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"unix://{path}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_missing_docker_socket_is_named(tmp_path: Path) -> None:
    error = refusal(f"unix://{tmp_path}/none.sock")
    assert error.cause == f"No Docker engine is running: the socket {tmp_path}/none.sock does not exist."
    assert (
        error.cure == "Install Docker Engine 25 or newer and start it, or use ENGINE=local, which does not need Docker."
    )


def test_a_docker_engine_that_does_not_run_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
        error = refusal(f"unix://{tmp_path}/dead.sock")
    assert "does not answer" in error.cause
    assert "systemctl start docker" in error.cure


def test_a_user_without_access_to_the_socket_learns_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: client.Connection) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client.Connection, "connect", forbidden)
    error = refusal("unix:///var/run/docker.sock")
    assert "this user has no permission to use it" in error.cause
    assert "sudo usermod -aG docker ada" in error.cure


def test_a_docker_engine_on_another_machine_is_rejected() -> None:
    error = refusal("tcp://far.example:2376")
    assert "another machine" in error.cause
    assert "ENGINE=local" in error.cure


def test_a_docker_engine_that_is_too_old_is_rejected(pretender: Callable[..., str]) -> None:
    assert "19.3.1 is too old" in refusal(pretender("19.3.1")).cause


def test_an_old_docker_engine_is_reported_with_the_missing_features(pretender: Callable[..., str]) -> None:
    engine = client.find({"DOCKER_HOST": pretender("20.10.24+dfsg1")})
    assert not engine.supports_start_interval
    assert "does not support start_interval" in client.missing_features(engine)
    assert client.missing_features(client.find({"DOCKER_HOST": pretender("28.5.2")})) == ""


def test_a_rootless_docker_engine_is_detected(pretender: Callable[..., str]) -> None:
    assert client.find({"DOCKER_HOST": pretender("28.5.2", ("name=seccomp", "name=rootless"))}).rootless


def test_the_users_docker_context_is_used(tmp_path: Path) -> None:
    digest = "ea1b2003cc8155cb8af43960c89a4c1e28777d6fd848ff3422cf375329c2626d"  # sha256 of "test-context"
    meta = tmp_path / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": "unix:///run/user/1000/docker.sock"}}}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "test-context"}))
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    assert client.host_of(environment) == "unix:///run/user/1000/docker.sock"
    assert client.host_of({**environment, "DOCKER_HOST": "unix:///x"}) == "unix:///x"
    assert client.host_of({"DOCKER_CONFIG": str(tmp_path / "none")}) == client.DEFAULT


def options(state: Path, **more: Any) -> Options:
    return Options("test", state, find("persephone").compose_file, more.pop("root", ROOT), **more)


def resolved(tmp_path: Path, *overrides: Path) -> Model:
    return ComposeEngine(options(tmp_path), overrides=overrides).resolved()


def test_an_old_engine_gets_no_start_interval(tmp_path: Path) -> None:
    override = tmp_path / "override.yaml"
    assert "start_interval" in resolved(tmp_path).services["button"]["healthcheck"]
    assert write_override(override, resolved(tmp_path), ca=None, start_interval=False)
    check = resolved(tmp_path, override).services["button"]["healthcheck"]
    assert "start_interval" not in check
    assert check["interval"] == "4s"


def test_one_setting_adds_the_companys_certificates_to_every_service(tmp_path: Path) -> None:
    override = tmp_path / "override.yaml"
    assert write_override(override, resolved(tmp_path), ca=tmp_path / "company.pem", start_interval=True)
    for service in resolved(tmp_path, override).services.values():
        assert service["environment"]["SSL_CERT_FILE"] == "/etc/pantheon/ca.pem"
        (mount,) = [m for m in service["volumes"] if m["target"] == "/etc/pantheon/ca.pem"]
        assert mount["source"] == str(tmp_path / "company.pem")
        assert mount["read_only"]
    assert not write_override(override, resolved(tmp_path), ca=None, start_interval=True)
    assert not override.exists()


def test_compose_moves_ports_but_keeps_paths_in_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", "/somewhere/else")
    monkeypatch.setenv("BIND_HOST", "192.0.2.1")
    engine = ComposeEngine(options(tmp_path, port_offset=500))
    button = engine.resolved().services["button"]
    assert button["environment"] == {
        "STATE_DIR": "/pantheon",
        "BUTTON_HOST": "0.0.0.0",
        "BUTTON_PORT": "8580",
        "BUTTON_PASSWORD_FILE": "/run/secrets/button/password",
        "BUTTON_DIR": "/home/button",
        "ENDPOINT_URL": "http://endpoint.internal:8585",
        "FEATURES_KEY_FILE": "/run/secrets/features/key",
        "FEATURES_URL": "http://feast:7068",
        "PREDICTIONS_URL": "http://predictions:8586",
        "AWS_SHARED_CREDENTIALS_FILE": "/run/secrets/button/credentials",
        "AWS_EC2_METADATA_DISABLED": "true",
        "OIDC_ISSUER": "",
    }
    assert [(p["host_ip"], p["published"], p["target"]) for p in button["ports"]] == [("127.0.0.1", "8580", 8580)]


def test_paths_of_mounted_folders_are_translated_to_paths_in_the_container(tmp_path: Path) -> None:
    workflow = resolved(tmp_path).services["workflow"]
    seen = {
        word: inside(workflow, word, tmp_path / "repo")
        for word in (f"{tmp_path}/data/my.csv", f"{tmp_path}/data", f"{tmp_path}/database", "/etc", "data",
                     f"{tmp_path}/repo/datasets/robots.toml")
    }  # fmt: skip
    assert list(seen.values()) == [
        "/pantheon/data/my.csv", "/pantheon/data", f"{tmp_path}/database", "/etc", "data", "/app/datasets/robots.toml"
    ]  # fmt: skip


def test_the_command_line_reports_it_and_starts_nothing(pantheon: Pantheon, tmp_path: Path) -> None:
    nothing = f"unix://{tmp_path}/none.sock"
    answer = pantheon("up", "persephone", "--engine", "compose", check=False, DOCKER_HOST=nothing)
    assert answer.status == 2
    assert "ENGINE=local" in answer.message
    assert not (pantheon.state / "state" / "deployment.json").exists()


def test_without_docker_a_new_deployment_is_local_and_the_reason_is_shown(pantheon: Pantheon, tmp_path: Path) -> None:
    del pantheon.settings["PANTHEON_ENGINE"]
    output = pantheon("up", "persephone", "--no-run", DOCKER_HOST=f"unix://{tmp_path}/none.sock").err
    assert "engine: local, processes of this machine, since no Docker engine answers here" in output


def test_containers_run_as_the_owner_of_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pantheon.engines.owner import owner_of

    assert owner_of(tmp_path, rootless=True) == (0, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 1235)
    assert owner_of(tmp_path, rootless=False) == (1234, 1235)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert owner_of(tmp_path / "not there yet", rootless=False) == (10001, 10001)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_changes_the_owner_and_does_not_follow_links(tmp_path: Path) -> None:
    from pantheon.engines.owner import hand_over, owner_of

    outside = tmp_path / "outside"
    outside.write_text("root's")
    folder = tmp_path / "state" / "runs"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    (folder / "link").symlink_to(outside)
    hand_over([folder], 10001, 10001)
    assert {p.lstat().st_uid for p in [folder, *folder.rglob("*")]} == {10001}
    assert outside.stat().st_uid == 0
    os.chown(tmp_path / "state", 4242, 4243)
    assert owner_of(tmp_path / "state", rootless=False) == (4242, 4243), "sudo on a person's own deployment"


@pytest.mark.parametrize("value", ["/plain", "/with space", "/o'clock", """/all ' " $HOME \\ #"""])
def test_values_survive_the_env_file(tmp_path: Path, value: str) -> None:
    from pantheon.engines.compose.engine import quoted
    from pantheon.engines.definition.resolve import binary

    (tmp_path / ".env").write_text(f"VALUE={quoted(value)}\n")
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, environment: {V: $VALUE}}}")
    done = subprocess.run([binary(), "config", "--format", "json"], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["services"]["a"]["environment"]["V"].replace("$$", "$") == value
