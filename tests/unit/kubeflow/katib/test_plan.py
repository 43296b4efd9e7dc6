"""Specs of Experiments: what Katib takes is taken, and the rest is refused with the path of the field."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.katib import jobs, plan, template
from pantheon.kubeflow.katib.collector import Source
from pantheon.kubeflow.katib.controller import Experiments
from pantheon.kubeflow.katib.trials import Trials
from tests.support.katib import PARAMETERS, Spec, experiment, spec

CONTAINER = "trialTemplate.trialSpec.spec.template.spec.containers.0"
REMOVED: Any = object()


def changed(path: str, value: Any, **more: Any) -> Spec:
    """Return a spec with another value at a path of keys and numbers."""
    made = copy.deepcopy(spec(**more))
    place: Any = made
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in steps:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return made


def space(type_: str, **feasible: Any) -> list[Spec]:
    return [{"name": "x", "parameterType": type_, "feasibleSpace": feasible}, PARAMETERS[1]]


def algorithm(name: str, **settings: str) -> Spec:
    return {
        "algorithmName": name,
        "algorithmSettings": [{"name": key, "value": value} for key, value in settings.items()],
    }


def of_file(**place: str) -> Spec:
    return {"collector": {"kind": "File"}, "source": {"fileSystemPath": place}}


F, T, M, S = (
    "spec.parameters[0].feasibleSpace", "spec.trialTemplate", "spec.metricsCollectorSpec",
    "spec.algorithm.algorithmSettings",
)  # fmt: skip
J = f"{T}.trialSpec"
C = f"{J}.spec.template.spec.containers[0]"
REFUSED: list[tuple[str, Any, str, str]] = [
    ("maxTrials", 3, "spec.maxTrials", "no such field"),
    ("maxTrialCount", "3", "spec.maxTrialCount", "must be a whole number, not a string"),
    ("maxTrialCount", 0, "spec.maxTrialCount", "at least 1"),
    ("maxTrialCount", 10_000, "spec.maxTrialCount", "at most 1,000"),
    ("parallelTrialCount", 5, "spec.parallelTrialCount", "more than maxTrialCount"),
    ("parallelTrialCount", 0, "spec.parallelTrialCount", "at least 1"),
    ("maxFailedTrialCount", -1, "spec.maxFailedTrialCount", "at least 0"),
    ("maxFailedTrialCount", 5, "spec.maxFailedTrialCount", "more than maxTrialCount"),
    ("resumePolicy", "Always", "spec.resumePolicy", "not a policy"),
    ("nasConfig", {}, "spec.nasConfig", "needs a cluster"),
    ("objective", REMOVED, "spec.objective", "is missing"),
    ("objective.type", "min", "spec.objective.type", "not a type"),
    ("objective.goal", "high", "spec.objective.goal", "must be a number, not a string"),
    ("objective.goal", float("nan"), "spec.objective.goal", "finite"),
    ("objective.objectiveMetricName", REMOVED, "spec.objective.objectiveMetricName", "is missing"),
    ("objective.additionalMetricNames", ["a", "loss"], "spec.objective.additionalMetricNames[1]", "named already"),
    ("objective.metricStrategies", [{"name": "f", "value": "min"}], "spec.objective.metricStrategies[0].name", "'f'"),
    ("objective.metricStrategies", [{"name": "loss", "value": "mean"}], "spec.objective.metricStrategies[0].value", ""),
    ("algorithm.algorithmName", REMOVED, "spec.algorithm.algorithmName", "is missing"),
    ("algorithm.algorithmName", "guess", "spec.algorithm.algorithmName", "no algorithm 'guess'"),
    ("algorithm.algorithmName", "pbt", "spec.algorithm.algorithmName", "needs a cluster"),
    ("algorithm", algorithm("random", seed="1"), f"{S}[0].name", "no setting 'seed'"),
    ("algorithm", algorithm("random", random_state="-1"), f"{S}[0].value", "'-1' is not"),
    ("algorithm", algorithm("tpe", gamma="1"), f"{S}[0].value", "between 0 and 1"),
    ("algorithm", algorithm("tpe", n_startup_trials="few"), f"{S}[0].value", "'few'"),
    ("algorithm", algorithm("tpe", n_EI_candidates="2", n_ei_candidates="2"), S, ""),
    ("algorithm", algorithm("cmaes", restart_strategy="x"), f"{S}[0].value", "ipop"),
    ("algorithm", algorithm("cmaes", sigma="nan"), f"{S}[0].value", "greater than 0"),
    ("algorithm", algorithm("bayesianoptimization", acq_func="EIps"), f"{S}[0].value", ""),
    ("algorithm", algorithm("hyperband", r_l="9"), S, "resource_name"),
    ("algorithm", algorithm("hyperband", r_l="9", resource_name="n"), "spec.parallelTrialCount", "at least 9"),
    ("algorithm", algorithm("hyperband", r_l="9", resource_name="m"), S, "'m'"),
    ("algorithm", algorithm("hyperband", r_l="inf", resource_name="n"), f"{S}[0].value", ""),
    ("algorithm", algorithm("grid"), f"{F}.step", "grid tries every step"),
    ("earlyStopping", algorithm("hyper"), "spec.earlyStopping.algorithmName", "no algorithm"),
    ("earlyStopping", algorithm("medianstop", start_step="0"), "spec.earlyStopping.algorithmSettings[0].value", ""),
    ("earlyStopping", algorithm("medianstop", steps="2"), "spec.earlyStopping.algorithmSettings[0].name", "start_step"),
    ("parameters", REMOVED, "spec.parameters", "is missing"),
    ("parameters.0.name", "n", "spec.parameters[1].name", "another parameter"),
    ("parameters.0.type", "int", "spec.parameters[0].type", "no such field"),
    ("parameters", space("float", min="1", max="2"), "spec.parameters[0].parameterType", "not a type"),
    ("parameters", space("double"), F, "is missing"),
    ("parameters", space("double", min=1, max="2"), f"{F}.min", "must be a string"),
    ("parameters", space("double", min="1"), f"{F}.max", "is missing"),
    ("parameters", space("double", min="1", max="x"), f"{F}.max", "'x' is not a number"),
    ("parameters", space("double", min="1", max="1e999"), f"{F}.max", "not a number"),
    ("parameters", space("double", min="2", max="1"), f"{F}.max", "less than min"),
    ("parameters", space("double", min="1", max="2", step="0"), f"{F}.step", "than 0"),
    ("parameters", space("int", min="1", max="2.5"), f"{F}.max", "not an integer"),
    ("parameters", space("int", min="1", max="2", list=["1"]), f"{F}.list", "not for"),
    ("parameters", space("int", min="1", max="2", distribution="flat"), f"{F}.distribution", ""),
    ("parameters", space("int", min="1", max="2", distribution="normal"), f"{F}.distribution", "cluster"),
    ("parameters", space("double", min="-2", max="0", distribution="logUniform"), f"{F}.max", ""),
    ("parameters", space("double", min="1", max="2", step="1", distribution="logUniform"), f"{F}.step", ""),
    ("parameters", space("categorical", list=["a", "a"]), f"{F}.list[1]", "twice"),
    ("parameters", space("categorical", list=["a"], min="1"), f"{F}.min", "not for"),
    ("parameters", space("discrete", list=["1", "a"]), f"{F}.list[1]", "not a number"),
    ("parameters", space("discrete", list=[1]), f"{F}.list[0]", "must be a string"),
    ("trialTemplate", REMOVED, T, "is missing"),
    ("trialTemplate.configMap", {}, f"{T}.configMap", "needs a cluster"),
    ("trialTemplate.trialSpec", REMOVED, J, "is missing"),
    ("trialTemplate.primaryContainerName", "other", f"{T}.primaryContainerName", "no container 'other'"),
    ("trialTemplate.successCondition", "status.done", f"{T}.successCondition", "Complete or Failed"),
    ("trialTemplate.trialParameters", [], f"{T}.trialParameters", "is missing"),
    ("trialTemplate.trialParameters.0.reference", "y", f"{T}.trialParameters[0].reference", "'y'"),
    ("trialTemplate.trialParameters.0.name", "y", f"{T}.trialParameters[0].name", "not in the trialSpec"),
    ("trialTemplate.trialParameters.0.name", "n", f"{T}.trialParameters[1].name", "twice"),
    ("trialTemplate.trialParameters.0.reference", "${trialSpec.Uid}", f"{T}.trialParameters[0].reference", ""),
    (f"{CONTAINER}.args", ["${trialParameters.x}"], f"{T}.trialParameters[1].name", "'n'"),
    (f"{CONTAINER}.args.0", "${trialParameters.x}${trialParameters.z}", J, "z"),
    ("trialTemplate.trialSpec.kind", "PyTorchJob", f"{J}.kind", "need a cluster"),
    ("trialTemplate.trialSpec.metadata.name", "a", f"{J}.metadata.name", "omitted"),
    ("trialTemplate.trialSpec.spec.parallelism", 2, f"{J}.spec.parallelism", "must be 1"),
    ("trialTemplate.trialSpec.spec.suspend", True, f"{J}.spec.suspend", "needs a cluster"),
    ("trialTemplate.trialSpec.spec.backofLimit", 2, f"{J}.spec.backofLimit", "no such field"),
    ("trialTemplate.trialSpec.spec.backoffLimit", True, f"{J}.spec.backoffLimit", "whole"),
    ("trialTemplate.trialSpec.spec.template.spec.volumes", [], f"{J}.spec.template.spec.volumes", "cluster"),
    (f"{CONTAINER}.image", "python:3", f"{C}.image", "needs a cluster"),
    (f"{CONTAINER}.volumeMounts", [], f"{C}.volumeMounts", "cluster"),
    (f"{CONTAINER}.comand", [], f"{C}.comand", "no such field"),
    (f"{CONTAINER}.command", REMOVED, f"{C}.command", "missing"),
    (f"{CONTAINER}.command", "python", f"{C}.command", "a list"),
    (f"{CONTAINER}.command.0", 3, f"{C}.command[0]", "a string"),
    (f"{CONTAINER}.env", [{"name": "A", "value": 1}], f"{C}.env[0].value", ""),
    (f"{CONTAINER}.env", [{"name": "A", "valueFrom": {}}], f"{C}.env[0].valueFrom", ""),
    ("metricsCollectorSpec.collector", {"kind": "Custom"}, f"{M}.collector.kind", "needs a cluster"),
    ("metricsCollectorSpec.collector", {"kind": "stdout"}, f"{M}.collector.kind", "no collector"),
    ("metricsCollectorSpec.source.filter.metricsFormat", ["("], f"{M}.source.filter.metricsFormat[0]", "regular"),
    ("metricsCollectorSpec.source.filter.metricsFormat", ["(a)"], f"{M}.source.filter.metricsFormat[0]", "groups"),
    ("metricsCollectorSpec.source.fileSystemPath", {"path": "/a"}, f"{M}.source.fileSystemPath", "StdOut"),
    ("metricsCollectorSpec", of_file(path="/a/../b"), f"{M}.source.fileSystemPath.path", ""),
    ("metricsCollectorSpec", of_file(format="CSV"), f"{M}.source.fileSystemPath.format", ""),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where", "says"), REFUSED)
def test_what_is_not_valid_is_refused_with_its_path(path: str, value: Any, where: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        Experiments().check(experiment("a", changed(path, value)), None)
    assert refused.value.path == where, refused.value
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        spec(),
        spec(algorithm="tpe", settings={"n_EI_candidates": "20", "gamma": "0.3", "prior_weight": "1"}),
        spec(algorithm="cmaes", settings={"restart_strategy": "None", "sigma": "0.2"}),
        spec(algorithm="sobol"),
        spec(algorithm="bayesianoptimization", settings={"base_estimator": "RF", "acq_optimizer": "lbfgs"}),
        spec(algorithm="hyperband", settings={"resource_name": "n", "eta": "2", "r_l": "2"}, parallelTrialCount=2),
        spec(algorithm="grid", parameters=space("double", min="0", max="0.9", step="0.3"), maxTrialCount=16),
        spec(earlyStopping={"algorithmName": "medianstop"}, resumePolicy="FromVolume", maxFailedTrialCount=0),
        spec(parameters=space("int", min="0", max="9", distribution="logUniform")),
        spec(metricsCollectorSpec=of_file(format="JSON")),
        spec(metricsCollectorSpec={"collector": {"kind": "TensorFlowEvent"}}),
        changed(f"{CONTAINER}.image", "registry.example:5000/pantheon/workflow@sha256:0"),
        changed(f"{CONTAINER}.resources", {"limits": {"cpu": "0.5"}}),
        changed("trialTemplate.trialSpec.spec.template.metadata", {"annotations": {"a/b": "false"}}),
        changed("trialTemplate.retain", True),
    ],
)  # fmt: skip
def test_what_katib_takes_is_taken(given: Spec) -> None:
    Experiments().check(experiment("a", given), None)


def test_defaults_are_those_of_katib() -> None:
    given = spec(maxTrialCount=12)
    del given["parallelTrialCount"]
    read = plan.read(given)
    assert (read.parallel, read.limit, read.failures, read.resume) == (3, 12, None, "Never")
    assert read.objective.strategies == {"loss": "min"}
    assert plan.objective_of(
        {
            "type": "maximize",
            "objectiveMetricName": "f1",
            "additionalMetricNames": ["a"],
            "metricStrategies": [{"name": "a", "value": "latest"}],
        },
        "",
    ).strategies == {"f1": "max", "a": "latest"}
    assert plan.read(spec(earlyStopping={"algorithmName": "medianstop"})).early == {
        "min_trials_required": 3,
        "start_step": 4,
    }


@pytest.mark.parametrize("name", ["9a", "a" * 41, "a-"])
def test_names_that_katib_does_not_take(name: str) -> None:
    with pytest.raises(Refused, match="not a valid name"):
        Experiments().check(experiment(name, spec()), None)


def finished(given: Spec, reason: str) -> Spec:
    conditions = [{"type": "Succeeded", "status": "True", "reason": reason}] if reason else []
    return experiment("a", given) | {"status": {"trials": 4, "conditions": conditions}}


@pytest.mark.parametrize(
    ("before", "reason", "change", "refused"),
    [
        ("Never", "", {"maxTrialCount": 9, "parallelTrialCount": 2}, ""),
        ("Never", "", {"maxTrialCount": 4, "maxFailedTrialCount": 1}, "spec.maxTrialCount"),
        ("Never", "", {"objective": {"type": "maximize", "objectiveMetricName": "loss"}}, "spec.objective"),
        ("Never", "ExperimentMaxTrialsReached", {"maxTrialCount": 9}, "spec.resumePolicy"),
        ("LongRunning", "ExperimentMaxTrialsReached", {"maxTrialCount": 9}, ""),
        ("FromVolume", "ExperimentGoalReached", {"maxTrialCount": 9}, "spec.resumePolicy"),
        ("Never", "ExperimentGoalReached", {}, ""),
    ],
)
def test_only_counts_change_and_only_some_experiments_go_on(
    before: str, reason: str, change: Spec, refused: str
) -> None:
    given = spec(resumePolicy=before)
    check: Callable[[], None] = lambda: Experiments().check(  # noqa: E731
        experiment("a", given | change), finished(given, reason)
    )
    if not refused:
        check()
        return
    with pytest.raises(Refused) as error:
        check()
    assert error.value.path == refused


def test_placeholders_are_filled_with_values_and_what_a_trial_is() -> None:
    given = spec()
    given["trialTemplate"]["trialSpec"]["metadata"] = {"labels": {"team": "blue"}}
    container = given["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
    container["args"] += ["${trialParameters.name}/${trialParameters.team}", "${trialParameters.x}${trialParameters.x}"]
    given["trialTemplate"]["trialParameters"] += [
        {"name": "name", "reference": "${trialSpec.Name}"},
        {"name": "team", "reference": "${trialSpec.Labels[team]}"},
    ]
    plan.read(given)
    filled = template.fill(given["trialTemplate"], {"x": "0.5", "n": "${trialParameters.x}"}, "a-1", "ns")
    made = filled["spec"]["template"]["spec"]["containers"][0]
    assert made["args"] == ["0.5", "${trialParameters.x}", "a-1/blue", "0.50.5"]
    assert filled["metadata"] == {"labels": {"team": "blue"}, "name": "a-1", "namespace": "ns"}
    assert container["args"][0] == "${trialParameters.x}", "the template stays"


def test_a_command_refers_to_variables_and_to_the_place_of_its_metrics(tmp_path: Any) -> None:
    given = spec(job_spec={"backoffLimit": 2, "activeDeadlineSeconds": 9})["trialTemplate"]["trialSpec"]
    container = given["spec"]["template"]["spec"]["containers"][0]
    container["args"] = ["$(WHO) $$(WHO) $(NOBODY)", "--log=/katib/m.log"]
    container["env"] = [{"name": "WHO", "value": "ada"}, {"name": "LOG", "value": "/katib/m.log"}]
    made = jobs.command(given, tmp_path, Source("File", "/katib/m.log"), "spec")
    assert made.words[4:] == ["ada $(WHO) $(NOBODY)", f"--log={tmp_path}/katib/m.log"]
    assert made.environment == {"WHO": "ada", "LOG": f"{tmp_path}/katib/m.log"}
    assert (made.retries, made.deadline) == (2, 9.0)


def test_conditions_decide_what_a_failure_is() -> None:
    assert jobs.succeeded({}, 0) is True
    assert jobs.succeeded({}, 3) is False
    success, failure = jobs.DEFAULTS["successCondition"], jobs.DEFAULTS["failureCondition"]
    swapped = {"successCondition": failure, "failureCondition": success}
    assert jobs.succeeded(swapped, 0) is False
    assert jobs.succeeded(swapped, 3) is True
    same = changed("trialTemplate.successCondition", failure)
    with pytest.raises(Refused, match="successCondition"):
        plan.read(same)


def test_trials_of_users_are_checked_too() -> None:
    given = spec()
    made = {
        "objective": given["objective"],
        "parameterAssignments": [{"name": "x", "value": "1"}],
        "runSpec": template.fill(given["trialTemplate"], {"x": "1", "n": "2"}, "a-1", "default"),
        "primaryContainerName": "trial",
    }
    manifest = {"kind": "Trial", "metadata": {"name": "a-1"}, "spec": made}
    Trials().check(manifest, None)
    rule = {"name": "loss", "value": "low", "comparison": "less"}
    for change, path in (
        ({"runSpec": {}}, "spec.runSpec.kind"),
        ({"earlyStoppingRules": [rule]}, "spec.earlyStoppingRules[0].value"),
        ({"parameterAssignments": []}, "spec.parameterAssignments"),
        ({"run": {}}, "spec.run"),
    ):
        with pytest.raises(Refused) as refused:
            Trials().check({**manifest, "spec": made | change}, None)
        assert refused.value.path == path
    with pytest.raises(Refused, match="cannot be changed"):
        Trials().check(manifest, {**manifest, "spec": {}})
