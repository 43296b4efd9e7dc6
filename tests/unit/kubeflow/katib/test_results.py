"""Metrics, early stopping and the status of an Experiment, by the rules of Katib."""

from pathlib import Path
from typing import Any

import pytest
import tensorboardX
from hypothesis import given
from hypothesis import strategies as st

from pantheon.kubeflow.katib import medianstop, plan, summary
from pantheon.kubeflow.katib.collector import UNAVAILABLE, Lines, Source, observation, value_of
from pantheon.kubeflow.katib.eventfiles import Curves, read
from pantheon.kubeflow.katib.medianstop import Watch
from tests.support.katib import spec

LOSS = {"objectiveMetricName": "loss"}
LESS = {"name": "f1", "value": "0.5", "comparison": "less", "startStep": 2}


def collected(text: str, *names: str, **source: Any) -> list[tuple[str, str]]:
    lines = Lines(Source(**source), names)
    lines.feed(text.encode(), ended=True)
    return [(report.name, report.value) for report in lines.reports]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("loss=0.3", "0.3"),
        ("loss=.98", ".98"),
        ("Epoch 3: loss = -7.53e-05, rest=1", "-7.53e-05"),
        ("loss=1E0", "1E0"),
        ("loss=nan", ""),
        ("2024-12-02T14:30:35Z loss=2", "2"),
    ],
)
def test_the_filter_of_katib(line: str, value: str) -> None:
    assert collected(line, "loss") == [("loss", value)]


def test_only_metrics_of_the_objective_are_collected() -> None:
    text = "loss=1 rest=2\nmy-loss=3\nf|1=4\n"
    assert collected(text, "loss", "f|1") == [("loss", "1"), ("f|1", "4")]
    own = r"\{metricName: ([\w|-]+), metricValue: ((-?\d+)(\.\d+)?)\}"
    assert collected("{metricName: loss, metricValue: 1.5}\nloss=9", "loss", filters=(own,)) == [("loss", "1.5")]


def test_a_filter_takes_no_time_whatever_it_says() -> None:
    evil = r"(a+)+(b)$"  # an engine that tries again would take 2^60000 steps
    assert collected("a" * 60_000, "a", filters=(evil,)) == []


@given(st.lists(st.sampled_from(["loss=1", "x=2 loss=3", "", "loss=é4"])), st.data())
def test_output_in_pieces_is_read_as_a_whole(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines).encode()
    reader = Lines(Source(), ["loss"])
    while text:
        size = data.draw(st.integers(1, len(text)))
        reader.feed(text[:size])
        text = text[size:]
    reader.feed(b"", ended=True)
    assert [(report.name, report.value) for report in reader.reports] == collected("\n".join(lines), "loss")


def test_lines_of_json() -> None:
    text = '{"loss": "0.5", "timestamp": 1}\nnot json\n{"loss": 0.4}\n[]\n{"loss": "0.3", "timestamp": "2024-12-02"}'
    assert collected(text, "loss", kind="File", path="/a", json=True) == [("loss", "0.5"), ("loss", "0.3")]


def test_a_metric_has_its_least_greatest_and_latest_value() -> None:
    lines = Lines(Source(), ["loss", "f1", "acc"])
    lines.feed(b"loss=2 f1=\nloss=0.50\nloss=9.0\nloss=1\n")
    metrics = observation(lines.reports, ["loss", "f1", "acc"])
    assert metrics == [
        {"name": "loss", "min": "0.50", "max": "9.0", "latest": "1"},
        {"name": "f1", "min": UNAVAILABLE, "max": UNAVAILABLE, "latest": ""},
        {"name": "acc", "min": UNAVAILABLE, "max": UNAVAILABLE, "latest": UNAVAILABLE},
    ]
    values = [value_of(metrics, "loss", strategy) for strategy in ("min", "max", "latest")]
    assert values == [0.5, 9.0, 1.0]
    assert value_of(metrics, "f1", "max") is None and value_of(metrics, "gone", "max") is None


def test_the_latest_value_is_that_of_the_latest_time() -> None:
    lines = Lines(Source(), ["loss"])
    lines.feed(b"2024-12-02T14:30:35Z loss=1\n2024-12-02T15:30:35+02:00 loss=2\nloss=3\n")
    assert observation(lines.reports, ["loss"])[0]["latest"] == "1"


def test_event_files_are_written_and_read(tmp_path: Path) -> None:
    lines = Lines(Source(), ["loss", "f1"])
    curves = Curves(tmp_path / "trial" / "test")
    curves.add(lines.feed(b"loss=0.5 f1=0.25\nloss=nan\nloss=0.125\n"))
    curves.close({"x": "0.5", "kind": "gini"})
    assert [(each.name, each.value) for each in read(tmp_path, ["loss", "f1"])] == [
        ("loss", "0.5"), ("f1", "0.25"), ("loss", "0.125")
    ]  # fmt: skip
    assert [each.value for each in read(tmp_path, ["test/loss"])] == ["0.5", "0.125"]
    assert read(tmp_path, ["train/loss"]) == []
    (file,) = (tmp_path / "trial" / "test").iterdir()
    assert b"hparams" in file.read_bytes()
    content = file.read_bytes()
    file.write_bytes(content[:150])  # cut, as of a process that was killed
    assert len(read(tmp_path, ["loss"])) <= 1
    (tmp_path / "other.txt").write_bytes(b"no events" * 100)
    assert len(read(tmp_path, ["loss"])) <= 1
    unused = Curves(tmp_path / "none")
    unused.close({})
    assert not (tmp_path / "none").exists()


