"""Runs that Airflow tasks create or share: by name, up to a stage, and in several processes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.state import StageRecord
from pantheon.workflow import graph, locks
from pantheon.workflow.run import Params, Run
from tests.support import ROOT

ID = "20260131-142500-0a1b"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def run(state: Path) -> Run:
    return Run.create(state, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params(trials=2), runner="graph")


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
        ("../escape", '{"dataset": "robots"}', "not a valid name of a run"),
    ],
)
def test_a_run_that_cannot_be_created_is_refused_with_a_message(state: Path, name: str, text: str, says: str) -> None:
    from pantheon import worker as module

    with pytest.raises(PantheonError) as refused:
        module.ensured(state, name, text)
    assert says in refused.value.cause
    assert not list((state / "runs").glob("*") if (state / "runs").exists() else [])


def test_concurrent_creations_of_a_run_create_one(state: Path) -> None:
    spec = (ROOT / "datasets" / "wine.toml").read_text()
    ready = threading.Barrier(8)

    def make(_: int) -> str:
        ready.wait()
        return Run.ensure(state, ID, spec, "wine", Params()).record.created

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1
    assert [path.name for path in (state / "runs").iterdir()] == [ID]


def test_until_runs_a_stage_and_all_its_dependencies(run: Run) -> None:
    error: list[str] = []
    for runner in (graph.run_graph, graph.run_script):
        runner(run, None, lambda event: error.append(event["stage"]), "feature_selection")
    assert set(error) == {"load_data", "clean_data", "split_data", "preprocess", "feature_selection"}
    assert graph.finished(run) == set(error)
    with pytest.raises(PantheonError, match="no stage"):
        graph.run_graph(run, None, lambda event: None, "nowhere")


def test_a_repeated_stage_makes_later_stages_stale(run: Run) -> None:
    graph.run_graph(run, None, lambda event: None, "feature_selection")
    graph.run_single("clean_data", run, None)
    assert graph.finished(run) == {"load_data", "clean_data"}
    error: list[str] = []
    graph.run_graph(run, None, lambda event: error.append(event["stage"]), "preprocess")
    assert set(error) == {"split_data", "preprocess"}
    run.mark(StageRecord("load_data", "failed", "2026", "2026"))
    assert graph.finished(run) == set()


def test_the_graph_lists_dependencies_first() -> None:
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
    monkeypatch.setattr(locks, "TIMEOUT_SECONDS", 0.1)
    yield


def test_two_stages_of_a_run_can_run_in_parallel_but_none_twice(run: Run, impatient: None) -> None:
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


def test_reading_a_run_never_makes_a_stage_fail(run: Run) -> None:
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


def test_a_rewritten_folder_replaces_the_previous_one(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "20260131-142500-0a1b")
    for text in ("first", "second"):
        with run.output_folder("curves") as folder:
            (folder / f"{text}.csv").write_text(text)
    assert [path.name for path in run.path("curves").iterdir()] == ["second.csv"]
    assert [path.name for path in run.folder.iterdir()] == ["curves"]
