"""In containers, tiers have the same verbs, models and answers as on the local engine, and are hardened."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pantheon.engines.compose.client import Api
from pantheon.web.tokens import sign
from tests.support import ROOT
from tests.support.agreement import answers, differences
from tests.support.command_line import Answer
from tests.support.compose import Composed, clear, docker_command, inventory, make_composed
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
BAD = '{"robot-age": 5, "rust-level": "9", "battery": "low"}'


def test_a_second_up_does_nothing(persephone: Composed, docker: Api) -> None:
    before = persephone.inspect(docker)["Id"]
    (persephone.state / "state" / "services.json").unlink()  # it is derived from the containers
    answer = persephone("up", "persephone", "--json").json
    assert "outcome" not in answer
    assert answer["engine"] == "compose"
    assert persephone.inspect(docker)["Id"] == before


def test_every_command_works_in_containers(persephone: Composed) -> None:
    assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")
    (button,) = persephone("status", "--json").json["services"]
    assert (button["state"], button["address"]) == ("healthy", persephone.page)

    def memory() -> int:
        return int(persephone("status", "--json").json["services"][0]["memory_mb"])

    until(lambda: 20 < memory() <= 110, 60, "20 to 110 MB of memory for an idle button")
    assert "button | button: listening" in persephone("logs", "--service", "button").out
    assert "0 failed" in persephone("test").out
    assert persephone("doctor", "persephone").status == 0
    assert persephone("runs", "--json").json[-1]["decision"] == "promoted"


def test_the_page_lists_the_services(persephone: Composed) -> None:
    persephone("status")
    written = json.loads((persephone.state / "state" / "services.json").read_text())
    assert [(s["name"], s["state"]) for s in written["services"]] == [("button", "healthy")]
    token = sign((persephone.state / "secrets" / "button" / "password").read_text(), "command", 60)
    request = urllib.request.Request(f"{persephone.page}/parts/services", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert "button" in answer.read().decode()


def test_a_container_has_no_more_rights_than_it_needs(persephone: Composed, docker: Api) -> None:
    uid = str((persephone.state / "models").stat().st_uid)
    for container in (persephone.inspect(docker, name) for name in ("button", "button-port")):
        host = container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] == uid != "0"
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["PidsLimit"] > 0 and host["Memory"] > 0 and host["Init"]
        assert host["LogConfig"]["Config"] == {"max-size": "8m", "max-file": "2"}
    assert {entry["HostIp"] for entries in host["PortBindings"].values() for entry in entries} == {"127.0.0.1"}
    name = f"{persephone.name}-button-1"
    status = docker_command("exec", name, "cat", "/proc/self/status")
    capabilities = {line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd"))}
    assert capabilities == {"0" * 16}
    tried = subprocess.run(
        ["docker", "exec", name, "touch", "/app/x", "/opt/environment/x"], capture_output=True, text=True
    )
    assert tried.stderr.count("Read-only file system") == 2
    assert (
        docker_command(
            "exec", name, "python", "-c", "import getpass, pathlib; print(getpass.getuser(), pathlib.Path.home())"
        )
        == "pantheon /tmp\n"
    )


def test_a_service_cannot_write_files_that_the_host_trusts(persephone: Composed) -> None:
    name, state = f"{persephone.name}-button-1", persephone.state
    tried = subprocess.run(
        ["docker", "exec", name, "sh", "-c", "touch /pantheon/state/x; echo {} > /pantheon/state/deployment.json"],
        capture_output=True,
        text=True,
    )
    assert tried.stderr.count("Read-only file system") == 2
    assert docker_command("exec", name, "ls", "/pantheon").split() == [
        "models",
        "people",
        "repositories",
        "runs",
        "shared",
        "state",
    ]
    assert docker_command("exec", name, "touch", "/pantheon/shared/x") == ""
    (state / "shared" / "x").unlink()
    assert (state.stat().st_mode & 0o777, (state / "settings.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert "settings.json" not in docker_command("inspect", name)


def test_the_only_secret_is_the_password_of_the_page(persephone: Composed) -> None:
    """The climb in containers checks the secrets of later tiers."""
    folder = persephone.state / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "button" / "password"]
    button = f"{persephone.name}-button-1"
    assert docker_command("exec", button, "find", "/run/secrets", "-type", "f").split() == [
        "/run/secrets/button/password"
    ]


def test_from_local_to_compose_and_back_models_runs_metrics_and_answers_are_the_same(composed: Composed) -> None:
    """With a regression; the climb in containers compares a classification at the other tiers."""
    composed("up", "persephone", "--engine", "local", "--data", "diabetes")
    row = json.dumps(composed.row("diabetes"))
    first, files = composed("predict", "--row", row).out, composed.files()
    assert first

    moved = composed("up", "daedalus", "--engine", "compose")
    assert "moving from local to compose" in moved.err
    assert composed("predict", "--row", row).out == first
    assert composed.files() == files
    composed("run", check=False)  # refused where the gate sees no gain over the same model
    here, there = (composed.state / "runs" / run["id"] for run in composed("runs", "--json").json)
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (here, there)]
    assert list(differences(*metrics)) == []
    for one, two in zip(answers(here), answers(there), strict=True):
        assert abs(one - two).max() <= 1e-9

    assert composed("up", PANTHEON_ENGINE="").err.count("engine: compose, the deployment's engine") == 1
    composed("up", "persephone", "--engine", "local")
    assert files.items() <= composed.files().items()
    assert composed("predict", "--row", row).out == first


def test_an_engine_that_does_not_answer_is_reported_and_the_deployment_keeps_it(
    persephone: Composed, tmp_path: Path
) -> None:
    gone = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PANTHEON_ENGINE": ""}
    answer = persephone("up", check=False, **gone)
    assert answer.status == 2
    assert "No Docker engine is running" in answer.message
    assert persephone("status", "--json").json["services"][0]["state"] == "healthy"


def test_a_new_deployment_uses_compose_if_docker_answers_and_says_why(persephone: Composed) -> None:
    assert "engine: compose, containers, since a Docker engine answers here" in persephone.first.err


@dataclass
class Second:
    """A deployment beside persephone: a person's own file, behind a company's certificates.

    Attributes:
        refused: what ``up`` answered on the ports of persephone.
        answer: what ``up`` answered on ports of its own.
    """

    made: Composed
    refused: Answer
    answer: Answer


@pytest.fixture(scope="module")
def second(persephone: Composed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    folder = tmp_path_factory.mktemp("second")
    ca = folder / "company.pem"
    ca.write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    made = make_composed(folder / "home", CA=str(ca))
    file = ["--data", str(ROOT / "datasets" / "churn.csv"), "--target", "churned"]
    try:
        made.offset, own = persephone.offset, made.offset
        refused = made("up", "persephone", *file, check=False)
        made.offset = own
        yield Second(made, refused, made("up", "persephone", *file))
    finally:
        clear(made)


def test_a_users_file_can_be_trained_on(second: Second) -> None:
    assert "is deployed" in second.answer.err
    assert second.made("status", "--json").json["dataset"] == "churn"


def test_one_setting_passes_company_certificates_to_services_and_tasks(second: Second) -> None:
    count = "import ssl, os; print(os.environ['SSL_CERT_FILE'], len(ssl.create_default_context().get_ca_certs()) > 0)"
    output = docker_command("exec", f"{second.made.name}-button-1", "python", "-c", count)
    assert output == "/etc/pantheon/ca.pem True\n"
    assert [run["decision"] for run in second.made("runs", "--json").json] == ["promoted"]


def test_ports_of_another_deployment_are_rejected_with_the_setting_to_change(
    second: Second, persephone: Composed
) -> None:
    assert second.refused.status != 0
    assert "PORT_OFFSET=" in second.refused.message
    assert f"{persephone.offset + 8080}" in second.refused.message


def test_stopping_one_of_two_deployments_does_not_affect_the_other(
    second: Second, persephone: Composed, docker: Api
) -> None:
    assert {s["state"] for s in second.made("status", "--json").json["services"]} == {"healthy"}
    assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")
    second.made("down")
    assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")
    assert not [name for name in inventory(docker) if second.made.name in name]


def test_the_same_name_in_two_folders_is_rejected(persephone: Composed, tmp_path: Path) -> None:
    other = make_composed(tmp_path / "home")
    other.name = persephone.name
    answer = other("up", "persephone", "--no-run", check=False)
    assert "from another folder" in answer.message
    assert "NAME=" in answer.message
    assert persephone("status", "--json").json["services"][0]["state"] == "healthy"


def containers_of(docker: Api, made: Composed) -> set[str]:
    return {name for name in inventory(docker) if name.startswith(f"container /{made.name}-workflow")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_run_leaves_no_container_and_can_resume(
    persephone: Composed, docker: Api, number: signal.Signals
) -> None:
    process = persephone.popen("run", "--trials", "8")  # long enough not to be done before anybody notices
    assert process.stderr
    run = next(line.split()[1].rstrip(":") for line in process.stderr if line.startswith("run "))
    until((persephone.state / "runs" / run / "stages" / "split_data.json").exists, 60)
    os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
    process.communicate(timeout=60)
    until(lambda: not containers_of(docker, persephone))
    (found,) = [each for each in persephone("runs", "--json").json if each["id"] == run]
    assert (found["state"], found["reason"]) == ("interrupted", "")
    outcome = persephone("run", "--resume", run, "--json").json
    assert outcome["run"] == run


def test_plain_docker_compose_works_after_prepare_and_up_keeps_its_containers(composed: Composed, docker: Api) -> None:
    tier = ROOT / "tiers" / "1-persephone"
    bare = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
    bare["PATH"] = f"{ROOT / '.pantheon' / 'envs' / 'dev' / 'bin'}:{bare['PATH']}"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["docker-compose", *words]
        return subprocess.run(command, cwd=tier, env=bare, capture_output=True, text=True, check=False)

    forgotten = run("up", "--detach")
    assert forgotten.returncode != 0
    assert "bin/pantheon prepare" in forgotten.stderr
    try:
        composed("prepare", "persephone")
        done = run("up", "--detach", "--wait")
        assert done.returncode == 0, done.stderr
        with urllib.request.urlopen(f"{composed.page}/healthz", timeout=10) as answer:
            assert answer.status == 200
        assert composed("status", "--json").json["services"][0]["state"] == "healthy"
        before = composed.inspect(docker)
        composed("up", "persephone", "--no-run")
        after = composed.inspect(docker)
        assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
        assert run("down").returncode == 0
    finally:
        (tier / ".env").unlink(missing_ok=True)


def test_plain_docker_compose_does_not_start_components_left_out(composed: Composed) -> None:
    try:
        said = composed("prepare", "prometheus", "--without", "airflow").err
        printed = re.search(r"Next, run: docker compose (.*) up$", said, flags=re.M)
        assert printed
        bare = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
        words = [str(ROOT / ".pantheon" / "envs" / "dev" / "bin" / "docker-compose"), *shlex.split(printed[1])]
        tier = ROOT / "tiers" / "3-prometheus"  # there, docker-compose reads the names of the files from .env
        for compose, folder in ((words, ROOT), (words[:1], tier)):
            command = [*compose, "config", "--services"]
            done = subprocess.run(command, cwd=folder, env=bare, text=True, capture_output=True, check=True)
            assert set(done.stdout.split()) == {"button", "button-port", "dataflow"}
            assert done.stderr == "", "Compose warns about nothing"
    finally:
        (ROOT / "tiers" / "3-prometheus" / ".env").unlink(missing_ok=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_other_than_root_can_run_a_deployment(docker: Api, tmp_path: Path) -> None:
    """Allowed by the socket's group: containers run as that person. Not allowed: a sentence."""
    socket = Path(docker.path)
    person, group = 12345, socket.stat().st_gid
    made = make_composed(
        Path("/var/tmp") / tmp_path.parent.parent.name / tmp_path.name
    )  # below a folder that others may enter
    home = made.home
    home.mkdir(parents=True)
    os.chown(home, person, person)

    def command(*words: str, groups: str) -> subprocess.CompletedProcess[str]:
        become = ["setpriv", f"--reuid={person}", f"--regid={person}", groups]
        program = [str(ROOT / ".pantheon" / "envs" / "cli" / "bin" / "python"), "-P", "-m", "pantheon", *words]
        env = made.environment | {"HOME": str(home), "PYTHONPATH": str(ROOT), "PANTHEON_RUN": "1"}
        return subprocess.run([*become, *program], env=env, cwd="/", capture_output=True, text=True, check=False)

    if command("help", groups="--clear-groups").returncode:
        pytest.skip("another user cannot read this clone")
    try:
        refused = command("up", "persephone", groups="--clear-groups")
        assert refused.returncode == 2
        assert "this user has no permission to use it" in refused.stderr
        done = command("up", "persephone", groups=f"--groups={group}")
        assert done.returncode == 0, done.stderr
        assert made.inspect(docker)["Config"]["User"] == f"{person}:{person}"
        assert {path.stat().st_uid for path in (made.state / "models").rglob("*")} == {person}
        assert command("destroy", "--confirm", "yes", groups=f"--groups={group}").returncode == 0
    finally:
        clear(made)
        shutil.rmtree(home)  # docker's own folder too, where an image was built