def test_event_files_of_other_writers_are_read(tmp_path: Path) -> None:
    with tensorboardX.SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("accuracy", 0.5, 1)
        writer.add_text("accuracy_note", "no scalar")
    assert [each.value for each in read(tmp_path, ["accuracy"])] == ["0.5"]


# Early stopping -------------------------------------------------------------------------------------------------------


def objective(**more: Any) -> plan.Objective:
    return plan.objective_of({"type": "maximize", "objectiveMetricName": "f1", **more}, "")


def test_a_rule_is_the_average_of_the_first_reports_of_enough_trials() -> None:
    settings = {"min_trials_required": 2, "start_step": 2}
    assert medianstop.rules(settings, objective(), [["0.1", "0.2", "0.9"]]) == []
    assert medianstop.rules(settings, objective(), [["0.1", "0.2", "0.9"], [], ["0.6", ""]]) == [
        {"name": "f1", "value": repr((0.15000000000000002 + 0.6) / 2), "comparison": "less", "startStep": 2}
    ]
    minimize = objective(type="minimize")
    assert medianstop.rules(settings, minimize, [["1"], ["2"]])[0]["comparison"] == "greater"


@pytest.mark.parametrize(
    ("rule", "reports", "at"),
    [
        (LESS, [0.1, 0.4], 2),  # its best value at the second report is less
        (LESS, [0.6, 0.1, 0.1], None),  # its best one was good
        (LESS, [0.1, 0.5, 0.1], None),
        (LESS, [0.1], None),  # too early
        (LESS, [None, 0.4], 2),
        (LESS, [None, None, 0.1], None),
        (LESS | {"comparison": "greater"}, [0.9, 0.6], 2),
        (LESS | {"comparison": "greater"}, [0.9, 0.4], None),
        (LESS | {"comparison": "equal", "startStep": 0}, [0.5], 1),
    ],
)
def test_a_trial_is_stopped_at_one_report(rule: dict[str, Any], reports: list[float | None], at: int | None) -> None:
    watch = Watch(rule)
    stops = [watch.stops(value) for value in reports]
    assert stops == [number == at for number in range(1, len(reports) + 1)]


# The status of an Experiment ------------------------------------------------------------------------------------------


def trial(name: str, end: str, value: str = "") -> dict[str, Any]:
    conditions = [{"type": "Created", "status": "True", "reason": "TrialCreated"}]
    conditions.append({"type": "Running", "status": "True" if end == "Running" else "False", "reason": "TrialRunning"})
    if end not in ("Running", "Pending"):
        conditions.append({"type": end, "status": "True", "reason": "x"})
    metric = {"name": "loss", "min": value, "max": value, "latest": value}
    status = {"conditions": conditions} | ({"observation": {"metrics": [metric]}} if value else {})
    return {"metadata": {"name": name}, "spec": {"parameterAssignments": []}, "status": status}


TRIALS = [
    trial("a", "Succeeded", "3"), trial("b", "EarlyStopped", "2"), trial("c", "Failed"), trial("d", "Running"),
    trial("e", "Succeeded", "2"), trial("f", "MetricsUnavailable"), trial("g", "Killed", "1"), trial("h", "Pending"),
]  # fmt: skip


def test_the_status_counts_trials_as_katib_does() -> None:
    found = summary.fields(TRIALS, plan.read(spec()).objective)
    assert {key: value for key, value in found.items() if value is not None} == {
        "trials": 8,
        "succeededTrialList": ["a", "e"], "trialsSucceeded": 2,
        "earlyStoppedTrialList": ["b"], "trialsEarlyStopped": 1,
        "failedTrialList": ["c"], "trialsFailed": 1,
        "runningTrialList": ["d"], "trialsRunning": 1,
        "pendingTrialList": ["h"], "trialsPending": 1,
        "killedTrialList": ["g"], "trialsKilled": 1,
        "metricsUnavailableTrialList": ["f"], "trialMetricsUnavailable": 1,
        "currentOptimalTrial": {  # the first of the best; a killed one does not count
            "bestTrialName": "b", "parameterAssignments": [],
            "observation": {"metrics": [{"name": "loss", "min": "2", "max": "2", "latest": "2"}]},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "more", "ended", "reason"),
    [
        ("a", {}, False, ""),
        ("abce", {}, False, "ExperimentMaxTrialsReached"),
        ("abcd", {}, False, ""),
        ("abcg", {}, False, "ExperimentMaxTrialsReached"),
        ("ad", {"objective": LOSS | {"type": "minimize", "goal": 3}}, False, "ExperimentGoalReached"),
        ("ac", {"objective": LOSS | {"type": "maximize", "goal": 3.5}}, False, ""),
        ("cf", {"maxFailedTrialCount": 2}, False, "ExperimentFailed"),
        ("cf", {"maxFailedTrialCount": 3}, False, ""),
        ("ab", {"maxFailedTrialCount": 0}, False, ""),
        ("ac", {"maxFailedTrialCount": 0}, False, "ExperimentFailed"),
        ("ad", {}, True, ""),
        ("ab", {}, True, "ExperimentSuggestionEndReached"),
    ],
)  # fmt: skip
def test_when_an_experiment_ends(names: str, more: dict[str, Any], ended: bool, reason: str) -> None:
    trials = [each for each in TRIALS if each["metadata"]["name"] in names]
    assert summary.outcome(trials, plan.read(spec(**more)), ended) == reason
