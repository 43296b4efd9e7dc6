"""Every prepared run is continued by exactly one DAG run."""

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


def test_a_claim_records_the_dag_run(tmp_path: Path) -> None:
    folder = state(tmp_path, ONE, TWO)
    assert taken(folder, ONE) is None
    assert take(folder, [(TWO, THEN), (ONE, THEN), (ONE, THEN)], "dataflow", "a") == [ONE, TWO]
    record = taken(folder, ONE)
    assert record
    assert (record["dag"], record["dag_run"]) == ("dataflow", "a")


def test_another_dag_run_gets_nothing_and_a_retried_task_keeps_its_claim(tmp_path: Path) -> None:
    folder = state(tmp_path, ONE)
    assert take(folder, [(ONE, THEN)], "dataflow", "a") == [ONE]
    assert take(folder, [(ONE, THEN)], "dataflow", "b") == []
    assert take(folder, [(ONE, THEN)], "dataflow", "a") == [ONE]


def test_a_run_that_is_prepared_again_can_be_claimed_again(tmp_path: Path) -> None:
    folder = state(tmp_path, ONE)
    take(folder, [(ONE, THEN)], "dataflow", "a")
    assert take(folder, [(ONE, datetime.now(UTC) + timedelta(seconds=1))], "notebooks", "b") == [ONE]


def test_a_run_without_a_folder_is_skipped(tmp_path: Path) -> None:
    assert take(state(tmp_path, ONE), [(ONE, THEN), (TWO, THEN)], "dataflow", "a") == [ONE]


def test_only_one_of_many_concurrent_claims_succeeds(tmp_path: Path) -> None:
    folder = state(tmp_path, ONE)
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda name: take(folder, [(ONE, THEN)], "dataflow", str(name)), range(64)))
    assert sorted(map(len, claims)) == [0] * 63 + [1]
