"""Real runs of the DAGs without a server: ``dag.test()``, the workflow's stages in the workflow's own environment.

They share two processes of Airflow's: each start of one costs eight seconds of CPU.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pantheon.files import write_json
from pantheon.jupyter.graph import graph_of, stages_of
from pantheon.state import Route
from pantheon.workflow.run import RUN_ID, Run
from tests.support.dags import Airflow, Trial

pytestmark = pytest.mark.slow

NAMED = "20260131-142500-0a1b"
NOTEBOOKS = graph_of(Route(rest="jupyter"))
ETL = ("load_data", "clean_data", "split_data", "preprocess")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    made = Airflow(tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("deployment"))
    made.python("-m", "airflow", "db", "migrate")
    made.settle(tier="zeus", route={"etl": "airflow", "rest": "jupyter"})
    (made.state / "data" / "broken.toml").write_text("nonsense = true\n")
    return made


@pytest.fixture(scope="module")
def etl(airflow: Airflow) -> dict[str, Trial]:
    runs: dict[str, dict[str, Any]] = {
        "plain": {"trials": 3, "seed": 7},
        "named": {"run": NAMED},
        "again": {"run": NAMED},
        "no such dataset": {"dataset": "robotz"},
        "broken": {"dataset": "broken"},
        "no trials": {"trials": 0},
    }
    return dict(zip(runs, airflow.trials(*(("etl", conf) for conf in runs.values())), strict=True))


def test_the_etl_prepares_a_run_and_hands_it_over(airflow: Airflow, etl: dict[str, Trial]) -> None:
    assert etl["plain"].state == "success", etl["plain"].said
    ((asset, extra),) = etl["plain"].events
    assert asset == "x-pantheon://prepared/jupyter"
    assert RUN_ID.fullmatch(extra["run"])
    run = Run.find(airflow.state, extra["run"])
    assert (run.record.tier, run.record.dataset) == ("zeus", "robots")
    assert (run.params.trials, run.params.seed) == (3, 7)
    stages = run.records()
    assert {name: stage.state for name, stage in stages.items()} == dict.fromkeys(ETL, "done")
    assert f"clean_data finished in {stages['clean_data'].seconds} s: rows in 5000" in etl["plain"].said


def test_a_run_that_was_named_is_taken_and_repeating_it_takes_it_again(airflow: Airflow, etl: dict[str, Trial]) -> None:
    for name in ("named", "again"):
        assert etl[name].state == "success", etl[name].said
        assert etl[name].events == [["x-pantheon://prepared/jupyter", {"run": NAMED}]]
    others = {run.record.dataset for run in Run.all(airflow.state) if run.id != NAMED}
    assert len(Run.all(airflow.state)) == 3
    assert others == {"robots", "broken"}


def test_a_dataset_that_is_not_there_fails_at_once_with_cause_and_cure(etl: dict[str, Trial]) -> None:
    trial = etl["no such dataset"]
    assert trial.state == "failed"
    assert trial.tasks["load_data"] == ["failed", 1]
    assert {trial.tasks[name][0] for name in ETL[1:]} == {"upstream_failed"}
    assert trial.events == []
    cause, cure = trial.said.index("there is no dataset 'robotz'."), trial.said.index("There are: breast_cancer")
    assert cause < cure


def test_a_spec_that_is_wrong_fails_at_once_in_the_stages_words(etl: dict[str, Trial]) -> None:
    assert etl["broken"].tasks["load_data"] == ["failed", 1]
    assert "nonsense" in etl["broken"].said


def test_a_parameter_out_of_its_range_is_refused(etl: dict[str, Trial]) -> None:
    assert etl["no trials"].state == "refused"
    assert "0 is less than the minimum of 1" in etl["no trials"].why


class Service:
    """A dataflow service that gives the answers it is told, and remembers what it was asked."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                service.asked.append((self.command, self.path, self.headers["Authorization"]))
                sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
                service.bodies.append(json.loads(sent) if sent else None)
                body = json.dumps(service.answers.pop(0)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


DONE = "20260131-142500-0a1c"  # a run whose notebooks are all done: nothing is asked of JupyterLab
ERROR = {"cause": "column rust-level has one value alone.", "cure": "Leave it out of the spec."}


@pytest.fixture(scope="module")
def dataflow(airflow: Airflow) -> Iterator[tuple[dict[str, Trial], Service]]:
    """Three runs of the DAG ``dataflow``, one goes well after an interruption, one fails, one names no run; and one of
    ``notebooks``."""
    run = airflow.state / "runs" / DONE
    for name in NOTEBOOKS:
        for stage in stages_of(name):
            write_json(run / "stages" / f"{stage}.json", {"stage": stage, "state": "done"})
        write_json(run / "notebooks" / f"{name}.ipynb", {})
    service = Service(
        {"run": NAMED, "state": "running"},
        {"run": NAMED, "state": "running", "stages": {"train": {"state": "running"}}},
        {"run": NAMED, "state": "interrupted", "stages": {}},
        {"run": NAMED, "state": "running", "stages": {}},
        {"run": NAMED, "state": "done", "outcome": {"promoted": True}},
        {"run": NAMED, "state": "failed", "error": ERROR},
        {"run": DONE, "state": "done", "outcome": {}},
    )
    (airflow.state / "secrets" / "dataflow_token").write_text("moonlight")
    (airflow.state / "secrets" / "jupyter_token").write_text("moonlight")
    airflow.given = {"DATAFLOW_HOST": "127.0.0.1", "DATAFLOW_PORT": str(service.server.server_address[1])}
    airflow.given |= {"JUPYTER_HOST": "127.0.0.1", "JUPYTER_PORT": "9"}
    runs = (("dataflow", {"run": NAMED}), ("dataflow", {"run": NAMED}), ("dataflow", {}), ("notebooks", {"run": DONE}))
    yield dict(zip(("well", "fails", "no run", "notebooks"), airflow.trials(*runs), strict=True)), service
    service.close()


def test_the_dataflow_is_asked_to_go_on_and_waited_for(dataflow: tuple[dict[str, Trial], Service]) -> None:
    trial, service = dataflow[0]["well"], dataflow[1]
    assert trial.state == "success", trial.said
    asked = [method for method, _, _ in service.asked]
    assert asked[:-1] == ["POST", "GET", "GET", "POST", "GET", "POST"]  # again after the interruption; last: "fails"
    assert {path for method, path, _ in service.asked[:-1] if method == "POST"} == {f"/runs/{NAMED}/continue"}
    assert {token for _, _, token in service.asked} == {"Bearer moonlight"}
    assert "moonlight" not in trial.said
    assert "train: running" in trial.said


def test_a_run_that_failed_there_fails_the_task_with_cause_and_cure(dataflow: tuple[dict[str, Trial], Service]) -> None:
    trial = dataflow[0]["fails"]
    assert trial.state == "failed"
    assert trial.tasks["finish"] == ["failed", 1]
    assert trial.said.index(ERROR["cause"]) < trial.said.index(ERROR["cure"])


def test_going_on_with_no_run_says_what_to_do(dataflow: tuple[dict[str, Trial], Service]) -> None:
    trial = dataflow[0]["no run"]
    assert trial.tasks["runs"] == ["failed", 1]
    assert "Trigger this DAG with the ID of a run" in trial.said


def test_what_a_deployment_does_not_have_is_skipped_and_the_rest_goes_on(
    dataflow: tuple[dict[str, Trial], Service],
) -> None:
    trial = dataflow[0]["notebooks"]
    assert trial.state == "success", trial.said
    states = {name.removeprefix("of_run."): state for name, (state, _) in trial.tasks.items()}
    assert states == {"runs": "success", "quick_preprocessing": "skipped", "deploy": "success"} | dict.fromkeys(
        NOTEBOOKS, "success"
    )
    assert dataflow[1].asked[-1][1] == f"/runs/{DONE}/continue"


DUE = "accuracy fell from 0.91 to 0.72."
STARTED = {"run": NAMED, "model": "robots", "dataset": "robots-feedback", "reason": DUE, "rows": 300}


def report(model: str, due: str = "") -> dict[str, Any]:
    """What the service says about a model."""
    made = {"requests": 500, "alerts": [{"level": "page", "text": DUE, "look": "the feedback"}] if due else []}
    return {"value": {"reports": {model: made}, "due": {model: due} if due else {}}}


@pytest.fixture(scope="module")
def monitored(airflow: Airflow) -> Iterator[tuple[dict[str, Trial], Service]]:
    """Two runs of the DAG ``monitor``: one starts a retraining over Airflow's API, one finds a run that is active."""
    runs: dict[str, Any] = {"dag_runs": []}
    active = {"dag_runs": [{"dag_run_id": "manual__1", "state": "running"}]}
    service = Service(
        *({"value": ["robots", "wine"]}, report("robots", DUE), report("wine")),
        *({"access_token": "starlight"}, runs, runs, runs, runs),
        *({"value": {"start": True, "why": DUE, "retraining": STARTED}}, {"dag_run_id": "x"}, {"value": {}}),
        *({"value": ["robots"]}, report("robots", DUE), {"access_token": "starlight"}, runs, active),
    )
    for name in ("monitor_token", "airflow_password"):
        (airflow.state / "secrets" / name).write_text("moonlight")
    for name in ("MONITOR", "AIRFLOW"):
        airflow.given |= {f"{name}_HOST": "127.0.0.1", f"{name}_PORT": str(service.server.server_address[1])}
    yield dict(zip(("starts", "waits"), airflow.trials(("monitor", {}), ("monitor", {})), strict=True)), service
    service.close()


def test_the_monitor_starts_a_retraining_with_its_reason(monitored: tuple[dict[str, Trial], Service]) -> None:
    trial, service = monitored[0]["starts"], monitored[1]
    assert trial.state == "success", trial.said
    assert f"page: {DUE} Look at: the feedback" in trial.said
    sent = zip(service.asked, service.bodies, strict=True)
    (started,) = (body for (_, path, _), body in sent if body and path == "/api/v2/dags/etl/dagRuns")
    assert started["dag_run_id"] == f"monitor__{NAMED}"
    assert started["conf"] == {"dataset": "robots-feedback", "run": NAMED, "reason": f"robots: {DUE}"}
    assert DUE in started["note"]
    asked = [body["question"] for body in service.bodies if body and "question" in body]
    assert asked == ["served", "report", "report", "retrain", "begun", "served", "report"]
    assert "moonlight" not in trial.said


def test_while_a_run_is_active_none_is_started(monitored: tuple[dict[str, Trial], Service]) -> None:
    trial = monitored[0]["waits"]
    assert trial.state == "success", trial.said
    assert "a run is active (dataflow, manual__1): the next monitor decides about robots" in trial.said
    assert monitored[1].answers == []


@pytest.fixture(scope="module")
def brought(airflow: Airflow) -> Iterator[tuple[dict[str, Trial], Service]]:
    """Two runs of the DAG ``features``: with two views, and where Valkey had lost one."""

    def counts(view: str, **more: Any) -> dict[str, Any]:
        return {"views": {view: {"read": 5, "written": 3, "older": 1, "seconds": 0.1} | more}}

    views = [{"name": "robots", "entity": "robot-id"}, {"name": "letters", "entity": ""}]
    service = Service(
        *({"views": [*views, {"name": "wine", "entity": "bottle"}]}, counts("robots"), counts("wine")),
        *({"views": views}, counts("robots", rebuilt=True)),
    )
    key = airflow.state / "secrets" / "features" / "key"
    key.parent.mkdir()
    key.write_text("moonlight")
    address = f"http://127.0.0.1:{service.server.server_address[1]}"
    airflow.given |= {"FEATURES_URL": address, "FEATURES_KEY_FILE": str(key)}
    yield dict(zip(("two", "lost"), airflow.trials(("features", {}), ("features", {})), strict=True)), service
    service.close()


def test_every_view_with_an_entity_is_brought_online(brought: tuple[dict[str, Trial], Service]) -> None:
    trials, service = brought
    assert trials["two"].state == "success", trials["two"].said
    asked = [body["views"] for body in service.bodies[:3] if body]
    assert sorted(asked) == [["robots"], ["wine"]]
    assert {path for _, path, _ in service.asked} == {"/catalogue", "/materialize"}
    assert {key for _, _, key in service.asked} == {"Bearer moonlight"}
    assert "robots: 5 rows read, 3 entities written, 1 older" in trials["two"].said
    assert "moonlight" not in trials["two"].said


def test_it_is_said_that_valkey_had_lost_a_view(brought: tuple[dict[str, Trial], Service]) -> None:
    assert "robots: Valkey had lost it; all of it was written again" in brought[0]["lost"].said
    assert brought[1].answers == []
