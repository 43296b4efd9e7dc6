"""The tiers in containers: the same verbs, models and answers as on the local engine, hardened, nothing left."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from pantheon.engines.docker_api import Api
from tests.conformance.test_tiers_agree import answers, differences
from tests.conftest import ROOT
from tests.engines.conftest import until

from .conftest import Composed, clear, docker_command, inventory, make_composed

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]
BAD = '{"robot-age": 5, "rust-level": "9", "battery": "low"}'


def test_up_again_has_nothing_to_do(persephone: Composed, docker: Api) -> None:
    before = persephone.inspect(docker)["Id"]
    begin = time.monotonic()
    answer = persephone("up", "persephone", "--json").json
    assert time.monotonic() - begin < 5
    assert "outcome" not in answer
    assert answer["engine"] == "compose"
    assert persephone.inspect(docker)["Id"] == before


def test_the_verbs(persephone: Composed) -> None:
    assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")
    (button,) = persephone("status", "--json").json["services"]
    assert (button["state"], button["address"]) == ("healthy", persephone.page)
    assert 20 < button["memory_mb"] <= 130
    assert "button | button: listening" in persephone("logs", "--service", "button").out
    assert "0 failed" in persephone("test").out
    assert persephone("doctor", "persephone").status == 0
    assert persephone("runs", "--json").json[-1]["decision"] == "promoted"


def test_the_page_knows_the_services(persephone: Composed) -> None:
    persephone("status")
    written = json.loads((persephone.state / "state" / "services.json").read_text())
    assert [(s["name"], s["state"]) for s in written["services"]] == [("button", "healthy")]
    with urllib.request.urlopen(persephone.page, timeout=10) as answer:
        assert "button" in answer.read().decode()


def test_a_container_has_no_more_rights_than_it_needs(persephone: Composed, docker: Api) -> None:
    button = persephone.inspect(docker)
    host, uid = button["HostConfig"], str((persephone.state / "models").stat().st_uid)
    assert button["Config"]["User"].split(":")[0] == uid != "0"
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


def test_nothing_that_needs_no_way_out_has_one(persephone: Composed) -> None:
    knock = "import socket; socket.create_connection(('{}', 53), 2)"
    out = "192.0.2.1"  # no such machine: a way out would time out all the same, so the gateway is asked too
    name = f"{persephone.name}-button-1"
    tried = subprocess.run(["docker", "exec", name, "python", "-c", knock.format(out)], capture_output=True, text=True)
    assert tried.returncode != 0
    networks = json.loads(docker_command("network", "inspect", f"{persephone.name}_front", f"{persephone.name}_inside"))
    front, inside = networks
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert inside["Internal"]


def test_secrets_are_for_the_owner_alone_and_in_no_place_that_others_see(persephone: Composed, docker: Api) -> None:
    folder = persephone.state / "secrets"
    owner = (persephone.state / "models").stat().st_uid
    values = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert path.stat().st_mode & 0o777 == 0o600
        values += re.findall(r"[A-Za-z0-9_=+/-]{32,}", path.read_text())
    own = folder / "button" / "credentials"  # of the S3 store that a later tier brings
    assert own.stat().st_uid == owner
    button = f"{persephone.name}-button-1"
    assert docker_command("exec", button, "cat", "/run/secrets/button/credentials") == own.read_text()
    assert docker_command("exec", button, "find", "/run/secrets", "-type", "f").split() == [
        "/run/secrets/button/credentials"
    ], "a service sees its own secrets and no others"
    seen = {
        "inspect": json.dumps(
            [persephone.inspect(docker), docker.ask(f"/images/{persephone.inspect(docker)['Image']}/json")]
        ),
        "layers": docker_command("history", "--no-trunc", persephone.inspect(docker)["Image"]),
        "logs": persephone("logs").out,
        "ps": subprocess.check_output(["ps", "-eo", "args"], text=True),
        "said": persephone("up").err,
    }
    assert values
    assert [(name, value) for name, text in seen.items() for value in values if value in text] == []


def test_from_local_to_compose_and_back_models_runs_and_answers_are_the_same(composed: Composed) -> None:
    composed("up", "persephone", "--engine", "local", "--data", "wine")
    row = json.dumps(composed.row("wine"))
    first, files = composed("predict", "--json", "--row", row).json, composed.files()

    moved = composed("up", "daedalus", "--engine", "compose")
    assert "moving from local to compose" in moved.err
    assert composed("predict", "--json", "--row", row).json == first
    assert composed.files() == files
    second = composed("run", "--json").json
    assert second["decision"] in ("promoted", "refused")
    assert len(composed("runs", "--json").json) == 2

    assert composed("up", PANTHEON_ENGINE="").err.count("engine: compose, the one that this deployment has") == 1
    composed("up", "persephone", "--engine", "local")
    assert files.items() <= composed.files().items()
    last = composed("predict", "--json", "--row", row).json
    assert last["prediction"] == first["prediction"]
    composed("run")


def test_a_sticky_engine_that_is_gone_is_said_and_nothing_flips(composed: Composed, tmp_path: Path) -> None:
    composed("up", "persephone", "--no-run")
    gone = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PANTHEON_ENGINE": ""}
    answer = composed("up", check=False, **gone)
    assert answer.status == 2
    assert "No Docker engine answers" in answer.message
    assert json.loads((composed.state / "state" / "deployment.json").read_text())["engine"] == "compose"


def test_metrics_and_answers_are_those_of_the_local_engine(composed: Composed) -> None:
    """Of a regression; last_tier has the other tiers and a classification."""
    data, results = "diabetes", []
    for engine, tier in [("local", "persephone"), ("compose", "daedalus")]:
        composed("up", tier, "--engine", engine, "--no-run", "--data", data)
        run = composed.state / "runs" / composed("run", "--json").json["run"]
        results.append((json.loads((run / "metrics.json").read_text()), answers(run)))
    (metrics, labels), *others = results
    for other, said in others:
        assert list(differences(metrics, other)) == []
        for one, two in zip(labels, said, strict=True):
            assert abs(one - two).max() <= 1e-9


def test_a_persons_own_file(composed: Composed) -> None:
    answer = composed("up", "persephone", "--data", str(ROOT / "datasets" / "churn.csv"), "--target", "churned")
    assert "is deployed" in answer.err
    assert composed("status", "--json").json["dataset"] == "churn"


def test_two_deployments_side_by_side_and_a_port_that_is_taken(
    persephone: Composed, tmp_path: Path, docker: Api
) -> None:
    other = make_composed(tmp_path / "home")
    try:
        other.offset = persephone.offset
        answer = other("up", "persephone", "--no-run", check=False)
        assert answer.status != 0
        assert "PORT_OFFSET=" in answer.message
        assert f"{persephone.offset + 8080}" in answer.message
        other.offset = persephone.offset + 100
        other("up", "persephone", "--no-run")
        assert {s["state"] for s in other("status", "--json").json["services"]} == {"healthy"}
        assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")
        other("down")
        assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")
        assert not [name for name in inventory(docker) if other.name in name]
    finally:
        clear(other)


def test_one_name_in_two_folders_is_refused(persephone: Composed, tmp_path: Path) -> None:
    other = make_composed(tmp_path / "home")
    other.name = persephone.name
    answer = other("up", "persephone", "--no-run", check=False)
    assert "from another folder" in answer.message
    assert "NAME=" in answer.message
    assert persephone("status", "--json").json["services"][0]["state"] == "healthy"


def containers_of(docker: Api, made: Composed) -> set[str]:
    return {name for name in inventory(docker) if name.startswith(f"container /{made.name}-workflow")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_interrupted_or_killed_leaves_no_container_and_goes_on(
    persephone: Composed, docker: Api, number: signal.Signals
) -> None:
    process = persephone.popen("run", "--trials", "25")  # long enough not to be done before anybody notices
    assert process.stderr
    run = next(line.split()[1].rstrip(":") for line in process.stderr if line.startswith("run "))
    until((persephone.state / "runs" / run / "stages" / "split_data.json").exists, 60)
    os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
    process.communicate(timeout=60)
    until(lambda: not containers_of(docker, persephone), 30)
    (found,) = [each for each in persephone("runs", "--json").json if each["id"] == run]
    assert (found["state"], found["reason"]) == ("interrupted", "")
    outcome = persephone("run", "--resume", run, "--json").json
    assert outcome["run"] == run


def test_plain_docker_compose_works_after_prepare(composed: Composed) -> None:
    tier = ROOT / "tiers" / "1-persephone"
    compose = ["docker-compose", "-f", str(tier / "compose.yaml")]
    bare = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
    bare["PATH"] = f"{ROOT / '.pantheon' / 'envs' / 'dev' / 'bin'}:{bare['PATH']}"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*compose, *words], env=bare, capture_output=True, text=True, check=False)

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
        assert run("down").returncode == 0
    finally:
        (tier / ".env").unlink(missing_ok=True)


def test_what_is_left_out_plain_docker_compose_does_not_start_either(composed: Composed) -> None:
    try:
        said = composed("prepare", "prometheus", "--without", "airflow").err
        command = re.search(r"Now: docker compose (.*) up$", said, flags=re.M)
        assert command
        bare = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
        words = [str(ROOT / ".pantheon" / "envs" / "dev" / "bin" / "docker-compose"), *shlex.split(command[1])]
        services = subprocess.check_output([*words, "config", "--services"], cwd=ROOT, env=bare, text=True)
        assert set(services.split()) == {"button", "dataflow"}
    finally:
        (ROOT / "tiers" / "3-prometheus" / ".env").unlink(missing_ok=True)


def test_the_companys_certificates_reach_services_and_tasks_by_one_setting(composed: Composed, tmp_path: Path) -> None:
    ca = tmp_path / "company.pem"
    ca.write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    composed.settings["PANTHEON_CA"] = str(ca)
    composed("up", "persephone", "--no-run")
    count = "import ssl, os; print(os.environ['SSL_CERT_FILE'], len(ssl.create_default_context().get_ca_certs()) > 0)"
    said = docker_command("exec", f"{composed.name}-button-1", "python", "-c", count)
    assert said == "/etc/pantheon/ca.pem True\n"
    assert composed("run", "--json").json["decision"] == "promoted"


def test_a_new_deployment_takes_compose_where_an_engine_answers_and_says_why(composed: Composed) -> None:
    del composed.settings["PANTHEON_ENGINE"]
    said = composed("up", "persephone", "--no-run").err
    assert "engine: compose, containers, since a Docker engine answers here" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_person_who_is_not_root(docker: Api, tmp_path: Path) -> None:
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
        assert "this user may not use it" in refused.stderr
        done = command("up", "persephone", groups=f"--groups={group}")
        assert done.returncode == 0, done.stderr
        assert made.inspect(docker)["Config"]["User"] == f"{person}:{person}"
        assert {path.stat().st_uid for path in (made.state / "models").rglob("*")} == {person}
        assert command("destroy", "--confirm", "yes", groups=f"--groups={group}").returncode == 0
    finally:
        clear(made)
        shutil.rmtree(home)  # docker's own folder too, where an image was built
