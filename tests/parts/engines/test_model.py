"""How a compose file becomes processes: supported keys, variables, and rejected keys with a reason."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.engines.local.service import Health, Service
from pantheon.errors import PantheonError
from tests.support.engines import Deployment


def resolve(deployment: Deployment, **service: Any) -> Service:
    """The one service ``web`` of a model, resolved by the real docker-compose."""
    top = service.pop("top", {})
    model = {
        "services": {"web": {"image": "pantheon/dev", "command": "sleep 1", **service}, **service.pop("others", {})},
        **top,
    }
    model["services"]["web"].pop("others", None)
    deployment.file.write_text(yaml.safe_dump(model, sort_keys=False))
    return deployment.local().services()["web"]


def refusal(deployment: Deployment, **service: Any) -> str:
    with pytest.raises(PantheonError) as caught:
        resolve(deployment, **service)
    return f"{caught.value.cause} | {caught.value.cure}"


def test_a_pantheon_image_is_the_environment_of_the_same_name(deployment: Deployment) -> None:
    other = {"image": "postgres:18", "command": "x", "x-local": {"environment_name": "postgres"}}
    resolve(deployment, image="pantheon/serving:1.2", others={"other": other})
    engine = deployment.local()
    engine.environments = lambda name: Path("/envs") / name
    assert {name: service.bin for name, service in engine.services().items()} == {
        "web": "/envs/serving/bin",
        "other": "/envs/postgres/bin",
    }
    assert "the image 'redis:7' has no environment" in refusal(deployment, image="redis:7")


def test_commands_are_resolved_as_compose_resolves_them(deployment: Deployment) -> None:
    assert resolve(deployment, command='python -m "a b" $$HOME').command == ["python", "-m", "a b", "$HOME"]
    assert resolve(deployment, entrypoint=["tini", "--"], command=["x"]).command == ["tini", "--", "x"]
    assert resolve(deployment, **{"x-local": {"command": "run 'it here' $$X"}}).command == ["run", "it here", "$X"]
    assert "there is no command" in refusal(deployment, command=None)


def test_variables_resolve_to_this_machine(deployment: Deployment) -> None:
    environment = {
        "A": "${POSTGRES_HOST:-postgres}",
        "B": "${BIND_HOST:-0.0.0.0}",
        "C": "${WEB_PORT:-8090}",
        "D": "${STATE_DIR:-/pantheon}",
        "E": "${SECRETS_DIR:-/run/secrets}",
        "F": "${METADATA_DIR:-/var/lib/postgresql}",
        "G": "${PANTHEON_NAME:-x}",
        "H": "${OTHER_PORT:-${WEB_PORT:-8090}}",
        "I": "${SOMETHING:-as in the file}",
    }
    state = str(deployment.state)
    assert resolve(deployment, environment=environment).environment == {
        "A": "127.0.0.1",
        "B": "127.0.0.1",
        "C": str(8090 + deployment.offset),
        "D": state,
        "E": f"{state}/secrets",
        "F": f"{state}/volumes/metadata",
        "G": "test",
        "H": str(8090 + deployment.offset),
        "I": "as in the file",
    }


def test_the_users_variables_take_precedence_except_over_hosts_and_folders(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WEB_PORT": "9999", "SOMETHING": "mine", "BIND_HOST": "0.0.0.0", "STATE_DIR": "/"}.items():
        monkeypatch.setenv(name, value)
    environment = {"A": "${WEB_PORT:-1}", "B": "${SOMETHING:-x}", "C": "${BIND_HOST:-x}", "D": "${STATE_DIR:-x}"}
    resolved = resolve(deployment, environment=environment).environment
    assert resolved == {"A": "9999", "B": "mine", "C": "127.0.0.1", "D": str(deployment.state)}


def test_a_health_check_is_read_with_all_its_times(deployment: Deployment) -> None:
    check = {
        "test": "curl me | grep ok",
        "interval": "1m30s",
        "timeout": "1500ms",
        "retries": 5,
        "start_period": "2m",
        "start_interval": "1s",
    }
    assert resolve(deployment, healthcheck=check).health == Health(
        ["/bin/sh", "-c", "curl me | grep ok"], "", 90, 1.5, 5, 120, 1
    )
    assert resolve(deployment, healthcheck={"test": ["CMD", "x", "y"]}).health == Health(["x", "y"])
    assert resolve(deployment, healthcheck={"test": ["CMD", "x"], "disable": True}).health is None
    assert resolve(deployment, healthcheck={"test": ["NONE"]}).health is None
    assert resolve(deployment).health is None
    assert "must begin with http://" in refusal(deployment, **{"x-local": {"health_url": "ftp://x"}})


def test_ports_are_on_the_loopback_address_and_the_same_inside_and_outside(deployment: Deployment) -> None:
    page = {"host_ip": "127.0.0.1", "target": 80, "published": "80", "app_protocol": "http"}
    service = resolve(deployment, ports=[page, "127.0.0.1:81:81"], expose=["82"])
    assert (service.ports, service.address) == ([80, 81, 82], "http://127.0.0.1:80")
    assert "port 80 is published on every interface" in refusal(deployment, ports=["80:80"])
    assert "port 80 is published as 8080" in refusal(deployment, ports=["127.0.0.1:8080:80"])
    assert "is not TCP" in refusal(deployment, ports=["127.0.0.1:80:80/udp"])
    other = {"image": "pantheon/dev", "command": "x", "expose": ["80"]}
    assert "both listen on port 80" in refusal(deployment, ports=["127.0.0.1:80:80"], others={"other": other})


def test_volumes_must_be_the_same_folder_on_both_sides(deployment: Deployment) -> None:
    runs = "${PANTHEON_STATE}/runs:${STATE_DIR:-/pantheon}/runs"
    named = {"volumes": {"metadata": {}}}
    service = resolve(deployment, volumes=[runs, "metadata:${METADATA_DIR:-/var/lib/x}"], top=named)
    assert service.folders == [f"{deployment.state}/runs", f"{deployment.state}/volumes/metadata"]
    assert "cannot access /tmp as /data" in refusal(deployment, volumes=["/tmp:/data"])
    assert "Mount it at ${METADATA_DIR:-/data}" in refusal(deployment, volumes=["metadata:/data"], top=named)
    assert resolve(deployment, volumes=["/tmp:/data"], **{"x-local": {"volumes": "ignore"}}).folders == []


def test_secrets_are_files_that_only_the_owner_can_read(deployment: Deployment) -> None:
    file = deployment.state / "secrets" / "postgres"
    top = {"secrets": {"postgres": {"file": "${PANTHEON_STATE}/secrets/postgres"}}}
    long = {"source": "postgres", "target": "${SECRETS_DIR:-/run/secrets}/postgres"}
    for form in ("postgres", long):
        assert resolve(deployment, secrets=[form], top=top).secrets == [str(file)]
    assert "cannot be read as /etc/x" in refusal(
        deployment, secrets=[{"source": "postgres", "target": "/etc/x"}], top=top
    )
    resolve(deployment, secrets=["postgres"], top=top)
    file.chmod(0o640)
    for use in (lambda: deployment.engine().up(), lambda: deployment.engine().run_task("web", ["true"])):
        with pytest.raises(PantheonError, match=r"is readable by other users \(mode 0640\)\. Run chmod 600"):
            use()
    file.unlink()
    with pytest.raises(PantheonError, match="A secret of service web is missing"):
        deployment.engine().up()


def test_dependencies_that_cannot_be_met_are_rejected(deployment: Deployment) -> None:
    other = {"image": "pantheon/dev", "command": "x"}
    healthy = {"other": {"condition": "service_healthy"}}
    assert resolve(deployment, depends_on=["other"], others={"other": other}).depends_on == {"other": "service_started"}
    assert "which has no health check" in refusal(deployment, depends_on=healthy, others={"other": other})
    tool = {**other, "profiles": ["tools"]}
    assert "not part of the model" in refusal(deployment, depends_on=["other"], others={"other": tool})
    optional = {"other": {"condition": "service_started", "required": False}}
    assert resolve(deployment, depends_on=optional, others={"other": tool}).depends_on == {}
    assert "depends_on.restart" in refusal(
        deployment, depends_on={"other": {"condition": "service_started", "restart": True}}, others={"other": other}
    )


@pytest.mark.parametrize(
    "key", ["mem_limit", "read_only", "cap_drop", "user", "init", "networks", "labels", "tmpfs", "hostname"]
)
def test_keys_that_make_no_difference_are_ignored(deployment: Deployment, key: str) -> None:
    values = {
        "mem_limit": "1g",
        "read_only": True,
        "cap_drop": ["ALL"],
        "init": True,
        "networks": ["default"],
        "labels": {"a": "b"},
        "tmpfs": "/tmp",
    }
    assert resolve(deployment, **{key: values.get(key, "x")}).command == ["sleep", "1"]


@pytest.mark.parametrize("key", ["privileged", "network_mode", "extra_hosts", "devices"])
def test_keys_that_cannot_keep_their_meaning_are_rejected_by_name(deployment: Deployment, key: str) -> None:
    values = {"privileged": True, "network_mode": "host", "extra_hosts": ["a:1.2.3.4"], "devices": ["/dev/kvm"]}
    message = refusal(deployment, **{key: values[key]})
    assert f"{deployment.file}: service web: the local engine does not support the key {key}." in message


def test_an_unknown_key_is_rejected_with_key_service_and_file(deployment: Deployment) -> None:
    message = refusal(deployment, helthcheck={})
    assert "services.web" in message and "helthcheck" in message and str(deployment.file) in message
    assert "service web: the local engine does not support the key x-local.comand" in refusal(
        deployment, **{"x-local": {"comand": "x"}}
    )


def test_a_rejection_names_the_included_file_that_defines_the_service(deployment: Deployment) -> None:
    part = deployment.folder / "part.yaml"
    part.write_text(yaml.safe_dump({"services": {"db": {"image": "pantheon/dev", "command": "x", "privileged": True}}}))
    assert f"{part}: service db: the local engine does not support the key privileged" in refusal(
        deployment, top={"include": ["part.yaml"]}
    )


def test_a_broken_file_a_missing_file_and_a_missing_variable_are_errors(deployment: Deployment) -> None:
    with pytest.raises(PantheonError, match="no compose file"):
        deployment.local().services()
    deployment.file.write_text("services: [")
    with pytest.raises(PantheonError, match=r"cannot be used: .*yaml"):
        deployment.local().services()
    assert "NEEDED is missing a value: say it" in refusal(deployment, environment={"A": "${NEEDED:?say it}"})


def test_other_settings_of_a_service_are_resolved(deployment: Deployment) -> None:
    service = resolve(
        deployment,
        restart="on-failure:3",
        stop_signal="INT",
        stop_grace_period="1m",
        working_dir="${STATE_DIR:-/x}",
        profiles=["tools"],
    )
    assert (service.restart, service.restart_limit, service.stop_signal, service.stop_grace_period) == (
        "on-failure",
        3,
        "SIGINT",
        60,
    )
    assert (service.working_dir, service.task, service.bin) == (str(deployment.state), True, f"{sys.prefix}/bin")
    assert "is not a folder of this machine" in refusal(deployment, working_dir="/app/nowhere")
    assert "stop_signal SIGNOPE is not a signal" in refusal(deployment, stop_signal="NOPE")


def test_a_missing_docker_compose_is_reported(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment.file.write_text("services: {}")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PantheonError, match="docker-compose is not installed"):
        deployment.local().services()
