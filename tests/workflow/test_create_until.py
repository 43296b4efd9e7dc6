"""Runs that a task of Airflow makes or shares: by a name given, up to a stage, stage by stage in several processes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pantheon.errors import PantheonError
from pantheon.workflow import graph, locks
from pantheon.workflow.run import Params, Run
from tests.conftest import ROOT

ID = "20260131-142500-0a1b"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def run(state: Path) -> Run:
    return Run.create(state, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params(trials=2), runner="graph")


def tasks(state: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    environment = {**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "pantheon.tasks", *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_stage_makes_its_run_once(state: Path) -> None:
    asked = {"dataset": "robots", "params": {"trials": 2, "seed": 7}, "tier": "prometheus", "runner": "graph"}
    for _ in range(2):
        code, events = tasks(state, "stage", "load_data", "--run", ID, "--create", json.dumps(asked))
        assert code == 0
        assert events[-1]["state"] == "done"
    run = Run.find(state, ID)
    assert {key: run.asked[key] for key in ("dataset", "tier", "runner")} == {
        key: asked[key] for key in ("dataset", "tier", "runner")
    }
    assert run.params == Params(trials=2, seed=7)
    code, events = tasks(
        state, "stage", "load_data", "--run", ID, "--create", '{"dataset": "robots", "params": {"trials": 3}}'
    )
    assert code == 2
    assert "already with another params" in events[-1]["cause"]
    grown = asked | {"tier": "zeus"}  # between two tries of a task the deployment may grow
    assert tasks(state, "stage", "load_data", "--run", ID, "--create", json.dumps(grown))[0] == 0


def test_the_deployments_own_spec_comes_first(state: Path) -> None:
    (state / "data").mkdir()
    own = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 300")
    assert "rows = 300" in own
    (state / "data" / "robots.toml").write_text(own)
    code, events = tasks(state, "stage", "load_data", "--run", ID, "--create", '{"dataset": "robots"}')
    assert code == 0
    assert events[-1]["summary"]["rows"] == 300


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (ID, "no json", "--create"),
        (ID, "[]", "--create"),
        (ID, "3", "--create"),
        (ID, '{"params": {}}', "--create"),
        (ID, '{"dataset": "robots", "params": []}', "wrong type"),
        (ID, '{"dataset": "robots", "colour": 1}', "unknown key"),
        (ID, '{"dataset": "robots", "params": {"trials": "many"}}', "trials must be a whole number"),
        (ID, '{"dataset": "robots", "params": {"seed": true}}', "seed must be a whole number"),
        (ID, '{"dataset": "robots", "params": {"colour": 1}}', "unknown parameter 'colour'"),
        (ID, '{"dataset": "robots", "runner": "hands"}', "no runner"),
        (ID, '{"dataset": "nothing"}', "no dataset"),
        (ID, '{"dataset": "../datasets/robots"}', "no dataset"),
        ("../escape", '{"dataset": "robots"}', "no name of a run"),
    ],
)
def test_a_run_that_cannot_be_made_is_refused_in_words(state: Path, name: str, text: str, says: str) -> None:
    from pantheon import tasks as module

    with pytest.raises(PantheonError) as refused:
        module.ensured(state, name, text)
    assert says in refused.value.cause
    assert not list((state / "runs").glob("*") if (state / "runs").exists() else [])


def test_many_that_make_one_run_get_one(state: Path) -> None:
    spec = (ROOT / "datasets" / "wine.toml").read_text()
    ready = threading.Barrier(8)

    def make(_: int) -> str:
        ready.wait()
        return Run.ensure(state, ID, spec, "wine", Params()).asked["created"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1
    assert [path.name for path in (state / "runs").iterdir()] == [ID]


def test_until_stops_there_and_runs_all_before_it(run: Run) -> None:
    told: list[str] = []
    for runner in (graph.run_graph, graph.run_script):
        runner(run, None, lambda event: told.append(event["stage"]), "feature_selection")
    assert set(told) == {"load_data", "clean_data", "split_data", "preprocess", "feature_selection"}
    assert graph.finished(run) == set(told)
    with pytest.raises(PantheonError, match="no stage"):
        graph.run_graph(run, None, lambda event: None, "nowhere")


def test_what_was_repeated_makes_those_after_it_stale(run: Run) -> None:
    graph.run_graph(run, None, lambda event: None, "feature_selection")
    graph.run_single("clean_data", run, None)
    assert graph.finished(run) == {"load_data", "clean_data"}
    told: list[str] = []
    graph.run_graph(run, None, lambda event: told.append(event["stage"]), "preprocess")
    assert set(told) == {"split_data", "preprocess"}
    run.mark("load_data", state="failed", started="2026", finished="2026", error="")
    assert graph.finished(run) == set()


def test_the_graph_is_in_an_order_that_keeps_needs_first() -> None:
    seen: set[str] = set()
    for name, needs in graph.GRAPH.items():
        assert seen >= set(needs)
        seen.add(name)
    steps = [name for names in graph.SCRIPT.values() for name in names]
    for index, name in enumerate(steps):
        assert set(steps[:index]) >= set(graph.GRAPH[name])


def test_every_stage_waits_for_all_that_its_ancestors_make() -> None:
    for name, needs in graph.GRAPH.items():
        assert graph.wanted(name) >= {name, *needs}
    assert graph.wanted("") == graph.wanted("deploy") == set(graph.GRAPH)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    yield


def test_two_stages_of_one_run_side_by_side_but_none_twice(run: Run, impatient: None) -> None:
    assert not locks.is_held(run)
    with locks.single(run, "feature_engineering"), locks.single(run, "feature_selection"):
        assert locks.is_held(run)
        with pytest.raises(PantheonError, match="stage feature_selection"), locks.single(run, "feature_selection"):
            pass
        with pytest.raises(PantheonError, match="another process"), locks.exclusive(run):
            pass
    with locks.exclusive(run):
        assert locks.is_held(run)
        with pytest.raises(PantheonError, match="another process"), locks.single(run, "train"):
            pass
    assert not locks.is_held(run)


def test_the_two_feature_stages_in_two_processes_at_once(run: Run) -> None:
    graph.run_graph(run, None, lambda event: None, "preprocess")
    with ThreadPoolExecutor(2) as pool:
        both = pool.map(
            lambda name: tasks(run.state, "stage", name, "--run", run.id), ("feature_engineering", "feature_selection")
        )
        assert [code for code, _ in both] == [0, 0]
    assert graph.finished(run) >= {"feature_engineering", "feature_selection"}


def test_a_look_at_a_run_never_makes_a_stage_fail(run: Run) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            locks.is_held(run)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(200):
            with locks.single(run, "train"):
                pass
    finally:
        stop.set()
        looker.join()


def test_a_folder_that_is_made_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "20260131-142500-0a1b")
    for text in ("first", "second"):
        with run.output("curves") as folder:
            folder.mkdir()
            (folder / f"{text}.csv").write_text(text)
    assert [path.name for path in run.path("curves").iterdir()] == ["second.csv"]
    assert [path.name for path in run.folder.iterdir()] == ["curves"]
