"""What a TrainJob may say, and what its nodes get."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.trainer import environment
from pantheon.kubeflow.trainer.controller import TrainJobs, columns, slots_of_machine
from pantheon.kubeflow.trainer.plan import plan_of
from pantheon.kubeflow.trainer.runtimes import priorities, runtimes

HERE = {"image": "pantheon/workflow:dev", "command": ["python", "train.py"]}


@pytest.fixture(autouse=True)
def workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_ENVIRONMENT", "/opt/workflow")
    monkeypatch.delenv("TRAINER_SLOTS", raising=False)


def trainjob(runtime: str = "plainml-distributed", name: str = "fit", priority: str = "", **spec: Any) -> Any:
    labels = {"kueue.x-k8s.io/priority-class": priority} if priority else {}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"runtimeRef": {"name": runtime}, **spec},
    }


def trainer(**fields: Any) -> dict[str, Any]:
    return {"trainer": {**HERE, **fields}}


def patches(**pod: Any) -> dict[str, Any]:
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    patch = {"manager": "team.example/ops", "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}}}
    return {**trainer(), "runtimePatches": [patch]}


IN_PATCH = "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec"
WRONG: list[tuple[Any, str, str]] = [
    (trainjob(name="9lives"), "metadata.name", "must begin with a letter"),
    (trainjob("torch-distribute"), "spec.runtimeRef.name", "Did you mean torch-distributed?"),
    (trainjob("torch-distributed"), "spec.runtimeRef.name", "the image 'pytorch/pytorch"),
    (trainjob(**trainer(image="python:3.11")), "spec.trainer.image", "needs a cluster"),
    (trainjob(**trainer(image="example.com:5000/pantheon/workflow")), "spec.trainer.image", "needs a cluster"),
    (trainjob(), "spec.trainer.command", "is missing"),
    (trainjob(**trainer(command=[""])), "spec.trainer.command", "is missing"),
    (trainjob(**trainer(command=["a\0b"])), "spec.trainer.command[0]", "zero byte"),
    (trainjob(**trainer(args=["x"] * 129)), "spec.trainer.args", "at most 128"),
    (trainjob(**trainer(args="x")), "spec.trainer.args", "must be a list, not a string"),
    (trainjob(**trainer(numNode=2)), "spec.trainer.numNode", "Did you mean numNodes?"),
    (trainjob(**trainer(numNodes=-1)), "spec.trainer.numNodes", "from 0 to 256"),
    (trainjob(**trainer(numNodes="2")), "spec.trainer.numNodes", "must be a whole number, not a string"),
    (trainjob(**trainer(numNodes=200)), "spec.trainer.numNodes", "200 nodes need 200 slots"),
    (trainjob(**trainer(numProcPerNode="auto")), "spec.trainer.numProcPerNode", "must be a whole number"),
    (trainjob(**trainer(env=[{"name": "A"}, {"name": "A"}])), "spec.trainer.env[1].name", "is there twice"),
    (trainjob(**trainer(env=[{"name": "A=B"}])), "spec.trainer.env[0].name", "not the name of a variable"),
    (trainjob(**trainer(env=[{"value": "1"}])), "spec.trainer.env[0].name", "is missing"),
    (
        trainjob(**trainer(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
        "spec.trainer.env[0].valueFrom",
        "needs a cluster",
    ),
    (
        trainjob("torch-distributed", **trainer(env=[{"name": "PET_NNODES", "value": "9"}])),
        "spec.trainer.env[0].name",
        "PET_NNODES is reserved",
    ),
    (
        trainjob(**trainer(resourcesPerNode={"limits": {"nvidia.com/gpu": 1}})),
        "spec.trainer.resourcesPerNode.limits.nvidia.com/gpu",
        "needs a cluster",
    ),
    (
        trainjob(**trainer(resourcesPerNode={"requests": {"cpu": "two"}})),
        "spec.trainer.resourcesPerNode.requests.cpu",
        "'two' is not a quantity",
    ),
    (trainjob(**trainer(), initializer={"dataset": {"storageUri": "s3://a/b"}}), "spec.initializer.dataset", "cluster"),
    (trainjob(**trainer(), managedBy="kueue.x-k8s.io/multikueue"), "spec.managedBy", "needs a cluster"),
    (trainjob(**trainer(), podTemplateOverrides=[]), "spec.podTemplateOverrides", "there is no such field"),
    (trainjob(**trainer(), activeDeadlineSeconds=0), "spec.activeDeadlineSeconds", "from 1 to"),
    (trainjob(**trainer(), suspend="yes"), "spec.suspend", "must be true or false, not a string"),
    (trainjob(priority="urgent", **trainer()), "metadata.labels.kueue.x-k8s.io/priority-class", "Classes: high, low"),
    (trainjob(**patches(nodeSelector={"disk": "ssd"})), f"{IN_PATCH}.nodeSelector", "needs a cluster"),
    (trainjob(**patches(terminationGracePeriodSeconds=-1)), f"{IN_PATCH}.terminationGracePeriodSeconds", "from 0"),
    ({**trainjob(), "spec": {**trainer()}}, "spec.runtimeRef", "is missing"),
    (
        {**trainjob(), "spec": {"runtimeRef": {"name": "mine", "kind": "TrainingRuntime"}}},
        "spec.runtimeRef",
        "TrainingRuntime of trainer.kubeflow.org needs a cluster",
    ),
]


@pytest.mark.parametrize(("manifest", "path", "said"), WRONG, ids=[each[1] + ":" + each[2] for each in WRONG])
def test_what_is_not_valid_is_refused_with_its_path(manifest: Any, path: str, said: str) -> None:
    with pytest.raises(Refused) as error:
        TrainJobs().check(manifest, None)
    assert error.value.path == path
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["runtimeRef", "trainer", "managedBy", "activeDeadlineSeconds"])
def test_most_fields_cannot_be_changed(name: str) -> None:
    changes: dict[str, Any] = {
        "runtimeRef": {"name": "pantheon-workflow"},
        "trainer": {**HERE, "numNodes": 2},
        "managedBy": "trainer.kubeflow.org/trainjob-controller",
        "activeDeadlineSeconds": 5,
    }
    old = trainjob(**trainer())
    new = copy.deepcopy(old)
    new["spec"][name] = changes[name]
    with pytest.raises(Refused, match=rf"spec\.{name}: cannot be changed"):
        TrainJobs().check(new, old)


def test_suspending_resuming_and_what_may_change_meanwhile() -> None:
    jobs = TrainJobs()
    old = trainjob(**trainer())
    held = jobs.act(old, "suspend")
    assert held["spec"]["suspend"] is True and "suspend" not in old["spec"]
    jobs.check(held, old)
    assert jobs.act(held, "resume")["spec"]["suspend"] is False
    urgent = trainjob(priority="high", **trainer())
    with pytest.raises(Refused, match="only while the TrainJob is suspended"):
        jobs.check(urgent, old)
    jobs.check(urgent, held)
    patched = trainjob(**patches(terminationGracePeriodSeconds=3))
    with pytest.raises(Refused, match=r"spec\.runtimePatches: can be changed only while"):
        jobs.check(patched, old)
    jobs.check(patched, held)
    assert plan_of(patched).grace == 3


@pytest.mark.parametrize("type", ["Complete", "Failed"])
def test_a_finished_trainjob_stays_as_it_is(type: str) -> None:
    old = trainjob(**trainer())
    old["status"] = {"conditions": [{"type": type, "status": "True"}], "nodes": [{"name": "a", "state": "Succeeded"}]}
    with pytest.raises(Refused, match="the TrainJob fit is finished"):
        TrainJobs().act(old, "suspend")
    with pytest.raises(Refused, match="is finished"):
        TrainJobs().check(trainjob(**trainer(), suspend=True), old)
    assert columns(old)["STATE"] == type
    assert columns(old)["NODES"] == "1/1"


def test_the_runtimes_and_priorities_are_valid_and_name_images_that_are_here_or_kubeflows() -> None:
    ours = {"plainml-distributed", "pantheon-workflow"}
    assert ours | {"torch-distributed", "jax-distributed", "xgboost-distributed"} == set(runtimes())
    for name, runtime in runtimes().items():
        assert (runtime.container.image == "pantheon/workflow") is (name in ours)
        assert {mount.name for mount in runtime.container.volume_mounts} == {volume.name for volume in runtime.volumes}
    assert priorities()["low"] < priorities()["normal"] == 0 < priorities()["high"]


def test_nodes_of_torch_get_what_trainer_sets(tmp_path: Path) -> None:
    env = [{"name": "OUT", "value": "$(HOSTNAME)/$$(x)/$(UNKNOWN)"}]
    plan = plan_of(trainjob("torch-distributed", **trainer(numNodes=3, env=env, args=["--rank=$(PET_NODE_RANK)"])))
    command, values = environment.node(plan, "fit", 2, 29501, {})
    assert command == ["python", "train.py", "--rank=2"]
    assert values == {
        "JOB_COMPLETION_INDEX": "2",
        "HOSTNAME": "fit-node-0-2",
        "OUT": "fit-node-0-2/$(x)/$(UNKNOWN)",
        "PET_NNODES": "3",
        "PET_NPROC_PER_NODE": "1",
        "PET_NODE_RANK": "2",
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": "29501",
    }


def test_other_runtimes_have_variables_of_their_own() -> None:
    def of(runtime: str, **fields: Any) -> dict[str, str]:
        return environment.node(plan_of(trainjob(runtime, **trainer(numNodes=2, **fields))), "fit", 1, 7, {})[1]

    assert of("jax-distributed")["JAX_COORDINATOR_ADDRESS"] == "127.0.0.1:7"
    assert of("jax-distributed")["JAX_PROCESS_ID"] == "1"
    assert of("xgboost-distributed")["DMLC_NUM_WORKER"] == "2"
    plain = of("plainml-distributed")
    assert set(plain) == {"JOB_COMPLETION_INDEX", "HOSTNAME", "CHECKPOINT_DIR"}
    cpus = {"requests": {"cpu": "2500m", "memory": "1Gi"}}
    assert of("torch-distributed", resourcesPerNode=cpus)["PET_NPROC_PER_NODE"] == "2"
    assert plan_of(trainjob(**trainer(numNodes=2, resourcesPerNode=cpus))).slots == 6


def test_trainer_tells_nodes_nothing_if_the_trainjob_has_no_trainer() -> None:
    """As in Trainer, whose plugins look for the container only then."""
    assert "PET_NNODES" not in environment.node(plan_of(trainjob("pantheon-workflow")), "fit", 0, 7, {})[1]


def test_mounted_paths_are_folders_of_this_machine(tmp_path: Path) -> None:
    plan = plan_of(
        trainjob("pantheon-workflow", **{"trainer": {"args": ["--run", "x", "/pantheonesque", "a:/pantheon/b"]}})
    )
    places = environment.folders(plan, tmp_path / "job", tmp_path / "state")
    command, values = environment.node(plan, "fit", 0, 7, places)
    assert values["STATE_DIR"] == str(tmp_path / "state")
    assert values["CHECKPOINT_DIR"] == str(tmp_path / "job" / "volumes" / "checkpoints")
    assert command == ["python", "-P", "-m", "pantheon.shares", "--run", "x", "/pantheonesque", f"a:{tmp_path}/state/b"]


@pytest.mark.parametrize("text", ["0", "many", "-1"])
def test_slots_that_are_no_number_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TRAINER_SLOTS", text)
    with pytest.raises(Exception, match="is not a number of slots"):
        slots_of_machine()
