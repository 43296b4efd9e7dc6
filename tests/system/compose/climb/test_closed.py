"""All components in containers: who has which rights, who reaches what, and where no secret is."""

import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.engines.compose.client import Api
from tests.support.compose import Composed, docker_command
from tests.support.compose_climb import EVERY, Climb, airflow
from tests.support.hephaestus import SERVER, WEB, ask
from tests.support.ports import PORTS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]
FEATURES = ("features/key", "features/valkey_password")
SEES = {  # service → what of secrets/ it can read
    "button": {"button/credentials", "button/password", "button/endpoint_key", *FEATURES},
    "postgres": {"postgres_password"},
    "airflow": {"pgpass", "airflow_fernet_key", "airflow_jwt_secret", "airflow_passwords.json"},
    "airflow-scheduler": {
        *("pgpass", "airflow_fernet_key", "airflow_jwt_secret", "airflow_password"),
        *("dataflow_token", "jupyter_token", "monitor_token", *FEATURES),
    },
    "airflow-dag-processor": {"pgpass", "airflow_fernet_key", "airflow_jwt_secret"},
    "dataflow": {"dataflow_token", "s3/credentials", *FEATURES},
    "jupyter": {"jupyter_token", "s3/credentials", *FEATURES},
    "s3": {"s3_identities.json", "security.toml", "s3_grpc.pem"},
    "endpoint": {
        "endpoint/credentials",
        *FEATURES,
        *(f"endpoint_keys/{name}" for name in ("button", "frontend", "import", "metrics")),
    },
    "predictions": {"predictions_key", "s3/credentials", *FEATURES},
    "frontend": {"frontend/key", "frontend/secret"},
    "monitor": {"monitor_token", "alerts/settings.json", "s3/credentials"},
    "feast": {"feast_password", "feast_pgpass", "s3/credentials", *FEATURES},
    "valkey": {"valkey.conf"},
    "kubeflow": {"kubeflow/key", "s3/credentials", *FEATURES},
    "hub": {
        *("hub_password", "hub_cookie_secret", "hub_proxy_token", "hub_servers_key", "hub_culler_token"),
        *("hub_commands_token", "tensorboard_token", "dashboard_token"),
    },
    "hub-proxy": {"hub_proxy_token"},
    "hub-servers": {"hub_servers_key", "s3/credentials", *FEATURES},
    "tensorboard": {"tensorboard_token"},
    "dashboard": {"dashboard_token", "kubeflow/key", "s3/credentials"},
    "orders": {"kubeflow/key"},
}
ASK = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], method=sys.argv[2], headers=dict(h.split("=", 1) for h in sys.argv[3:]))
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def status_of(url: str, body: Any = None, **headers: str) -> int:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_containers_have_no_more_rights_than_they_need(last: Composed, docker: Api) -> None:
    uid = str((last.state / "models").stat().st_uid)
    for service in EVERY:
        found = last.inspect(docker, service)
        host = found["HostConfig"]
        assert found["Config"]["User"].split(":")[0] == uid != "0", service
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"] and not host["Privileged"], service
        assert host["PidsLimit"] > 0 and host["Memory"] > 0 and host["Init"], service
        assert found["State"]["OOMKilled"] is False, service


def test_no_service_listens_on_other_interfaces(last: Composed, docker: Api) -> None:
    published = {}
    for each in docker.containers(last.name):
        for entries in each["NetworkSettings"]["Ports"].values():
            published |= {int(entry["HostPort"]): entry["HostIp"] for entry in entries or []}
        if pid := each["State"]["Pid"]:
            mine, its = (Path(f"/proc/{who}/ns/net").readlink() for who in ("self", pid))
            assert mine != its, "a container's own sockets are not this machine's"
    ports = (8080, 8081, 8888, 9000, 8085, 8000, 6566, 6567, 8001, 6006)
    assert published == {port + last.offset: "127.0.0.1" for port in ports}
    beyond = [
        connection.laddr
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip != "127.0.0.1"
        and (connection.laddr.port in published or connection.laddr.port - last.offset in PORTS)
    ]
    assert beyond == []


def test_only_published_ports_are_reachable_and_services_have_no_outbound_access(last: Composed) -> None:
    names = [f"{last.name}_front", f"{last.name}_inside"]
    front, inside = json.loads(docker_command("network", "inspect", *names))
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert inside["Internal"]
    for service in ("airflow-scheduler", "postgres", "dataflow"):
        (network,) = json.loads(docker_command("inspect", f"{last.name}-{service}-1"))[0]["NetworkSettings"]["Networks"]
        assert network == f"{last.name}_inside"
    for port in (5433, 8070, 8072, 8086, 9010, 9015, 6568, 6569, 8003, 8889, 8890, 8891, 8892):
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port + last.offset), 2):
            pass


