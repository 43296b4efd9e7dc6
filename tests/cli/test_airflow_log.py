"""Of a failed task's log, what the task itself said is shown."""

from pantheon.cli.airflow import own

FRAME = [
    "::group::Log message source details",
    "logs/dag_id=etl/attempt=1.log",
    "::endgroup::",
    "::group::Pre Execute",
    "DAG bundles loaded: dags-folder",
    "::endgroup::",
]


def test_what_airflow_says_around_every_try_is_left_out() -> None:
    after = ["Task failed with exception", "::group::Post Execute", "::endgroup::"]
    assert own([*FRAME, "data/churn.csv has no column churned.", *after]) == ["data/churn.csv has no column churned."]


def test_where_the_task_never_came_to_speak_all_is_shown() -> None:
    assert own(FRAME) == FRAME
