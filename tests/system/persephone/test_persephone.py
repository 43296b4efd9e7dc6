"""A stranger's first minutes with persephone: up, a prediction, the verbs, and growing to daedalus."""

import json
import shutil
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.command_line import Pantheon, make_pantheon
from tests.support.waiting import until

BAD = '{"robot-age": 5, "rust-level": "9", "battery": "low"}'


def test_a_second_up_does_nothing(persephone: Pantheon) -> None:
    before = [s["uptime_seconds"] for s in persephone("status", "--json").json["services"]]
    begin = time.monotonic()
    answer = persephone("up", "persephone", "--json").json
    took = time.monotonic() - begin
    assert "outcome" not in answer
    assert all(now >= then for now, then in zip([s["uptime_seconds"] for s in answer["services"]], before, strict=True))
    assert took < 20


def test_status_says_healthy_with_address_and_memory(persephone: Pantheon) -> None:
    (button,) = persephone("status", "--json").json["services"]
    assert button["state"] == "healthy"
    assert button["address"] == persephone.page
    assert 20 < button["memory_mb"] <= 130
    assert "healthy" in persephone("status").out


def test_predict_knows_a_bad_robot(persephone: Pantheon) -> None:
    assert persephone("predict", "--row", BAD).out.startswith("0  Bad Condition")