def test_every_service_rejects_requests_without_credentials(last: Composed) -> None:
    hub, api, dashboard, boards = (f"http://127.0.0.1:{port + last.offset}" for port in (8888, 8081, 8001, 6006))
    token = (last.state / "secrets" / "jupyter_token").read_text().strip()
    assert status_of(f"{hub}/hub/api/users") == 403
    assert status_of(f"{hub}/hub/api/users", Authorization="token wrong") == 403
    assert (status_of(f"{dashboard}/"), status_of(f"{boards}/default/")) == (401, 401)
    ask_from = ["exec", f"{last.name}-airflow-scheduler-1", "python", "-c", ASK]
    lab = f"http://jupyter:{8892 + last.offset}"
    assert docker_command(*ask_from, f"{lab}/api/contents", "GET") == "403\n"
    assert docker_command(*ask_from, f"{lab}/scheduler/jobs", "GET") == "403\n"
    assert docker_command(*ask_from, f"{lab}/api/contents", "GET", f"Authorization=token {token}") == "200\n"
    assert docker_command(*ask_from, f"http://kubeflow:{8003 + last.offset}/kinds", "GET") == "401\n"
    assert status_of(f"{api}/api/v2/dags") == 401
    assert status_of(f"{api}/api/v2/dags/etl/dagRuns", {"logical_date": None}) == 401
    assert status_of(f"{api}/auth/token", {"username": "admin", "password": "wrong"}) == 401
    for port, path in ((SERVER, "/health"), (WEB, "/projects-list.json")):
        assert ask(last, port, path, headers={})[0] == 401
        assert ask(last, port, path)[0] == 200
    assert {dag["dag_id"] for dag in airflow(last, "dags")["dags"]} == {
        *("etl", "dataflow", "notebooks", "pycaret", "monitor", "features")
    }
    going = f"http://dataflow:{8070 + last.offset}/runs/none/continue"
    inside = ["exec", f"{last.name}-jupyter-1", "python", "-c", ASK, going, "POST"]
    assert docker_command(*inside) == "401\n"
    word = (last.state / "secrets" / "dataflow_token").read_text().strip()
    assert docker_command(*inside, f"Authorization=Bearer {word}") == "404\n", "with it, it looks for the run"


def words_of(made: Composed) -> dict[str, str]:
    """Every generated word, by its file; what is not a single word is another form of them, or SeaweedFS's own."""
    other = {"pgpass", "airflow_passwords.json", "s3_identities.json", "security.toml", "s3_grpc.pem"}
    other |= {"credentials", "settings.json", "valkey.conf", "feast_pgpass"}
    secrets = made.state / "secrets"
    files = [path for path in secrets.rglob("*") if path.is_file() and path.name not in other]
    words = {str(path.relative_to(secrets)): path.read_text().strip() for path in files}
    return {name: word for name, word in words.items() if not name.endswith("_access_key")}


def environments(pids: list[int]) -> str:
    """Of processes and their descendants, as far as they still live."""
    found = []
    for pid in pids:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                found.append(str(process.environ()))
    return "".join(found)


def test_no_secret_is_visible_to_other_users(climb: Climb, last: Composed, docker: Api) -> None:
    containers = docker.containers(last.name)
    seen = {
        "inspect": json.dumps(containers),
        "images": json.dumps([docker.ask(f"/images/{each['Image']}/json") for each in containers]),
        "layers": "".join(docker_command("history", "--no-trunc", each["Image"]) for each in containers),
        "logs": "".join(last("logs", "--service", service).out for service in EVERY)
        + "".join(docker_command("logs", f"{last.name}-{service}-1") for service in EVERY),
        "logs of tasks": "".join(
            path.read_text(errors="replace")
            for folder in ("volumes/airflow/logs", "logs")
            for path in (last.state / folder).rglob("*.log")
        ),
        "ps": subprocess.check_output(["ps", "-eo", "args"], text=True),
        "environments": environments([each["State"]["Pid"] for each in containers if each["State"]["Pid"]]),
        "said": "".join(answer.out + answer.err for answer in climb.said),
        "state": "".join(path.read_text() for path in (last.state / "state").glob("*.json")),
    }
    words = words_of(last)
    assert len(words) == 33 and all(len(word) >= 40 for word in words.values())
    assert all(seen.values())
    assert [(place, name) for place, text in seen.items() for name, word in words.items() if word in text] == []


def test_a_service_reads_only_the_secrets_that_it_needs(last: Composed, docker: Api) -> None:
    words = words_of(last)
    owner = (last.state / "models").stat().st_uid
    secrets, seen = last.state / "secrets", set().union(*SEES.values())
    for path in (path for path in secrets.rglob("*") if path.is_file()):
        assert path.stat().st_mode & 0o777 == 0o600, path
        assert path.stat().st_uid == owner or str(path.relative_to(secrets)) not in seen, path
    look = "cd /run/secrets; find . -type f -readable -printf '%P\\n'"
    forms = {
        "pgpass": "postgres_password",
        "airflow_passwords.json": "airflow_password",
        "button/credentials": "button_secret_key",
        "endpoint/credentials": "endpoint_secret_key",
        "s3/credentials": "s3_secret_key",
        "feast_pgpass": "feast_database_password",
        "valkey.conf": "features/valkey_password",
    }
    for service, wanted in SEES.items():
        assert set(docker_command("exec", f"{last.name}-{service}-1", "sh", "-c", look).split()) == wanted, service
        hidden = {name: word.encode() for name, word in words.items() if name not in {forms.get(w, w) for w in wanted}}
        mounts = [Path(m["Source"]) for m in last.inspect(docker, service)["Mounts"] if "/run/secrets" not in str(m)]
        texts = {path: path.read_bytes() for mount in mounts for path in mount.rglob("*") if path.is_file()}
        assert [
            (service, path, name) for path, text in texts.items() for name, word in hidden.items() if word in text
        ] == []
