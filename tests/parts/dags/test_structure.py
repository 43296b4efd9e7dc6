"""The DAGs as Airflow reads them: edges, parameters, retries, schedules, words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pantheon.jupyter.graph import graph_of
from pantheon.state import Route
from pantheon.workflow.graph import GRAPH
from pantheon.workflow.run import RUN_ID, Params
from tests.support import ROOT
from tests.support.dags import Airflow

Dag = Callable[[str], dict[str, Any]]
NOTEBOOKS = graph_of(Route(rest="jupyter"))
PYCARET = graph_of(Route(rest="pycaret"))
QUICK = "quick_preprocessing"
ETL = ["load_data", "clean_data", "split_data", "preprocess"]


def test_every_file_is_read_without_an_error(described: dict[str, Any]) -> None:
    assert described["errors"] == {}
    assert set(described["dags"]) == {"etl", "dataflow", "notebooks", "pycaret", "monitor", "features"}
    files = {path.stem for path in (ROOT / "dags").glob("*.py")}
    assert files == set(described["dags"]) - {"pycaret"} | {"shared"}


def test_the_etl_runs_the_first_four_stages_one_after_another(dag: Dag) -> None:
    tasks = dag("etl")["tasks"]
    assert {name: task["next"] for name, task in tasks.items()} == {
        name: ETL[index + 1 : index + 2] for index, name in enumerate(ETL)
    }
    for name, task in tasks.items():  # what a stage reads is done before it
        assert all(need in ETL[: ETL.index(name)] for need in GRAPH[name]), name
        assert task["outlets"] == (["prepared"] if name == "preprocess" else [])


def test_who_goes_on_is_started_by_an_asset_each(dag: Dag) -> None:
    assert dag("dataflow")["waits_for"] == ["x-pantheon://prepared/dataflow"]
    assert dag("notebooks")["waits_for"] == ["x-pantheon://prepared/jupyter"]
    assert dag("pycaret")["waits_for"] == ["x-pantheon://prepared/pycaret"]


def test_the_dataflow_is_asked_once_for_each_run(dag: Dag) -> None:
    tasks = dag("dataflow")["tasks"]
    assert tasks["runs"]["next"] == ["finish"]
    assert tasks["finish"]["mapped"]
    assert "run" in tasks["finish"]["label"]


@pytest.mark.parametrize(
    ("name", "base", "rest"), [("notebooks", NOTEBOOKS, "jupyter"), ("pycaret", PYCARET, "pycaret")]
)
def test_the_notebooks_run_in_the_graphs_order_and_deployment_comes_last(
    dag: Dag, name: str, base: dict[str, tuple[str, ...]], rest: str
) -> None:
    tasks = {name.removeprefix("of_run."): task for name, task in dag(name)["tasks"].items()}
    graph = graph_of(Route(rest=rest, models="s3"))
    assert set(tasks) == {"runs", "deploy", *graph}
    assert list(graph) == [QUICK, *base]
    for name, needs in graph.items():
        assert tasks[name]["mapped"]
        assert set(base.get(name, ())) == set(needs) - {QUICK}
        assert all(f"of_run.{name}" in tasks[need]["next"] for need in needs)
        assert tasks[name]["rule"] == ("none_failed" if QUICK in needs else "all_success")
    last = list(graph)[-1]
    assert tasks[last]["next"] == ["of_run.deploy"]
    assert tasks["deploy"]["next"] == []


def test_only_where_models_are_in_s3_is_there_quick_preprocessing() -> None:
    assert graph_of(Route()) == graph_of(Route(rest="jupyter")) == NOTEBOOKS
    assert graph_of(Route(rest="pycaret")) == PYCARET
    found = graph_of(Route(rest="jupyter", models="s3"))
    assert [name for name, needs in found.items() if QUICK in needs] == ["feature_engineering", "feature_selection"]
    for name, needs in NOTEBOOKS.items():  # the base graph follows the workflow's
        assert set(GRAPH[name]) & set(NOTEBOOKS) == set(needs)


def test_the_monitor_looks_at_each_model_and_then_decides_about_one_retraining(dag: Dag) -> None:
    monitor = dag("monitor")
    assert {name: task["next"] for name, task in monitor["tasks"].items()} == {
        "served": ["look"],
        "look": ["retrain"],
        "retrain": [],
    }
    assert monitor["tasks"]["look"]["mapped"]
    assert monitor["tasks"]["retrain"]["rule"] == "all_done", "one model that cannot be looked at does not matter"
    assert monitor["at_once"] == 1


def test_each_feature_view_is_brought_online_by_a_task_of_its_own(dag: Dag) -> None:
    features = dag("features")
    assert {name: task["next"] for name, task in features["tasks"].items()} == {
        "views": ["materialize"],
        "materialize": [],
    }
    assert features["tasks"]["materialize"]["mapped"] and "view" in features["tasks"]["materialize"]["label"]
    assert features["at_once"] == 1


def test_the_trigger_form_offers_what_there_is(dag: Dag) -> None:
    etl = dag("etl")
    assert etl["params"] == {
        "dataset": "robots",
        "trials": Params().trials,
        "seed": Params().seed,
        "folds": Params().folds,
        "metric": Params().metric,
        "approval": Params().approval,
        "run": None,
        "reason": None,
    }
    schemas = etl["schemas"]
    assert {"robots", "wine", "diabetes", "breast_cancer"} <= set(schemas["dataset"]["examples"])
    assert (schemas["trials"]["minimum"], schemas["trials"]["maximum"]) == (1, 1000)
    assert schemas["approval"]["enum"] == ["auto", "required"]
    assert re.fullmatch(schemas["run"]["pattern"], "20260131-142500-0a1b")
    assert schemas["run"]["pattern"] == f"^{RUN_ID.pattern}$"
    assert all(schema["title"] for schema in schemas.values())


def test_what_passes_by_itself_is_tried_again_and_nothing_waits_for_ever(described: dict[str, Any]) -> None:
    for name, dag in described["dags"].items():
        for task_id, task in dag["tasks"].items():
            assert task["retries"] == 2, (name, task_id)
            assert task["delay"] <= 10
            assert task["timeout"] >= 3600


def test_nothing_starts_by_itself_until_asked_for(described: dict[str, Any]) -> None:
    assert {described["dags"][name]["timetable"] for name in ("etl", "monitor", "features")} == {"NullTimetable"}
    for name, dag in described["dags"].items():
        assert not dag["catchup"]
        assert dag["at_once"] >= 2 or name in ("monitor", "features")
        assert "pantheon" in dag["tags"]


def test_the_deployments_settings_are_the_forms_defaults(tmp_path: Path) -> None:
    airflow = Airflow(tmp_path, tmp_path / "deployment")
    params = {"dataset": "churn", "trials": 3, "seed": 7, "folds": 3, "metric": "f1", "approval": "required"}
    airflow.settle(**params, schedule="0 6 * * *", monitor="@hourly", materialize="30 4 * * *")
    (airflow.state / "data" / "churn.toml").touch()
    dags = airflow.describe()["dags"]
    etl, monitor = dags["etl"], dags["monitor"]
    numbers = {"trials": 3, "seed": 7, "folds": 3, "metric": "f1"}
    assert etl["params"] == {"dataset": "churn", **numbers, "approval": "required", "run": None, "reason": None}
    assert "churn" in etl["schemas"]["dataset"]["examples"]
    assert etl["cron"] == "0 6 * * *"
    assert monitor["cron"] == "0 * * * *"
    assert dags["features"]["cron"] == "30 4 * * *"


def test_the_words_for_people_render(described: dict[str, Any]) -> None:
    for name, dag in described["dags"].items():
        first = dag["doc"].strip().splitlines()[0]
        assert first.endswith("."), name
        assert not re.search(r"\{\{|:param|TODO", dag["doc"])
        assert dag["doc"].count("`") % 2 == 0
        assert dag["doc"].count("**") % 2 == 0
