"""PostgreSQL's databases go from one server to another, which has other passwords."""

import io
from pathlib import Path
from typing import IO

import pytest

from pantheon.deployment import keeping, piping
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.keeping import Engines, Part
from pantheon.errors import PantheonError
from pantheon.tiers import find
from tests.support.command_line import assert_nothing_left
from tests.support.ports import free_port_offset

TIER = find("prometheus")
PSQL = ("sh", "-c", 'PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") psql --no-psqlrc -v ON_ERROR_STOP=1 -At')
MADE = """
CREATE ROLE feast LOGIN PASSWORD 'feast';
CREATE DATABASE feast OWNER feast;
REVOKE CONNECT ON DATABASE feast FROM PUBLIC;
\\connect airflow
CREATE TABLE runs (id serial PRIMARY KEY, name text);
INSERT INTO runs (name) VALUES ('größer'), ('it''s');
"""
ASKED = """
SELECT datname, pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT') FROM pg_database ORDER BY 1;
\\connect airflow
SELECT id, name FROM runs ORDER BY id;
SELECT nextval('runs_id_seq');
"""


def made(name: str) -> Deployment:
    deployment = Deployment(name)
    deployment.update(tier=TIER.name, engine="local", port_offset=free_port_offset())
    deployment.make_folders(TIER)
    return deployment


def query(deployment: Deployment, part: Part, text: str) -> str:
    lines: list[str] = []
    engine = Engines(deployment, TIER).of(part, part.kept.service)
    assert engine.run_task(part.kept.service, PSQL, on_output=lines.append, input=text.encode()) == 0, lines
    return "\n".join(lines)


def test_another_server_gets_the_same_databases_owners_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    (part,) = (each for each in keeping.known() if each.kept.file)
    old, new, saved = made("old"), made("new"), io.BytesIO()

    def give(stream: IO[bytes]) -> None:
        stream.write(saved.getvalue())

    with keeping.alone(old, TIER, part):
        query(old, part, MADE)
        engine = Engines(old, TIER).of(part, part.kept.service)
        piping.receive(engine, part.kept.service, part.kept.save, lambda stream: saved.write(stream.read()) and None)
        asked = query(old, part, ASKED)
    assert b"PASSWORD" not in saved.getvalue()
    with keeping.alone(new, TIER, part):
        engine = Engines(new, TIER).of(part, part.kept.service)
        piping.send(engine, part.kept.service, part.kept.load, give)
        assert query(new, part, ASKED) == asked
        with pytest.raises(PantheonError, match='databases failed: ERROR:  role "feast" already exists'):
            piping.send(engine, part.kept.service, part.kept.load, give)
    assert "größer" in asked
    assert_nothing_left(tmp_path)
