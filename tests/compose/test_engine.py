"""What every engine promises, held in containers with the same tests and the same fixture as the local engine."""

import subprocess
import urllib.request

import pytest

from pantheon.engines.files import read_json
from pantheon.errors import PantheonError
from tests.engines.conftest import PASSWORD, until

# The specification itself: these tests run here on this folder's `deployment`.
from tests.engines.test_engine import (  # noqa: F401
    COMPOSE,
    FIXTURE,
    page,
    test_a_task_runs_in_the_surroundings_of_its_service,
    test_logs_carry_the_name_of_their_service,
    test_no_secret_is_on_a_command_line_in_a_log_or_in_the_engines_files,
    test_status_tells_address_memory_and_uptime,
    test_up_again_changes_nothing_and_is_quick,
    test_up_starts_each_service_when_what_it_waits_for_is_ready_and_returns_when_all_are,
)

from .conftest import Contained, docker_command

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_killed_service_is_started_again_and_postgres_recovers(deployment: Contained) -> None:
    deployment.engine().up()
    killed = deployment.kill("postgres"), deployment.kill("web")
    until(lambda: {s.state for s in deployment.status().values()} == {"healthy", "completed"}, 30)
    status = deployment.status()
    assert (status["postgres"].restarts, status["web"].restarts) == (1, 1)
    assert status["postgres"].pid not in killed
    assert page(deployment) == "good bad"


def test_down_leaves_nothing_and_keeps_data_and_logs(deployment: Contained) -> None:
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


def test_growing_and_going_back_keep_what_both_models_have(deployment: Contained) -> None:
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


def test_a_service_that_ends_again_and_again_is_reported_with_its_log(deployment: Contained) -> None:
    health = "{test: [CMD, 'true'], interval: 5s, start_period: 60s}"
    command = "[sh, -c, 'echo the disk of the moon is missing; exit 3']"
    deployment.file.write_text(
        "services: {web: {image: 'pantheon-test/postgres:18', restart: always, init: true, "
        f"command: {command}, healthcheck: {health}}}}}"
    )
    engine = deployment.engine(deployment.file)
    engine.project.overrides.clear()
    with pytest.raises(PantheonError) as caught:
        engine.up()
    assert "web ends again and again: exited with 3" in caught.value.cause
    assert "web | the disk of the moon is missing" in caught.value.cause
    assert read_json(deployment.state / "state" / "services.json")["services"][0]["state"] == "restarting"


def test_a_one_off_that_fails_is_named_and_what_waits_for_it_does_not_start(deployment: Contained) -> None:
    wrong = deployment.folder / "wrong.yaml"
    wrong.write_text("services: {migrate: {command: [sh, -c, 'echo no such table; exit 4']}}")
    engine = deployment.engine()
    engine.project.overrides.append(wrong)
    with pytest.raises(PantheonError) as caught:
        engine.up(deployment.events.append)
    assert "migrate failed: exited with 4" in caught.value.cause
    assert "migrate | no such table" in caught.value.cause
    assert not {event.state for event in deployment.events if event.service == "web"} & {"starting", "healthy"}
    assert deployment.status()["postgres"].state == "healthy", "what runs is kept"


def test_a_task_that_takes_more_memory_than_its_limit_is_killed(standing: Contained) -> None:
    eat = "x = []\nwhile True: x.append(bytearray(10_000_000))"
    greedy = standing.folder / "greedy.yaml"
    greedy.write_text("services: {tool: {mem_limit: 64m}}")
    engine = standing.engine()
    engine.project.overrides.append(greedy)
    assert engine.run_task("tool", ["python", "-c", eat]) == 137


def test_every_outside_command_is_echoed(standing: Contained) -> None:
    (line,) = [line for line in standing.echoed if " up " in line]
    assert line.startswith(f"docker compose -p {standing.name} -f ")


def test_published_on_loopback_only(standing: Contained) -> None:
    ports = standing.inspect("web")["NetworkSettings"]["Ports"]
    assert {entry["HostIp"] for entries in ports.values() for entry in entries or []} == {"127.0.0.1"}
    with urllib.request.urlopen(standing.status()["web"].address, timeout=5) as answer:
        assert answer.status == 200
