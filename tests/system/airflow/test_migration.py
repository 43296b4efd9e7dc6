"""The database migration is skipped in milliseconds if complete, and repeated if uncertain."""

import time

import pytest

from tests.support.airflow import Prometheus

pytestmark = pytest.mark.timeout(400)
ASK = """
from contextlib import closing
from pantheon.airflow.start import connect, note
with closing(connect()) as connection, connection.cursor() as cursor:
    {}
    print(note(cursor))
"""


def test_the_migration_is_skipped_if_complete_and_repeated_if_uncertain(prometheus: Prometheus) -> None:
    migrate = ("-m", "pantheon.airflow.start", "migrate")
    before = prometheus.inside("airflow-scheduler", "-c", ASK.format("pass")).stdout
    assert before.startswith("migrated by apache-airflow-core 3.")
    begin = time.monotonic()
    skipped = prometheus.inside("airflow-scheduler", *migrate)
    took = time.monotonic() - begin
    assert "the database already has the schema of Airflow 3." in skipped.stdout
    forget = 'cursor.execute("COMMENT ON TABLE alembic_version IS NULL")'
    assert prometheus.inside("airflow-scheduler", "-c", ASK.format(forget)).stdout.strip() == "None"
    begin = time.monotonic()
    done = prometheus.inside("airflow-scheduler", *migrate)
    assert done.returncode == 0, done.stderr
    assert "Database migration done" in done.stdout + done.stderr
    assert took < time.monotonic() - begin
    assert prometheus.inside("airflow-scheduler", "-c", ASK.format("pass")).stdout == before
