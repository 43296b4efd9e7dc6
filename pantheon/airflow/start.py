"""Starts one of Airflow's services: ``python -m pantheon.airflow.start migrate|api-server|scheduler|dag-processor``.

Before Airflow itself: its folder, the password file where it may be written, and what a killed predecessor left in the
database. Then this process becomes Airflow's own command.
"""

import importlib
import os
import shutil
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

from pantheon.airflow import lean

COMMANDS = {
    "api-server": ["api-server", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],  # the log server would listen on every interface
    "dag-processor": ["dag-processor"],
}
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob"}  # service -> its rows in the table job
# The scheduler forks its workers, and they a process for each task: what is imported before is imported once.
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
    """A connection to Airflow's database, as the PG variables say; commits by itself."""
    psycopg2: Any = importlib.import_module("psycopg2")
    connection = psycopg2.connect(connect_timeout=10)
    connection.autocommit = True
    return connection


def prepare_home() -> None:
    """Airflow's folder, with an empty configuration file: without one Airflow writes its own, with keys in it."""
    home = Path(os.environ["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "airflow.cfg").touch()


def started(service: str) -> Path:
    """A file whose time says when the service was last started: ``health`` asks for heartbeats since then."""
    return Path(os.environ["AIRFLOW_HOME"]) / f".{service}.started"


def copy_passwords(secret: Path, target: Path) -> None:
    """Airflow opens its password file for writing, and the secret cannot be written in a container."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.touch(0o600)
    shutil.copyfile(secret, part)
    part.replace(target)


def bury(service: str) -> None:
    """Mark the predecessor's job as failed: its tasks are then looked after at once, not after a silence.

    There is exactly one process of each service, so whatever the table still calls running is dead.
    """
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job SET state = 'failed', end_date = now() WHERE job_type = %s AND state = 'running'",
            (JOBS[service],),
        )


def migrate() -> None:
    """Bring the database to the installed Airflow's schema, in milliseconds where it is there already.

    A comment on Alembic's own table says which Airflow migrated it to which revision. It is written when all is done,
    so after an interruption, an upgrade or a restored dump the migration runs again.
    """
    version = metadata.version("apache-airflow-core")
    with closing(connect()) as connection, connection.cursor() as cursor:
        if revision(cursor) and note(cursor) == remark(version, revision(cursor)):
            print(f"the database is that of Airflow {version} already")
            return
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
        cursor.execute("COMMENT ON TABLE alembic_version IS %s", (remark(version, revision(cursor)),))


def revision(cursor: Any) -> str:
    """The schema's revision as Alembic knows it; empty for an empty database."""
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
        bury(service)
    started(service).touch()
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
