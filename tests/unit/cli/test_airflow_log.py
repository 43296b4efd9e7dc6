"""Only the task's own lines of a failed task's log are shown."""

from pantheon.airflow.client import task_lines

FRAME = [
    "::group::Log message source details",
    "logs/dag_id=etl/attempt=1.log",
    "::endgroup::",
    "::group::Pre Execute",
    "DAG bundles loaded: dags-folder",
    "::endgroup::",
]


def test_lines_that_airflow_adds_to_every_attempt_are_left_out() -> None:
    after = ["Task failed with exception", "::group::Post Execute", "::endgroup::"]
    error = "data/churn.csv has no column churned."
    assert task_lines([*FRAME, error, *after]) == [error]


def test_all_lines_are_shown_if_the_task_logged_none() -> None:
    assert task_lines(FRAME) == FRAME
