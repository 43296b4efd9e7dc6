"""The last implemented tier from a user's view: output, rejected requests, failed and resumed runs."""

import json
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.airflow.client import Airflow
from pantheon.workflow.graph import GRAPH
from tests.support.agreement import differences
from tests.support.browser import chromium
from tests.support.climb import BUILT, PORTS, Climb, checksums, pids, versions
from tests.support.closed_folders import guarded
from tests.support.command_line import Pantheon, sockets, text_of

LAST, BEFORE = BUILT[-1], BUILT[-2]  # in the last one, Kubeflow runs what Airflow ran before

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def last(climb: Climb) -> Pantheon:
    return climb.pantheon


def processes(made: Pantheon) -> list[psutil.Process]:
    """Every process of the deployment: their environments name its state folder, or they work in it (Valkey writes its
    name over its environment)."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(made.state) in value for value in (process.cwd(), *process.environ().values())):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def secrets(made: Pantheon) -> dict[str, str]:
    """Every generated word, by its file: also what a file holds besides its form (pgpass, JSON)."""
    return {
        f"{path.name} {index}": word
        for path in (made.state / "secrets").rglob("*")
        if path.is_file()
        for index, word in enumerate(re.findall(r"[A-Za-z0-9_=-]{40,}", path.read_text()))
    }


@pytest.mark.parametrize("command", ["status", "runs", "models list", "models show", "ask", f"up {LAST}"])
def test_a_command_opens_no_files_that_services_write(last: Pantheon, command: str) -> None:
    guarded(last, *command.split())


def test_status_shows_services_addresses_and_logins(last: Pantheon) -> None:
    text = last("status").out
    for service in (
        "postgres",
        "airflow",
        "airflow-scheduler",
        "airflow-dag-processor",
        "dataflow",
        "jupyter",
        "s3",
        "button",
        "endpoint",
        "predictions",
        "frontend",
        "monitor",
        "feast",
        "valkey",
        "kubeflow",
        "hub",
        "hub-proxy",
        "hub-servers",
        "tensorboard",
        "dashboard",
        "orders",
    ):
        assert re.search(rf"^{service} +✓ healthy .* MB", text, flags=re.M), text
    assert f"http://127.0.0.1:{8081 + last.offset}  (user admin, password: cat " in text
    assert f"http://127.0.0.1:{8888 + last.offset}  (user admin, password: cat " in text
    for port in (8001, 6006):
        assert f"http://127.0.0.1:{port + last.offset}  (a user of JupyterHub)" in text
    assert f"http://127.0.0.1:{9000 + last.offset}  (keys: cat " in text
    assert f"http://127.0.0.1:{6567 + last.offset}  (user feast, password: cat " in text
    for port in (8000, 8085):
        assert f"http://127.0.0.1:{port + last.offset}" in text


def test_logs_show_one_service_or_all(last: Pantheon) -> None:
    assert last("logs", "--service", "airflow-scheduler").out
    assert {line.split(" ")[0] for line in last("logs").out.splitlines()} >= {"postgres", "jupyter"}


def test_doctor_checks_ports_and_requirements(last: Pantheon) -> None:
    found = last("doctor", LAST, "--json").json
    ports = {int(f["what"].split()[1]) - last.offset for f in found if f["what"].startswith("port")}
    assert ports == PORTS


def test_a_second_up_does_nothing(last: Pantheon) -> None:
    before = pids(last)
    assert "already up: nothing to do" in last("up", LAST).err
    assert pids(last) == before


def test_no_service_listens_on_other_interfaces(last: Pantheon) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in sockets(processes(last))
        if connection.status == psutil.CONN_LISTEN
    }
    assert {port for _, port in listening} >= {p + last.offset for p in PORTS}
    assert {ip for ip, _ in listening} == {"127.0.0.1"}


HTTP_REFUSALS = {401, 403}
S3_REFUSALS = {403, 501}  # S3 has no bearer tokens


@pytest.mark.parametrize(
    ("port", "path", "refusals"),
    [
        (8081, "/api/v2/dags", HTTP_REFUSALS),
        (8081, "/api/v2/dags/etl/dagRuns", HTTP_REFUSALS),
        (8892, "/api/contents", HTTP_REFUSALS),
        (8892, "/scheduler/jobs", HTTP_REFUSALS),
        (8888, "/hub/api/users", HTTP_REFUSALS),
        (8889, "/hub/api/users", HTTP_REFUSALS),
        (8890, "/api/routes", HTTP_REFUSALS),
        (8891, "/servers/ann/-", HTTP_REFUSALS),
        (8001, "/", HTTP_REFUSALS),
        (6006, "/default/", HTTP_REFUSALS),
        (8003, "/kinds", HTTP_REFUSALS),
        (8070, "/runs/20260101-000000-abcd", HTTP_REFUSALS),
        (9000, "/pantheon/models/robots/aliases/champion.json", S3_REFUSALS),
        (8085, "/v1/models", HTTP_REFUSALS),
        (8085, "/metrics", HTTP_REFUSALS),
        (8086, "/predictions", HTTP_REFUSALS),
        (6566, "/health", HTTP_REFUSALS),
        (6567, "/", HTTP_REFUSALS),
        (6568, "/catalogue", HTTP_REFUSALS),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "token wrong"}],
    ids=["none", "bearer", "token"],
)
def test_requests_without_credentials_are_rejected(
    last: Pantheon, port: int, path: str, refusals: set[int], headers: dict[str, str]
) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port + last.offset}{path}", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code in refusals


def test_no_secret_is_visible_to_other_users(last: Pantheon) -> None:
    words = secrets(last)
    assert len(words) >= 7
    arguments = {str(p.info["pid"]): " ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["pid", "cmdline"])}
    files = {
        str(path): text_of(path)
        for folder in ("logs", "state", "runs", "notebooks", "volumes/airflow/logs")
        for path in (last.state / folder).rglob("*")
        if path.is_file()
    }
    said = {"status": last("status", "--json").out, "up": last("up", LAST).err}
    seen = arguments | files | said
    assert [(where, name) for where, text in seen.items() for name, word in words.items() if word in text] == []


def test_a_run_is_followed_step_by_step(climb: Climb) -> None:
    said = climb.rungs[LAST].runs["robots"].err
    lines = [line for line in said.splitlines() if "✓" in line]
    for stage in GRAPH:
        (line,) = [line for line in lines if re.search(rf"✓ {stage.replace('_', '-')} ", line)]
        assert re.search(r"\d s", line), "how long it took"
    assert "the pipeline run workflow-" in said


def test_a_run_started_in_airflow_makes_a_model_and_is_followed_task_by_task(climb: Climb) -> None:
    """Begun as the play button does: notebooks continue it, although commands run pipelines."""
    outcome, said = climb.rungs[LAST].runs["diabetes"].json, climb.rungs[LAST].runs["diabetes"].err
    assert outcome["run"] == climb.rungs[LAST].played
    assert outcome["model"] == "diabetes"
    run = climb.run(LAST, "diabetes")
    assert json.loads((run / "run.json").read_text())["started_by"] == "admin in Airflow"
    assert {path.stem for path in (run / "notebooks").glob("*.ipynb")} >= {"train", "evaluate"}
    lines = [line for line in said.splitlines() if "✓" in line]
    for name in ("notebooks · train", "notebooks · evaluate", "notebooks · deploy"):
        assert len([line for line in lines if name in line]) == 1


@pytest.mark.browser
def test_a_user_logs_in_to_airflow_and_sees_the_successful_dag(last: Pantheon, climb: Climb, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    run, password = climb.run(BEFORE, "robots").name, (last.state / "secrets" / "airflow_password").read_text()
    airflow = f"http://127.0.0.1:{8081 + last.offset}"
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1360, "height": 850})
        page.set_default_timeout(60_000)
        page.goto(f"{airflow}/dags/etl/runs/pantheon__{run}")
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("body")).to_contain_text("Invalid credentials", timeout=60_000)
        page.locator("input[name=password]").fill(password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/dags/etl/runs/**")
        for stage in ("load_data", "clean_data", "split_data", "preprocess"):
            row = page.get_by_role("row").filter(has=page.get_by_role("link", name=stage))
            expect(row.last).to_contain_text("Success", timeout=60_000)
        page.screenshot(path=tmp_path / "airflow.png")
        page.goto(f"{airflow}/dags/etl")
        page.get_by_role("button", name="Trigger").first.click()
        expect(page.get_by_text("Hyperparameter trials for each model family.")).to_be_visible(timeout=60_000)
        page.screenshot(path=tmp_path / "form.png")


@pytest.mark.browser
def test_one_login_opens_the_dashboard_the_curves_and_ones_own_jupyterlab(climb: Climb) -> None:
    made, run = climb.pantheon, climb.run(LAST, "robots").name
    dashboard, boards, hub = (f"http://127.0.0.1:{port + made.offset}" for port in (8001, 6006, 8888))
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"{dashboard}/")
        page.wait_for_url(f"{hub}/hub/login**")
        page.fill("#username_input", "ann")
        page.fill("#password_input", climb.rungs[LAST].password)
        page.click("#login_submit")
        page.wait_for_url(f"{dashboard}/**")
        page.get_by_role("link", name=f"workflow-{run}").first.wait_for()
        page.goto(f"{boards}/default/")
        page.get_by_text("experiments/tune-").first.wait_for()
        page.get_by_text("fold-0").first.wait_for()
        page.goto(f"{hub}/hub/home")
        page.click("#start")
        page.wait_for_url("**/user/ann/lab**")
        page.locator(".jp-DirListing-item", has_text="hyperparameter_tuning.ipynb").wait_for()


class TestAFailedTask:
    """A run whose data is damaged: its log is shown, the deployed model does not change, and the run can resume."""

    @pytest.fixture(scope="class")
    @classmethod
    def failed(cls, climb: Climb) -> dict[str, Any]:
        last = climb.pantheon
        copy = last.state / "data" / "churn.csv"
        good = copy.with_suffix(".kept")
        shutil.copy2(copy, good)
        copy.write_text("age,city\n1,Delphi\n2,Sparta\n")
        before = versions(last)
        answer = last("run", "--data", "churn", check=False, timeout=300)
        after = versions(last)
        shutil.copy2(good, copy)
        good.unlink()
        return {"answer": answer, "before": before, "after": after}

    def test_the_log_lines_of_the_failed_task_are_shown(self, failed: dict[str, Any]) -> None:
        answer = failed["answer"]
        assert answer.status == 1
        assert "The step load-data failed" in answer.message
        assert "churned" in answer.message, "the sentence of the stage itself"

    def test_the_deployed_model_does_not_change(self, failed: dict[str, Any]) -> None:
        assert failed["before"] == failed["after"] != {}

    def test_the_run_resumes_with_what_is_left_without_kubeflow_and_airflow(
        self, failed: dict[str, Any], climb: Climb
    ) -> None:
        last, run = climb.pantheon, re.search(r"run --resume ([0-9a-f-]+)", failed["answer"].message)
        assert run
        last("up", LAST, "--without", "airflow,kubeflow")
        assert set(pids(last)) == {
            "button",
            "dataflow",
            "jupyter",
            "s3",
            "endpoint",
            "predictions",
            "frontend",
            "monitor",
            "feast",
            "postgres",
            "valkey",
            "hub",
            "hub-proxy",
            "hub-servers",
            "tensorboard",
        }
        outcome = last("run", "--resume", run[1], "--json", check=False, timeout=300).json
        assert outcome["run"] == run[1]
        mine, first = (r / "metrics.json" for r in (last.state / "runs" / run[1], climb.run("persephone", "churn")))
        assert list(differences(json.loads(mine.read_text()), json.loads(first.read_text()))) == []
        assert sorted(p.stem for p in (mine.parent / "notebooks").glob("*.ipynb"))


def test_the_optional_components_are_listed(last: Pantheon) -> None:
    refused = last("up", LAST, "--without", "kafka", check=False)
    assert "airflow, jupyter, s3, dvc, endpoint, frontend, monitoring, feast, kubeflow" in refused.message


def test_going_back_stops_extra_services_and_keeps_their_data(last: Pantheon) -> None:
    before, button, models = checksums(last.state), pids(last)["button"], versions(last)
    database = set((last.state / "volumes" / "metadata").rglob("PG_VERSION"))
    said = last("up", "daedalus").err
    assert f"going back in place: {LAST} → daedalus" in said
    (stops,) = [line for line in said.splitlines() if line.startswith("  stops")]
    assert all(name in stops for name in ("jupyter", "s3", "endpoint", "frontend", "monitor", "feast", "valkey"))
    assert set(pids(last)) == {"button"}
    assert pids(last)["button"] == button
    assert before.items() <= checksums(last.state).items()
    assert versions(last) == models, "what was published in S3 is in the folder now"
    assert database
    assert all(path.exists() for path in database)
    assert last("run", "--data", "wine", "--json", check=False).json["run"]


def test_the_airflow_history_is_available_again(last: Pantheon) -> None:
    """Up once more: the database is the one from before."""
    button = pids(last)["button"]
    last("up", "prometheus", "--without", "none", timeout=300)
    assert set(pids(last)) == {
        "button",
        "airflow",
        "airflow-scheduler",
        "airflow-dag-processor",
        "postgres",
        "dataflow",
    }
    assert pids(last)["button"] == button
    airflow = Airflow(f"http://127.0.0.1:{8081 + last.offset}", last.state / "secrets" / "airflow_password")
    states = [run["state"] for run in airflow.runs("etl")]
    assert len(states) >= 5
    assert set(states) == {"success"}
