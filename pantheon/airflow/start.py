"""Start an Airflow service: ``python -m pantheon.airflow.start migrate|api-server|scheduler|dag-processor``.

Prepares Airflow's folder and a writable copy of the password file, and marks jobs that a killed predecessor left in the
database as failed. Then runs Airflow's own command in this process.
"""

import importlib
import os
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

from pantheon.airflow import lean
from pantheon.files import write_bytes

COMMANDS = {
    "api-server": ["api-server", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],  # the log server would listen on every interface
    "dag-processor": ["dag-processor"],
}
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob"}  # service -> its rows in the table job
# The scheduler forks its workers, and they fork a process for every task: modules imported before are imported once.
PRELOAD = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.api.client",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.decorators.python",
    "pantheon.airflow.stages",
    "pantheon.airflow.dataflow",
)


def connect() -> Any:
    """Connect to Airflow's database, which the PG variables name; with autocommit."""
    psycopg2: Any = importlib.import_module("psycopg2")
    connection = psycopg2.connect(connect_timeout=10)
    connection.autocommit = True
    return connection


def prepare_home() -> None:
    """Create Airflow's folder with an empty configuration file: otherwise Airflow writes one that contains keys."""
    home = Path(os.environ["AIRFLOW_HOME"])
    write_bytes(home / "airflow.cfg", b"")  # replaces a file or link that something else put there


def started(service: str) -> Path:
    """Return a file whose mtime is the service's last start: ``health`` only counts heartbeats since then."""
    return Path(os.environ["AIRFLOW_HOME"]) / f".{service}.started"


def copy_passwords(secret: Path, target: Path) -> None:
    """Copy the password file: Airflow opens it for writing, and secrets are read-only in a container."""
    write_bytes(target, secret.read_bytes(), mode=0o600)


def fail_old_jobs(service: str) -> None:
    """Mark the predecessor's job as failed, so that its tasks are rescheduled at once, not after a timeout.

    Every service has exactly one process, so a job that the table still lists as running is dead.
    """
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job SET state = 'failed', end_date = now() WHERE job_type = %s AND state = 'running'",
            (JOBS[service],),
        )


def migrate() -> None:
    """Migrate the database to the installed Airflow's schema; takes milliseconds if it is up to date.

    A comment on Alembic's own table records which Airflow migrated it to which revision. It is written at the end, so
    after an interruption, an upgrade or a restored dump the migration runs again.
    """
    version = metadata.version("apache-airflow-core")
    with closing(connect()) as connection, connection.cursor() as cursor:
        if revision(cursor) and note(cursor) == remark(version, revision(cursor)):
            print(f"the database already has the schema of Airflow {version}")
            return
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
        cursor.execute("COMMENT ON TABLE alembic_version IS %s", (remark(version, revision(cursor)),))


def revision(cursor: Any) -> str:
    """Return the schema's revision as recorded by Alembic; empty for an empty database."""
    cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return ""
    cursor.execute("SELECT version_num FROM alembic_version")
    return " ".join(row[0] for row in cursor.fetchall())


def note(cursor: Any) -> str:
    cursor.execute("SELECT obj_description('alembic_version'::regclass, 'pg_class')")
    return str(cursor.fetchone()[0])


def remark(version: str, at: str) -> str:
    return f"migrated by apache-airflow-core {version} to {at}"


def main() -> None:
    service = sys.argv[1]
    prepare_home()
    if service == "migrate":
        migrate()
        return
    if service == "api-server":
        target = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
        copy_passwords(Path(os.environ["SECRETS_DIR"]) / "airflow_passwords.json", target)
    if service in JOBS:
        fail_old_jobs(service)
    write_bytes(started(service), b"")
    lean.few_collections()
    if service == "api-server":
        lean.newest_task_interface()
    if service == "scheduler":
        lean.keep_frozen()
        for module in PRELOAD:
            importlib.import_module(module)
    sys.argv = ["airflow", *COMMANDS[service]]
    importlib.import_module("airflow.__main__").main()


if __name__ == "__main__":
    main()
