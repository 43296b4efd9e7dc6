"""All components in containers: one deployment grows under load to the last tier, is looked at there, and goes back."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.cli import images
from pantheon.engines.docker import ComposeEngine
from pantheon.engines.docker_api import Api
from pantheon.tiers import find
from tests.conformance.conftest import BUILT, Load, checksums, versions
from tests.conformance.test_tiers_agree import differences
from tests.conftest import PORTS, Answer, make_pantheon
from tests.engines.conftest import until

from .conftest import Composed, clear, docker_command, make_composed
from .test_keys import HONOURED

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]
LAST = BUILT[-1]
AIRFLOW = {"postgres", "airflow", "airflow-scheduler", "airflow-dag-processor"}
EVERY = AIRFLOW | {"button", "dataflow", "jupyter", "s3"}
DONE = {"airflow-migrate", "s3-buckets"}
SEES = {  # service → what of secrets/ it can read
    "button": {"button/credentials"},
    "postgres": {"postgres_password"},
    "airflow": {"pgpass", "airflow_fernet_key", "airflow_jwt_secret", "airflow_passwords.json"},
    "airflow-scheduler": {"pgpass", "airflow_fernet_key", "airflow_jwt_secret", "dataflow_token", "jupyter_token"},
    "airflow-dag-processor": {"pgpass", "airflow_fernet_key", "airflow_jwt_secret"},
    "dataflow": {"dataflow_token", "s3/credentials"},
    "jupyter": {"jupyter_token", "s3/credentials"},
    "s3": {"s3_identities.json", "security.toml", "s3_grpc.pem"},
}
ASK = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], method=sys.argv[2], headers=dict(h.split("=", 1) for h in sys.argv[3:]))
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@dataclass
class Climb:
    """The deployment at the last tier, and what was seen on the way there."""

    made: Composed
    load: Load
    buttons: list[str] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: list[Answer] = field(default_factory=list)
    schedulers: list[dict[str, Any]] = field(default_factory=list)

    def run(self, tier: str) -> Path:
        return self.made.state / "runs" / str(self.outcomes[tier]["run"])

    def grow(self, api: Api, tier: str) -> None:
        self.said.append(self.made("up", tier, timeout=400))
        self.buttons.append(self.made.inspect(api)["Id"])
        self.files.append(checksums(self.made.state))
        self.models.append(versions(self.made))

    def kill_scheduler(self, api: Api) -> None:
        """kill -9 of the container's main process; wait until it is back, and note what it was and is."""
        before = self.made.inspect(api, "airflow-scheduler")
        os.kill(before["State"]["Pid"], signal.SIGKILL)

        def back() -> bool:
            now = self.made.inspect(api, "airflow-scheduler")
            again = now["State"]["Pid"] not in (0, before["State"]["Pid"])
            return again and now["State"].get("Health", {}).get("Status") == "healthy"

        until(back, 200)
        self.schedulers = [before, self.made.inspect(api, "airflow-scheduler")]


@pytest.fixture(scope="module")
def climb(tmp_path_factory: pytest.TempPathFactory, docker: Api, stand_in: None) -> Iterator[Climb]:
    made = make_composed(tmp_path_factory.mktemp("climb"))
    found = Climb(made, Load(made.page))
    try:
        found.outcomes["persephone"] = made("up", "persephone", "--data", "wine", "--json", timeout=400).json["outcome"]
        mine = made.state / "notebooks" / "mine.ipynb"
        mine.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        with found.load:
            for tier in BUILT:
                found.grow(docker, tier)
                if tier == "prometheus":
                    found.kill_scheduler(docker)
                if tier in ("nemesis", LAST):
                    found.said.append(made("run", "--json", timeout=400))
                    found.outcomes[tier] = found.said[-1].json
        yield found
    finally:
        clear(made)


@pytest.fixture
def last(climb: Climb) -> Composed:
    """At the last tier, on Compose, with all components: nothing to do where the test before left it so."""
    climb.made("up", LAST, "--engine", "compose", "--without", "none", "--no-run", timeout=400)
    return climb.made