def test_the_endpoint_answers_what_the_readme_says(persephone: Pantheon) -> None:
    body = json.dumps({"payload": [json.loads(BAD)]}).encode()
    request = urllib.request.Request(f"{persephone.page}/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer) == {"prediction": [0]}


def test_quotes_and_dollars_in_row_survive_make(persephone: Pantheon) -> None:
    name = """it's $5 $$HOME "$(x)" #1"""
    row = json.dumps({**json.loads(BAD), name: 1})
    answer = persephone.command(["make", "-s", "tier-persephone", "predict", f"ROW={row}"], check=False)
    assert answer.status == 2
    assert repr(name) in answer.message or name in answer.message
    good = persephone.command(["make", "-s", "tier-persephone", "predict", f"ROW={BAD}"])
    assert good.out.startswith("0  Bad Condition")


def test_the_smoke_test_passes(persephone: Pantheon) -> None:
    assert "0 failed" in persephone.command(["make", "-s", "tier-persephone", "test"]).out


def test_logs_and_runs_and_doctor(persephone: Pantheon) -> None:
    persephone("logs", "--service", "button")
    (first, *_) = persephone("runs", "--json").json[::-1]
    assert first["decision"] == "promoted"
    assert persephone("doctor", "persephone").status == 0
    answer = persephone("logs", "--service", "nonesuch", check=False)
    assert answer.status == 2
    assert "button" in answer.message


def test_secrets_are_for_the_owner_alone(persephone: Pantheon, tmp_path: Path) -> None:
    from pantheon.components import Secret
    from pantheon.deployment.secrets import make

    assert (persephone.state / "secrets").stat().st_mode & 0o777 == 0o700
    make(tmp_path, {"password": Secret(random=40)})
    first = (tmp_path / "password").read_text()
    make(tmp_path, {"password": Secret(random=40)})
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert first == (tmp_path / "password").read_text(), "a secret that is there is kept"
    assert first.isalnum() and len(first) == 40, "it fits a URL"


def test_doctor_and_up_name_who_holds_a_port(persephone: Pantheon, tmp_path: Path) -> None:
    other = make_pantheon(tmp_path / "other")
    other.offset = persephone.offset
    looked = other("doctor", "persephone", "--json", check=False)
    assert looked.status == 1
    (port,) = [f for f in looked.json if f["what"].startswith("port")]
    assert not port["ok"]
    assert "python" in port["found"]
    assert "PORT_OFFSET=" in port["cure"]
    answer = other("up", "persephone", check=False)
    assert answer.status == 2
    assert "PORT_OFFSET=" in answer.message
    assert not (other.state / "state" / "deployment.json").exists()


def predicts_a_number(pantheon: Pantheon) -> None:
    """predict and the smoke test work with a regression, which has no probabilities."""

    def inputs() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{pantheon.page}/signature", timeout=10) as answer:
            signature = json.load(answer)
        return signature["inputs"] if signature["task"] == "regression" else []

    example = {each["name"]: each["example"] for each in until(inputs, 10)}
    predicted = pantheon("predict", "--row", json.dumps(example), "--json").json
    assert "s6" not in example
    assert isinstance(predicted["prediction"][0], float)
    assert "probabilities" not in predicted
    assert "0 failed" in pantheon("test").out


def test_destroy_asks_before_it_deletes(persephone: Pantheon) -> None:
    answer = persephone("destroy", check=False)
    assert answer.status == 2
    assert "CONFIRM=yes" in answer.message
    assert persephone.state.exists()


def test_a_deployment_from_its_first_up_to_destroy(pantheon: Pantheon) -> None:
    """up without a run → run with approval → approve → grow to daedalus under load → back → down → destroy."""
    pantheon("up", "persephone", "--no-run", "--data", "diabetes")
    answer = pantheon("predict", "--row", "{}", check=False)
    assert answer.status == 2, "no model is deployed yet"

    pantheon("run", "--approval", "required", "--data", "wine")  # not the deployment's dataset
    found = pantheon("status", "--json").json
    assert found["model"] is None
    assert [(each["model"], each["version"]) for each in found["waiting"]] == [("wine", "1")]
    assert "waiting   wine version 1" in pantheon("status").out
    assert "wine version 1 is deployed" in pantheon("approve", "--note", "looked at it").err
    found = pantheon("status", "--json").json
    assert (found["dataset"], found["model"]["version"], found["waiting"]) == ("wine", "1", [])
    wait_until_version(pantheon, "1")
    assert persisted(pantheon)

    before, pid = checksums(pantheon), button_started(pantheon)
    with Load(pantheon.page) as load:
        grown = pantheon("up", "daedalus").err
        assert "growing in place: persephone → daedalus" in grown
        pantheon("run")
        wait_until_version(pantheon, "2")
        pantheon("up", "persephone")
    assert load.answers > 20
    assert load.failures == []
    assert button_started(pantheon) == pid, "what both tiers run was not restarted"
    assert before.items() <= checksums(pantheon).items(), "nothing that was there has changed"
    pantheon("run", "--data", "diabetes", "--ignore", "s6", "--folds", "3")
    predicts_a_number(pantheon)

    pantheon("down")
    assert before.items() <= checksums(pantheon).items()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(pantheon.page, timeout=2)
    stopped = pantheon("status", "--json").json["services"]
    assert {s["state"] for s in stopped} <= {"stopped"}
    pantheon("destroy", "--confirm", "yes")
    assert not pantheon.state.exists()


def test_a_persons_own_csv_file_is_trained_on(pantheon: Pantheon) -> None:
    pantheon("up", "daedalus", "--data", "datasets/churn.csv", "--target", "churned")
    answer = pantheon("predict", "--json", "--row", json.dumps(EXAMPLE)).json
    assert answer["prediction"][0] in ("yes", "no")
    spec = pantheon.state / "data" / "churn.toml"
    assert 'column = "churned"' in spec.read_text()
    spec.write_text(spec.read_text().replace('role = "feature"', 'role = "ignore"', 1))
    pantheon("run")
    assert spec.read_text().count('role = "ignore"') >= 1, "an edited spec is kept"


EXAMPLE = {
    "signed_up": "2024-05-01",
    "age": 41,
    "city": "Delphi",
    "plan": "basic",
    "monthly_fee": 15.5,
    "support_tickets": 4,
    "uses_app": False,
}


def test_two_deployments_side_by_side(persephone: Pantheon, tmp_path: Path) -> None:
    other = make_pantheon(tmp_path / "home", TRIALS="2", NAME="other")
    try:
        other("up", "persephone", "--no-run")
        assert other("status", "--json").json["services"][0]["state"] == "healthy"
        assert persephone("status", "--json").json["services"][0]["state"] == "healthy"
    finally:
        other("down")


def test_a_full_disk_is_said(persephone: Pantheon, tmp_path: Path) -> None:
    """A run in a state folder on a small disk: one line, nothing half-written, the deployed model untouched."""
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        made = make_pantheon(small, TRIALS="2", RUN="0")
        for name in ("state", "runs", "models", "data", "extensions", "logs", "volumes"):
            (made.state / name).mkdir(parents=True)
        shutil.copy(persephone.state / "state" / "deployment.json", made.state / "state")
        answer = made("run", check=False)
        assert answer.status == 1
        assert "full" in answer.message
        assert not list(small.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_two_runs_at_once_both_finish(persephone: Pantheon) -> None:
    running = [persephone.popen("run", "--data", "wine", "--json") for _ in range(2)]
    outcomes = []
    for process in running:
        out, err = process.communicate(timeout=170)
        assert process.returncode == 0, err
        outcomes.append(json.loads(out))
    assert len({o["run"] for o in outcomes}) == 2
    versions = [o["version"] for o in outcomes if o["decision"] == "promoted"]
    assert len(versions) == len(set(versions)), "no two runs share a version"


def test_ctrl_c_during_a_run_leaves_it_to_be_resumed(persephone: Pantheon) -> None:
    process = persephone.popen("run", "--data", "wine")
    assert process.stderr
    for line in process.stderr:
        if "split_data" in line:
            break
    import os

    os.killpg(process.pid, signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "run --resume" in rest
    run = rest.split("run --resume ")[1].split()[0]
    states = {r["id"]: r["state"] for r in persephone("runs", "--json").json}
    assert states[run] == "interrupted"
    assert not list((persephone.state / "runs" / run).rglob(".*.part"))
    persephone("run", "--resume", run)
    assert {r["id"]: r["state"] for r in persephone("runs", "--json").json}[run] == "done"


class Load:
    """Asks the page's health again and again; remembers what failed."""

    def __init__(self, page: str) -> None:
        self.page, self.answers, self.failures = page, 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        body = json.dumps({"payload": [WINE]}).encode()
        while not self._stop.is_set():
            request = urllib.request.Request(f"{self.page}/predict", body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert json.load(answer)["prediction"]
                self.answers += 1
            except (OSError, AssertionError, ValueError) as error:
                self.failures.append(repr(error))
            self._stop.wait(0.02)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def wine_row() -> dict[str, float]:
    import tomllib

    spec = tomllib.loads((ROOT / "datasets" / "wine.toml").read_text())
    return {c["name"]: c["example"] for c in spec["columns"] if c["role"] == "feature"}


WINE = wine_row()


def wait_until_version(made: Pantheon, version: str) -> None:

    def served() -> bool:
        answer = made("predict", "--json", "--row", json.dumps(WINE), check=False)
        return answer.status == 0 and bool(answer.json["version"] == version)

    until(served, what=f"version {version} serves")


def button_started(made: Pantheon) -> int:
    services = json.loads((made.state / "state" / "services.json").read_text())["services"]
    return next(s["pid"] for s in services if s["name"] == "button")


def persisted(made: Pantheon) -> bool:
    return (made.state / "models" / "wine" / "1" / "manifest.json").exists()


def checksums(made: Pantheon) -> dict[str, str]:
    """Of every run's and every model version's files (aliases move, that is what they are for)."""
    import hashlib

    return {
        str(path.relative_to(made.state)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("runs", "models")
        for path in (made.state / folder).rglob("*")
        if path.is_file() and "aliases" not in path.parts and not path.name.startswith(".")
    }
