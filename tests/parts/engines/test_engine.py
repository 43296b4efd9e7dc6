"""Behaviour of every engine, with realistic services: PostgreSQL, a one-off that migrates it, a web service.

Written against the Engine interface, so that Docker Compose can be held to it with the same file.
"""

import hashlib
import os
import time
import urllib.request
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from tests.support.engines import FIXTURE, PASSWORD, Deployment
from tests.support.waiting import until

COMPOSE = FIXTURE / "compose.yaml"


def page(deployment: Deployment) -> str:
    with urllib.request.urlopen(deployment.status()["web"].address, timeout=5) as answer:
        return str(answer.read().decode())


def test_up_starts_services_after_their_dependencies_and_returns_when_all_are_ready(
    standing: Deployment,
) -> None:
    order = [
        (event.service, event.state) for event in standing.events if event.state in ("healthy", "completed", "starting")
    ]
    assert (
        order.index(("postgres", "healthy")) < order.index(("migrate", "completed")) < order.index(("web", "starting"))
    )
    assert {name: status.state for name, status in standing.status().items()} == {
        "postgres": "healthy",
        "migrate": "completed",
        "web": "healthy",
    }
    assert page(standing) == "good bad"


def test_up_again_changes_nothing_and_is_quick(standing: Deployment) -> None:
    before = [(status.pid, status.since) for status in standing.status().values()]
    begin = time.monotonic()
    standing.engine(COMPOSE).up()
    assert time.monotonic() - begin < 10
    assert [(status.pid, status.since) for status in standing.status().values()] == before


def test_data_survives_down_and_up(deployment: Deployment) -> None:
    engine = deployment.engine(COMPOSE)
    engine.up()
    made = (deployment.state / "volumes/metadata/18/PG_VERSION").stat().st_mtime_ns
    engine.down()
    assert deployment.left() == []
    assert {status.state for status in engine.status()} == {"stopped"}
    engine.up()
    assert (deployment.state / "volumes/metadata/18/PG_VERSION").stat().st_mtime_ns == made
    assert page(deployment) == "good bad"


def test_a_task_runs_with_the_environment_of_its_service(standing: Deployment) -> None:
    engine = standing.engine(COMPOSE)
    lines: list[str] = []
    assert engine.run_task("tool", ["python", str(FIXTURE / "migrate.py"), "count"], on_output=lines.append) == 0
    assert lines == ["2"]
    assert (
        engine.run_task("tool", ["sh", "-c", 'echo "$X" >&2; exit 7'], environment={"X": "a b"}, on_output=lines.append)
        == 7
    )
    assert lines == ["2", "a b"]


def test_a_task_reads_standard_input_from_bytes_and_from_a_file_of_any_size(
    standing: Deployment, tmp_path: Path
) -> None:
    engine = standing.engine(COMPOSE)
    lines: list[str] = []
    assert engine.run_task("tool", ["cat"], input=b"one\ntwo", on_output=lines.append) == 0
    assert lines == ["one", "two"]
    assert engine.run_task("tool", ["cat"], on_output=lines.append) == 0, "without input there is nothing to read"
    assert lines == ["one", "two"]
    large = tmp_path / "large"
    large.write_bytes(os.urandom(30_000_000))
    assert engine.run_task("tool", ["sha256sum"], input=large, on_output=lines.append) == 0
    assert lines[2].split()[0] == hashlib.sha256(large.read_bytes()).hexdigest()
    assert engine.run_task("tool", ["true"], input=large) == 0, "a task may ignore its input"
    with pytest.raises(PantheonError, match="cannot be read: No such file"):
        engine.run_task("tool", ["cat"], input=tmp_path / "absent")


def test_log_lines_start_with_the_name_of_the_service(standing: Deployment) -> None:
    engine = standing.engine(COMPOSE)
    assert "migrate  | migrated" in list(engine.logs())
    assert list(engine.logs("migrate")) == ["migrate | migrated"]
    assert len(list(engine.logs("postgres", tail=3))) == 3
    follow = engine.logs("web", follow=True, tail=0)
    page(standing)
    page(standing)
    assert "web | asked /" in [next(follow), next(follow)]  # the other one may be a probe's


def test_status_has_address_memory_and_uptime(standing: Deployment) -> None:
    web = standing.status()["web"]
    assert web.address == f"http://127.0.0.1:{8090 + standing.offset}"
    assert 5_000_000 < web.memory < 100_000_000
    assert 0 < web.uptime < 60
    assert web.restarts == 0


def test_no_secret_is_on_a_command_line_in_a_log_or_in_the_engines_files(standing: Deployment) -> None:
    commands = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
    assert PASSWORD.encode() not in commands
    for folder in ("logs", "local", "state"):
        for path in (standing.state / folder).rglob("*"):
            assert PASSWORD.encode() not in path.read_bytes(), path


def test_growing_keeps_services_of_both_models_running(deployment: Deployment) -> None:
    deployment.engine(FIXTURE / "database.yaml").up()
    until(lambda: deployment.status()["migrate"].state == "completed")
    before = deployment.status()
    assert set(before) == {"postgres", "migrate"}
    deployment.engine(COMPOSE).up()
    after = deployment.status()
    assert (after["postgres"].pid, after["migrate"].since) == (before["postgres"].pid, before["migrate"].since)
    assert page(deployment) == "good bad"
    deployment.engine(FIXTURE / "database.yaml").up()
    assert {name: status.pid for name, status in deployment.status().items()} == {
        "postgres": after["postgres"].pid,
        "migrate": 0,
    }


def test_a_killed_service_is_restarted_and_postgres_recovers(deployment: Deployment) -> None:
    engine = deployment.engine(COMPOSE)
    engine.up()
    killed = deployment.kill("postgres"), deployment.kill("web")
    engine.up()
    status = deployment.status()
    assert (status["postgres"].restarts, status["web"].restarts) == (1, 1)
    assert status["postgres"].pid not in killed
    assert page(deployment) == "good bad"


def test_killing_the_supervisor_ends_its_services_and_up_recovers(deployment: Deployment) -> None:
    engine = deployment.engine(COMPOSE)
    engine.up()
    deployment.kill_supervisor()
    assert {status.state for status in engine.status()} == {"stopped", "completed"}
    engine.up()
    assert page(deployment) == "good bad"
    deployment.kill("postgres")
    deployment.kill_supervisor()
    engine.down()
    assert deployment.left() == []


def test_every_external_command_is_echoed(standing: Deployment) -> None:
    assert [line.split()[0] for line in standing.echoed[:2]] == ["docker-compose", "docker-compose"]
