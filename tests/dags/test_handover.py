"""Who goes on with which run: every prepared run is taken, and by one alone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pantheon.airflow.handover import take, taken

THEN = datetime.now(UTC) - timedelta(minutes=1)
ONE, TWO = "20260131-142500-0a1b", "20260131-142501-0a1c"


def state(folder: Path, *runs: str) -> Path:
    for run in runs:
        (folder / "runs" / run).mkdir(parents=True)
    return folder


def test_what_is_taken_says_by_whom(tmp_path: Path) -> None:
    there = state(tmp_path, ONE, TWO)
    assert taken(there, ONE) is None
    assert take(there, [(TWO, THEN), (ONE, THEN), (ONE, THEN)], "dataflow", "a") == [ONE, TWO]
    record = taken(there, ONE)
    assert record
    assert (record["dag"], record["dag_run"]) == ("dataflow", "a")


def test_another_does_not_take_it_and_a_repeated_task_finds_its_own(tmp_path: Path) -> None:
    there = state(tmp_path, ONE)
    assert take(there, [(ONE, THEN)], "dataflow", "a") == [ONE]
    assert take(there, [(ONE, THEN)], "dataflow", "b") == []
    assert take(there, [(ONE, THEN)], "dataflow", "a") == [ONE]


def test_prepared_anew_it_is_taken_anew(tmp_path: Path) -> None:
    there = state(tmp_path, ONE)
    take(there, [(ONE, THEN)], "dataflow", "a")
    assert take(there, [(ONE, datetime.now(UTC) + timedelta(seconds=1))], "notebooks", "b") == [ONE]


def test_a_run_whose_folder_is_gone_is_left_out(tmp_path: Path) -> None:
    assert take(state(tmp_path, ONE), [(ONE, THEN), (TWO, THEN)], "dataflow", "a") == [ONE]


def test_of_many_at_once_one_takes_it(tmp_path: Path) -> None:
    there = state(tmp_path, ONE)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: take(there, [(ONE, THEN)], "dataflow", str(name)), range(64)))
    assert sorted(map(len, found)) == [0] * 63 + [1]
