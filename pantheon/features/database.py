"""Create PostgreSQL's user and database for Feast's registry: ``python -m pantheon.features.database``.

Idempotent: a server that ran before the deployment had Feast gets them while it runs. Environment: ``POSTGRES_HOST``,
``POSTGRES_PORT``, ``PGPASSFILE`` with the password of the user ``pantheon``, ``FEAST_DATABASE_PASSWORD_FILE``.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

NAME = "feast"  # of the user and of the database
WAIT_SECONDS = 60.0  # for the server


def connect(**more: Any) -> Any:
    """Connect to the server as ``pantheon``, who owns it."""
    given = {"host": os.environ["POSTGRES_HOST"], "port": os.environ["POSTGRES_PORT"], "connect_timeout": 5}
    return psycopg.connect(**{**given, "user": "pantheon", "dbname": "postgres", **more}, autocommit=True)


def works(password: str) -> bool:
    """Whether the user can log in to the database."""
    try:
        connect(user=NAME, dbname=NAME, password=password).close()
    except psycopg.OperationalError:
        return False
    return True


def create(password: str) -> None:
    """Create the user and the database, or give the user this password."""
    name = sql.Identifier(NAME)
    with connect() as owner:
        hashed = owner.pgconn.encrypt_password(password.encode(), NAME.encode(), b"scram-sha-256").decode()
        there = owner.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [NAME]).fetchone()
        verb = sql.SQL("ALTER" if there else "CREATE")
        owner.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, sql.Literal(hashed)))
        if not owner.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
            owner.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        owner.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))


def main() -> int:
    password = Path(os.environ["FEAST_DATABASE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    end = time.monotonic() + WAIT_SECONDS
    while not works(password):
        problem = f"the user {NAME!r} cannot use the database {NAME!r}: does it belong to another user?"
        try:
            create(password)
        except psycopg.OperationalError as error:
            problem = f"PostgreSQL does not answer: {error}"
        if time.monotonic() > end:
            print(f"feast-database: {problem}", file=sys.stderr)
            return 1
        time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
