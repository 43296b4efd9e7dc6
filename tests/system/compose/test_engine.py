"""Behaviour of every engine, tested in containers with the same tests and fixture as the local engine."""

import subprocess
import urllib.request

import pytest

from pantheon.errors import PantheonError
from pantheon.files import read_json

# The specification itself: these tests run here on this folder's `deployment`.
from tests.parts.engines.test_engine import (  # noqa: F401
    COMPOSE,
    FIXTURE,
    page,
    test_a_task_reads_standard_input_from_bytes_and_from_a_file_of_any_size,
    test_a_task_runs_with_the_environment_of_its_service,
    test_log_lines_start_with_the_name_of_the_service,
    test_no_secret_is_on_a_command_line_in_a_log_or_in_the_engines_files,
    test_status_has_address_memory_and_uptime,
    test_up_again_changes_nothing_and_is_quick,
    test_up_starts_services_after_their_dependencies_and_returns_when_all_are_ready,
)
from tests.support.compose import Contained, docker_command
from tests.support.engines import PASSWORD
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def test_a_killed_service_restarts_and_postgres_recovers(deployment: Contained) -> None:
    deployment.engine().up()
    killed = deployment.kill("postgres"), deployment.kill("web")
    until(lambda: {s.state for s in deployment.status().values()} == {"healthy", "completed"})
    status = deployment.status()
    assert (status["postgres"].restarts, status["web"].restarts) == (1, 1)
    assert status["postgres"].pid not in killed
    assert page(deployment) == "good bad"


def test_down_removes_containers_and_keeps_data_and_logs(deployment: Contained) -> None:
    engine = deployment.engine()
    engine.up()
    count = ["python", str(FIXTURE / "migrate.py"), "count"]
    psql = [*count[:1], "-c", "import sys; sys.path.insert(0, sys.argv[1]); from postgres import ask; ask(sys.argv[2])"]
    assert engine.run_task("tool", [*psql, str(FIXTURE), "insert into robots values (3, 'kept')"]) == 0
    engine.down()
    assert deployment.left() == []
    assert {status.state for status in engine.status()} == {"stopped"}
    assert "migrate | migrated" in list(engine.logs("migrate"))
    engine.up()
    lines: list[str] = []
    engine.run_task("tool", count, on_output=lines.append)
    assert lines == ["3"]


def test_destroy_removes_the_volumes_too(deployment: Contained) -> None:
    engine = deployment.engine()
    engine.up()
    assert docker_command("volume", "ls", "-q").count(deployment.name) == 1
    engine.destroy()
    assert docker_command("volume", "ls", "-q").count(deployment.name) == 0
    assert deployment.left() == []


def test_growing_and_going_back_keep_common_services(deployment: Contained) -> None:
    deployment.engine(FIXTURE / "database.yaml").up()
    postgres = deployment.inspect("postgres")["Id"]
    deployment.engine().up()
    assert deployment.inspect("postgres")["Id"] == postgres
    assert page(deployment) == "good bad"
    deployment.engine(FIXTURE / "database.yaml").up()
    assert set(deployment.status()) == {"postgres", "migrate"}
    assert deployment.inspect("postgres")["Id"] == postgres


def test_no_generated_secret_is_in_inspect_layers_logs_or_ps(standing: Contained) -> None:
    seen = {
        "inspect": "".join(str(container) for container in standing.api.containers(standing.name)),
        "logs": "\n".join(standing.engine().logs(tail=10_000)),
        "ps": docker_command("ps", "--all", "--no-trunc"),
        "processes": subprocess.check_output(["ps", "-eo", "args"], text=True),
        "echoed": "\n".join(standing.echoed),
        "history": docker_command("history", "--no-trunc", "pantheon-test/postgres:18"),
    }
    assert [name for name, text in seen.items() if PASSWORD in text] == []
    inside = docker_command("exec", f"{standing.name}-web-1", "cat", "/run/secrets/postgres")
    assert inside == PASSWORD, "the grep above looks for the right value"


def test_a_service_that_keeps_crashing_is_reported_with_its_log(deployment: Contained) -> None:
    health = "{test: [CMD, 'true'], interval: 5s, start_period: 60s}"
    command = "[sh, -c, 'echo the disk of the moon is missing; exit 3']"
    deployment.file.write_text(
        "services: {web: {image: 'pantheon-test/postgres:18', restart: always, init: true, "
        f"command: {command}, healthcheck: {health}}}}}"
    )
    engine = deployment.engine(deployment.file)
    engine.definition.overrides.clear()
    with pytest.raises(PantheonError) as caught:
        engine.up()
    assert "web keeps crashing: exited with 3" in caught.value.cause
    assert "web | the disk of the moon is missing" in caught.value.cause
    assert read_json(deployment.state / "state" / "services.json")["services"][0]["state"] == "restarting"


def test_a_failed_one_off_is_reported_and_its_dependents_do_not_start(deployment: Contained) -> None:
    wrong = deployment.folder / "wrong.yaml"
    wrong.write_text("services: {migrate: {command: [sh, -c, 'echo no such table; exit 4']}}")
    engine = deployment.engine()
    engine.definition.overrides.append(wrong)
    with pytest.raises(PantheonError) as caught:
        engine.up(deployment.events.append)
    assert "migrate failed: exited with 4" in caught.value.cause
    assert "migrate | no such table" in caught.value.cause
    assert not {event.state for event in deployment.events if event.service == "web"} & {"starting", "healthy"}
    assert deployment.status()["postgres"].state == "healthy", "what runs is kept"


def test_a_task_above_its_memory_limit_is_killed(standing: Contained) -> None:
    eat = "x = []\nwhile True: x.append(bytearray(10_000_000))"
    greedy = standing.folder / "greedy.yaml"
    greedy.write_text("services: {tool: {mem_limit: 64m}}")
    engine = standing.engine()
    engine.definition.overrides.append(greedy)
    assert engine.run_task("tool", ["python", "-c", eat]) == 137


def test_every_external_command_is_echoed(standing: Contained) -> None:
    (line,) = [line for line in standing.echoed if " up " in line]
    assert line.startswith(f"docker compose -p {standing.name} -f ")


def test_ports_are_published_on_loopback_only(standing: Contained) -> None:
    ports = standing.inspect("web")["NetworkSettings"]["Ports"]
    assert {entry["HostIp"] for entries in ports.values() for entry in entries or []} == {"127.0.0.1"}
    with urllib.request.urlopen(standing.status()["web"].address, timeout=5) as answer:
        assert answer.status == 200


def test_up_restarts_a_container_that_hangs(deployment: Contained) -> None:
    health = "{test: [CMD-SHELL, 'test ! -e /tmp/hangs'], interval: 1s, retries: 1}"
    deployment.file.write_text(
        "services: {web: {image: 'pantheon-test/postgres:18', restart: always, init: true, "
        f"command: [sh, -c, 'rm -f /tmp/hangs; exec sleep 3600'], healthcheck: {health}}}}}"
    )
    engine = deployment.engine(deployment.file)
    engine.definition.overrides.clear()
    engine.up()
    docker_command("exec", f"{deployment.name}-web-1", "touch", "/tmp/hangs")
    until(lambda: engine.status()[0].state == "failed")
    assert "unhealthy" in engine.status()[0].why
    engine.up()
    assert [status.state for status in engine.status()] == ["healthy"]
    assert f"docker compose -p {deployment.name} restart web" in deployment.echoed