def running(docker: Api, made: Composed) -> set[str]:
    """Services whose container runs."""
    return {
        str(each["Config"]["Labels"]["com.docker.compose.service"])
        for each in docker.containers(made.name)
        if each["State"]["Running"]
    }


def status_of(url: str, body: Any = None, **headers: str) -> int:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def airflow(made: Composed, path: str) -> Any:
    """What Airflow's API answers to its user."""
    base = f"http://127.0.0.1:{8081 + made.offset}"
    word = (made.state / "secrets" / "airflow_password").read_text().strip()
    asked = urllib.request.Request(
        f"{base}/auth/token",
        json.dumps({"username": "admin", "password": word}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        token = json.load(answer)["access_token"]
    asked = urllib.request.Request(f"{base}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def history(made: Composed) -> dict[str, str]:
    """Airflow's runs: id → state."""
    found = airflow(made, "dags/~/dagRuns?limit=100")["dag_runs"]
    return {f"{run['dag_id']} {run['dag_run_id']}": run["state"] for run in found}


def test_no_request_is_lost_while_it_grows_and_the_button_is_never_replaced(climb: Climb) -> None:
    assert climb.load.lost == []
    assert climb.load.refusals + climb.load.predictions > 200
    assert len(set(climb.buttons)) == 1


def test_versions_and_aliases_go_along_into_s3(climb: Climb) -> None:
    first, *others = climb.models[: BUILT.index("nemesis") + 1]  # nothing was published on the way there
    assert first
    assert all(models == first for models in others)
    last = climb.models[BUILT.index(LAST)]
    assert all(last[name] == version for name, version in first.items() if name[-1].isdigit()), (
        "what was published stays"
    )


def test_data_models_runs_and_notebooks_are_kept(climb: Climb) -> None:
    assert any(name.startswith("models/") for name in climb.files[0])
    assert "notebooks/mine.ipynb" in climb.files[0]
    for before, after in zip(climb.files, climb.files[1:], strict=False):
        assert before.items() <= after.items()


def test_what_grows_is_said_first(climb: Climb) -> None:
    said = climb.said[2].err
    assert "growing in place: daedalus → prometheus" in said
    (adds,) = [line for line in said.splitlines() if line.startswith("  adds")]
    assert all(name in adds for name in AIRFLOW)


def test_runs_through_airflow_and_jupyter_end_with_the_model_that_the_local_engine_makes(
    climb: Climb, tmp_path: Path
) -> None:
    local = make_pantheon(tmp_path / "local", TRIALS="2")
    try:
        local("up", "persephone", "--no-run", "--data", "wine")
        run = local.state / "runs" / local("run", "--json").json["run"]
        wanted = json.loads((run / "metrics.json").read_text())
    finally:
        local("down")
    for tier in ("persephone", "nemesis", LAST):
        assert climb.outcomes[tier]["decision"] in ("promoted", "refused")
        assert (climb.run(tier) / "bundle" / "model.onnx").stat().st_size > 0
        assert json.loads((climb.run(tier) / "run.json").read_text())["tier"] == tier
        found = json.loads((climb.run(tier) / "metrics.json").read_text())
        assert list(differences(wanted, found)) == []
    assert (climb.run(LAST) / "version_control.json").exists()
    executed = [json.loads(path.read_text()) for path in (climb.run(LAST) / "notebooks").glob("*.ipynb")]
    assert len(executed) >= 5
    assert all(any(cell.get("outputs") for cell in notebook["cells"]) for notebook in executed)


def test_every_service_is_healthy_and_no_more_than_these(last: Composed, docker: Api) -> None:
    states = {service["name"]: service["state"] for service in last("status", "--json").json["services"]}
    assert states == dict.fromkeys(EVERY, "healthy") | dict.fromkeys(DONE, "completed")
    assert running(docker, last) == EVERY


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


def test_the_engine_honours_every_key_that_the_compose_files_use(last: Composed, docker: Api) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for image in ("POSTGRES_IMAGE", "S3_IMAGE"):
            patch.setenv(image, last.settings[image])
        engine = ComposeEngine(last.name, last.state, find(LAST).compose_file, last.offset, tags=images.tags())
    for name, service in engine.resolved().started.items():
        found = last.inspect(docker, name)
        broken = [key for key, wanted in service.items() if key in HONOURED and not HONOURED[key](found, wanted)]
        assert (name, broken) == (name, [])


def test_nothing_listens_beyond_this_machine(last: Composed, docker: Api) -> None:
    published = {}
    for each in docker.containers(last.name):
        for entries in each["NetworkSettings"]["Ports"].values():
            published |= {int(entry["HostPort"]): entry["HostIp"] for entry in entries or []}
        if pid := each["State"]["Pid"]:
            mine, its = (Path(f"/proc/{who}/ns/net").readlink() for who in ("self", pid))
            assert mine != its, "a container's own sockets are not this machine's"
    assert published == {port + last.offset: "127.0.0.1" for port in (8080, 8081, 8888, 9000)}
    beyond = [
        connection.laddr
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip != "127.0.0.1"
        and (connection.laddr.port in published or connection.laddr.port - last.offset in PORTS)
    ]
    assert beyond == []


def test_only_what_is_published_can_be_reached_from_outside_and_nothing_reaches_out(last: Composed) -> None:
    names = [f"{last.name}_front", f"{last.name}_inside"]
    front, inside = json.loads(docker_command("network", "inspect", *names))
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert inside["Internal"]
    for service in ("airflow-scheduler", "postgres", "dataflow"):
        (network,) = json.loads(docker_command("inspect", f"{last.name}-{service}-1"))[0]["NetworkSettings"]["Networks"]
        assert network == f"{last.name}_inside"
    for port in (5433, 8070, 9010, 9015):
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port + last.offset), 2):
            pass


def test_airflow_jupyter_and_the_dataflow_refuse_without_credentials(last: Composed) -> None:
    lab, api = (f"http://127.0.0.1:{port + last.offset}" for port in (8888, 8081))
    token = (last.state / "secrets" / "jupyter_token").read_text().strip()
    assert status_of(f"{lab}/api/contents") == 403
    assert status_of(f"{lab}/scheduler/jobs") == 403
    assert status_of(f"{lab}/api/contents", Authorization="token wrong") == 403
    assert status_of(f"{lab}/api/contents", Authorization=f"token {token}") == 200
    assert status_of(f"{api}/api/v2/dags") == 401
    assert status_of(f"{api}/api/v2/dags/etl/dagRuns", {"logical_date": None}) == 401
    assert status_of(f"{api}/auth/token", {"username": "admin", "password": "wrong"}) == 401
    assert {dag["dag_id"] for dag in airflow(last, "dags")["dags"]} == {"etl", "dataflow", "notebooks", "pycaret"}
    going = f"http://dataflow:{8070 + last.offset}/runs/none/continue"
    inside = ["exec", f"{last.name}-jupyter-1", "python", "-c", ASK, going, "POST"]
    assert docker_command(*inside) == "401\n"
    word = (last.state / "secrets" / "dataflow_token").read_text().strip()
    assert docker_command(*inside, f"Authorization=Bearer {word}") == "404\n", "with it, it looks for the run"


def words_of(made: Composed) -> dict[str, str]:
    """Every generated word, by its file; what is no single word is another form of them, or SeaweedFS's own."""
    other = {"pgpass", "airflow_passwords.json", "s3_identities.json", "security.toml", "s3_grpc.pem"}
    files = [path for path in (made.state / "secrets").iterdir() if path.is_file() and path.name not in other]
    return {path.name: path.read_text().strip() for path in files if not path.name.endswith("_access_key")}


def environments(pids: list[int]) -> str:
    """Of processes and their descendants, as far as they still live."""
    found = []
    for pid in pids:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                found.append(str(process.environ()))
    return "".join(found)


def test_no_secret_is_where_others_see_it(climb: Climb, last: Composed, docker: Api) -> None:
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
    assert len(words) == 9 and all(len(word) >= 40 for word in words.values())
    assert all(seen.values())
    assert [(place, name) for place, text in seen.items() for name, word in words.items() if word in text] == []


def test_each_service_reads_the_secrets_that_it_needs_and_no_others(last: Composed, docker: Api) -> None:
    words = words_of(last)
    owner = (last.state / "models").stat().st_uid
    for path in (path for path in (last.state / "secrets").rglob("*") if path.is_file()):
        assert path.stat().st_mode & 0o777 == 0o600, path.name
        assert path.stat().st_uid == owner or path.name not in set().union(*SEES.values()), path.name
    look = "cd /run/secrets; find . -type f -readable -printf '%P\\n'"
    forms = {
        "pgpass": "postgres_password",
        "airflow_passwords.json": "airflow_password",
        "button/credentials": "button_secret_key",
        "s3/credentials": "s3_secret_key",
    }
    for service, wanted in SEES.items():
        assert set(docker_command("exec", f"{last.name}-{service}-1", "sh", "-c", look).split()) == wanted, service
        hidden = {name: word.encode() for name, word in words.items() if name not in {forms.get(w, w) for w in wanted}}
        mounts = [Path(m["Source"]) for m in last.inspect(docker, service)["Mounts"] if "/run/secrets" not in str(m)]
        texts = {path: path.read_bytes() for mount in mounts for path in mount.rglob("*") if path.is_file()}
        assert [
            (service, path, name) for path, text in texts.items() for name, word in hidden.items() if word in text
        ] == []


def test_a_killed_scheduler_is_started_again(climb: Climb) -> None:
    """Before the run at the last tier, which the one that came back led."""
    before, after = climb.schedulers
    assert after["Id"] == before["Id"]
    assert after["State"]["Pid"] != before["State"]["Pid"]
    assert after["RestartCount"] == before["RestartCount"] + 1


def test_without_airflow_the_dataflow_does_its_part_and_its_history_is_kept_on_either_engine(
    last: Composed, docker: Api
) -> None:
    before = history(last)
    assert {line.split()[0] for line in before} == {"etl", "notebooks"}
    said = last("up", "prometheus", "--without", "airflow", "--no-run").err
    (stops,) = [line for line in said.splitlines() if line.startswith("  stops")]
    assert all(name in stops for name in (*AIRFLOW, "jupyter", "s3"))
    assert running(docker, last) == {"button", "dataflow"}
    run = last("run", "--json", timeout=400).json
    assert run["decision"] in ("promoted", "refused")

    files, models = checksums(last.state), versions(last)
    said = last("up", LAST, "--engine", "local", "--without", "none", "--no-run", timeout=400).err
    assert "moving from compose to local" in said
    assert running(docker, last) == set()
    assert history(last) == before
    assert versions(last) == models
    last("up", "--engine", "compose", "--no-run", timeout=400)
    assert history(last) == before
    assert versions(last) == models
    assert checksums(last.state) == files


def test_going_back_stops_what_the_tier_does_not_have_and_keeps_its_data(last: Composed, docker: Api) -> None:
    button, files, models = last.inspect(docker)["Id"], checksums(last.state), versions(last)
    said = last("up", "daedalus", "--no-run").err
    assert f"going back in place: {LAST} → daedalus" in said
    assert running(docker, last) == {"button"}
    assert last.inspect(docker)["Id"] == button
    assert files.items() <= checksums(last.state).items()
    assert versions(last) == models
    assert (last.state / "volumes" / "metadata" / "18" / "PG_VERSION").read_text() == "18\n"
    assert list((last.state / "volumes" / "airflow" / "logs").rglob("*.log"))
