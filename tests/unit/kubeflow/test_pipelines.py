"""Pipelines, the parts that need neither kfp nor a process: conditions, times, comparison."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pantheon.deployment import pipelines
from pantheon.errors import PantheonError
from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.pipelines import conditions, kinds
from pantheon.kubeflow.pipelines.kinds import RecurringSpec
from pantheon.kubeflow.pipelines.recurring import Times
from pantheon.kubeflow.validation import convert

A = "inputs.parameter_values['a']"


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (f"{A} == 'it && is'", "it && is", True),
        (f"int({A}) > 3", 4.0, True),
        (f"!({A} == 'x') && !(int({A}) > 3)", "2", True),
        (f"{A} == true || {A} == 'yes'", False, False),
        (f"{A} != '' or 1", "' or __import__('os').abort() or '", True),
        (f"-double({A}) <= -2.5", 2.5, True),
    ],
)
def test_conditions_hold_for_values_that_are_never_code(condition: str, value: Any, holds: bool) -> None:
    conditions.check(condition, "path")
    assert conditions.evaluate(condition, {"a": value}) is holds


@pytest.mark.parametrize("condition", ["__import__('os')", f"{A}.upper()", "1 +", "[1]", f"len({A})", "(" * 500])
def test_other_conditions_are_refused(condition: str) -> None:
    with pytest.raises(Refused, match=r"^root\.condition: "):
        conditions.check(condition, "root.condition")


def test_a_condition_without_its_input_or_an_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="the input 'a' is missing"):
        conditions.evaluate(f"{A} == 1", {})
    with pytest.raises(ValueError, match="cannot be compared"):
        conditions.evaluate(f"{A} > 1", {"a": "text"})


MADE = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def times(**schedule: Any) -> Times:
    spec = {"trigger": {"periodicSchedule": schedule}}
    return Times(convert(spec, RecurringSpec, "spec"), MADE)


def test_missed_times_are_made_up_for_once_or_each() -> None:
    hourly = times(intervalSecond=3600)
    now = MADE + timedelta(hours=3, minutes=30)
    hours = [MADE + timedelta(hours=place) for place in range(5)]
    years = MADE + timedelta(hours=20_000, minutes=1)
    assert hourly.due(MADE, years, newest=True)[0] == years - timedelta(minutes=1), "one run for any number of times"
    assert hourly.due(MADE, now, newest=True) == (hours[3], hours[4])
    assert hourly.due(MADE, now, newest=False) == (hours[1], hours[2])
    assert hourly.due(hours[3], now, newest=True) == (None, hours[4])
    ends = times(intervalSecond=3600, endTime="2026-01-31T14:00:00Z")
    assert ends.due(hours[2], now, newest=True) == (None, None)


def test_times_that_are_none_are_refused_with_their_path() -> None:
    with pytest.raises(Refused, match=r"^spec\.trigger\.periodicSchedule\.intervalSecond: "):
        times(intervalSecond=0)
    with pytest.raises(Refused, match=r"^spec\.trigger\.periodicSchedule\.endTime: 'soon' is not a time"):
        times(intervalSecond=1, endTime="soon")
    with pytest.raises(Refused, match=r"^spec\.trigger: must have either"):
        Times(convert({"trigger": {}}, RecurringSpec, "spec"), MADE)


def a_run(reason: str = "Done", **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Succeeded" if reason == "Done" else "Failed", "status": "True", "reason": reason}]
    return {"metadata": {}, "spec": {}, "status": {"conditions": conditions, **status}}


def test_two_runs_are_compared_by_parameters_that_differ_and_all_metrics() -> None:
    def metric(value: float) -> list[dict[str, Any]]:
        return [{"step": "score", "name": "m", "type": "Metrics", "uri": "", "metadata": {"auc": value}}]

    one = a_run(parameters={"seed": 1, "folds": 5}, artifacts=metric(0.9), steps=[])
    other = a_run(parameters={"seed": 2, "folds": 5}, artifacts=metric(0.8), steps=[])
    assert pipelines.compare(one, other) == [("parameter", "seed", "1", "2"), ("metric", "score · auc", "0.9", "0.8")]
    assert [kinds.state_of(a_run(reason)) for reason in ("Done", "StepFailed", "Stopped")] == [
        "done",
        "failed",
        "stopped",
    ]


def test_parameters_are_names_and_values() -> None:
    assert pipelines.settings_of(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(PantheonError, match="'a' is not a parameter"):
        pipelines.settings_of(["a"])
