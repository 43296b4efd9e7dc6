"""TrainJobs with real nodes: they meet, fail, are suspended, give way to others, and outlive the service."""

import hashlib
import json
import shutil
import signal
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import yaml

from pantheon.kubeflow.client import Failed
from pantheon.kubeflow.controllers import MOST_ACTIVE
from pantheon.workflow.bundle.onnx_export import export
from pantheon.workflow.run import Run
from pantheon.workflow.training.matrix import Table
from tests.support.kubeflow import Service, ended
from tests.support.training import stages
from tests.support.waiting import until

VERSION = "trainer.kubeflow.org/v1alpha1"
IMAGE = "pantheon/workflow"
STEPS = 8
HEALTH_SECONDS = 3.0  # as in compose/kubeflow.yaml: then a check has failed

# Each node makes a chain of checksums, saves each one, and waits in the middle until it may go on.
CHAIN = """
import hashlib, os, pathlib, time
folder, rank = pathlib.Path(os.environ["CHECKPOINT_DIR"]), os.environ["JOB_COMPLETION_INDEX"]
file = folder / f"chain-{rank}"
chain = file.read_text().split() if file.exists() else [rank]
print("begins with", len(chain), flush=True)
while len(chain) <= STEPS:
    while len(chain) == 5 and not (folder / "go").exists():
        time.sleep(0.02)
    chain.append(hashlib.sha256(chain[-1].encode()).hexdigest())
    part = folder / f"part-{rank}"
    part.write_text(chr(10).join(chain))
    part.replace(file)
print("ends with", chain[-1])
""".replace("STEPS", str(STEPS))

# The first node listens at the address that Trainer names; the others call it.
MEETING = """
import os, socket, time
rank, nodes = int(os.environ["PET_NODE_RANK"]), int(os.environ["PET_NNODES"])
address = os.environ["PET_MASTER_ADDR"], int(os.environ["PET_MASTER_PORT"])
if rank == 0:
    with socket.create_server(address) as server:
        callers = [server.accept()[0] for _ in range(nodes - 1)]
        total = sum(int(caller.recv(9)) for caller in callers)
        for caller in callers:
            caller.sendall(str(total).encode())
            caller.close()
else:
    while True:
        try:
            caller = socket.create_connection(address)
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    caller.sendall(str(rank).encode())
    total = int(caller.recv(9))
print(f"node {rank} of {nodes}: {total}")
"""

# Node 1 fails the first times; the others would wait for ever.
FAILING = """
import os, pathlib, sys, time
folder, rank = pathlib.Path(os.environ["CHECKPOINT_DIR"]), os.environ["JOB_COMPLETION_INDEX"]
tries = len(list(folder.glob("try-*")))
if rank == "1":
    (folder / f"try-{tries}").touch()
    if tries < FAILURES:
        sys.exit(3)
    (folder / "over").touch()
while not (folder / "over").exists():
    time.sleep(0.02)
"""


def last(rank: int) -> str:
    """Return the end of a node's chain."""
    value = str(rank)
    for _ in range(STEPS):
        value = hashlib.sha256(value.encode()).hexdigest()
    return value


def trainjob(
    name: str, program: str, nodes: int = 2, runtime: str = "plainml-distributed", priority: str = ""
) -> bytes:
    metadata: dict[str, Any] = {"name": name}
    if priority:
        metadata["labels"] = {"kueue.x-k8s.io/priority-class": priority}
    trainer = {"image": IMAGE, "command": ["python", "-c"], "args": [program], "numNodes": nodes}
    spec = {"runtimeRef": {"name": runtime}, "trainer": trainer}
    return yaml.safe_dump({"apiVersion": VERSION, "kind": "TrainJob", "metadata": metadata, "spec": spec}).encode()


class Trainer:
    """The service, and what the tests ask of it."""

    def __init__(self, service: Service) -> None:
        self.service, self.client = service, service.client

    def start(self) -> None:
        self.service.start(WORKFLOW_ENVIRONMENT=sys.prefix, TRAINER_SLOTS="3")

    def checkpoints(self, name: str) -> Path:
        folders = list(
            (self.service.state / "kubeflow" / "work").glob(f"default/trainjobs/{name}-*/volumes/checkpoints")
        )
        return folders[0] if folders else self.service.state / "nothing"

    def until_middle(self, name: str, nodes: int = 2) -> None:
        """Wait until all nodes of a chain wait in the middle."""

        def there() -> bool:
            chains = [self.checkpoints(name) / f"chain-{rank}" for rank in range(nodes)]
            return all(chain.exists() and len(chain.read_text().split()) == 5 for chain in chains)

        until(there, what=f"{name} is in the middle")

    def go(self, name: str) -> None:
        (self.checkpoints(name) / "go").touch()

    def wait(self, name: str, *types: str) -> dict[str, Any]:
        found = self.client.wait("trainjobs", name, lambda each: ended(each, *types), 90)
        assert found, self.client.get("trainjobs", name)["status"]
        return found

    def finished(self, name: str) -> dict[str, Any]:
        """Wait until a chain is complete, and check its result: that of one that was never stopped."""
        found = self.wait(name, "Complete", "Failed")
        assert ended(found, "Complete"), found["status"]
        for rank in range(found["spec"]["trainer"]["numNodes"]):
            assert self.log(name, rank).endswith(f"ends with {last(rank)}\n")
        return found

    def log(self, name: str, rank: int) -> str:
        return self.client.log("trainjobs", name, f"{name}-node-0-{rank}.log")[0].decode()


def condition(found: dict[str, Any], type: str) -> tuple[str, str, str]:
    (each,) = [each for each in found["status"]["conditions"] if each["type"] == type]
    return each["status"], each["reason"], each["message"]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    service = Service(tmp_path_factory.mktemp("trainer") / "state", "pantheon.kubeflow")
    made = Trainer(service)
    made.start()
    yield made
    assert service.end(signal.SIGTERM) == 0, service.output
    assert "Traceback" not in service.output, service.output
    until(lambda: not service.children(), what="no node is left")


def test_nodes_meet_at_the_address_that_they_are_told(trainer: Trainer) -> None:
    trainer.client.apply(trainjob("meet", MEETING, 3, "torch-distributed"))
    found = trainer.wait("meet", "Complete", "Failed")
    assert condition(found, "Complete") == ("True", "AllJobsCompleted", "jobset completed successfully")
    assert found["status"]["jobsStatus"] == [
        {"name": "node", "ready": 1, "succeeded": 1, "failed": 0, "active": 0, "suspended": 0}
    ]
    assert [trainer.log("meet", rank).splitlines()[-1] for rank in range(3)] == [
        f"node {rank} of 3: 3" for rank in range(3)
    ]
    (row,) = trainer.client.table("trainjob", "meet", "default")["rows"]
    assert row["columns"] == {"STATE": "Complete", "NODES": "3/3", "RUNTIME": "torch-distributed", "PRIORITY": ""}


def test_all_nodes_start_again_after_one_failed_as_often_as_the_runtime_says(trainer: Trainer) -> None:
    trainer.client.apply(trainjob("once", FAILING.replace("FAILURES", "1")))
    trainer.client.apply(trainjob("always", FAILING.replace("FAILURES", "99")))
    found = trainer.wait("once", "Complete", "Failed")
    assert (ended(found, "Complete"), found["status"]["restarts"]) == (True, 1)
    assert trainer.log("once", 0).count("starts") == 2, "the node that did not fail was stopped and started, too"
    found = trainer.wait("always", "Complete", "Failed")
    status, reason, message = condition(found, "Failed")
    assert (status, reason, found["status"]["restarts"]) == ("True", "ReachedMaxRestarts", 3)
    assert message.endswith("(first failed job: always-node-0: always-node-0-1 exited with 3)")
    assert found["status"]["jobsStatus"][0]["failed"] == 1
    assert "try-4" not in [path.name for path in trainer.checkpoints("always").iterdir()]


def test_a_job_that_is_suspended_and_resumed_has_the_same_result(trainer: Trainer) -> None:
    trainer.client.apply(trainjob("held", CHAIN))
    trainer.until_middle("held")
    trainer.client.act("trainjobs", "held", "suspend")
    found = trainer.wait("held", "Suspended")
    assert condition(found, "Suspended") == ("True", "Suspended", "TrainJob is suspended")
    assert found["status"]["jobsStatus"][0]["suspended"] == 1
    trainer.go("held")
    trainer.client.act("trainjobs", "held", "resume")
    found = trainer.finished("held")
    assert condition(found, "Suspended") == ("False", "Resumed", "TrainJob is resumed")
    assert [line for line in trainer.log("held", 0).splitlines() if line.startswith("begins")] == [
        "begins with 1",
        "begins with 5",
    ]
    with pytest.raises(Failed, match="the TrainJob held is finished"):
        trainer.client.act("trainjobs", "held", "suspend")


def test_a_job_gives_way_to_a_higher_priority_and_has_the_same_result(trainer: Trainer) -> None:
    client = trainer.client
    client.apply(trainjob("low", CHAIN, priority="low"))
    trainer.until_middle("low")
    client.apply(trainjob("same", CHAIN, priority="low"))  # waits: one slot is left
    found = trainer.wait("same", "Suspended")
    assert condition(found, "Suspended")[2] == "TrainJob is suspended until it has 2 of 3 slots (1 free)"
    client.apply(trainjob("urgent", CHAIN, priority="high"))
    trainer.until_middle("urgent")
    found = trainer.wait("low", "Suspended")
    assert condition(found, "Suspended")[2] == "TrainJob is suspended: default/urgent has a higher priority"
    assert not any(node["state"] == "Running" for node in found["status"]["nodes"])
    trainer.go("urgent")
    trainer.finished("urgent")
    until(lambda: not ended(client.get("trainjobs", "low"), "Suspended"), what="low runs again, before same")
    assert ended(client.get("trainjobs", "same"), "Suspended")
    trainer.go("low")
    assert condition(trainer.finished("low"), "Suspended")[:2] == ("False", "Resumed")
    trainer.until_middle("same")
    trainer.go("same")
    trainer.finished("same")


def test_a_job_goes_on_after_a_kill_of_the_service(trainer: Trainer) -> None:
    trainer.client.apply(trainjob("killed", CHAIN))
    trainer.until_middle("killed")
    trainer.client.apply(trainjob("a-waiting", CHAIN))  # its thread is the first one after the start
    trainer.wait("a-waiting", "Suspended")
    assert trainer.service.end(signal.SIGKILL) == -signal.SIGKILL
    trainer.start()
    trainer.go("killed")
    assert trainer.finished("killed")["status"]["restarts"] == 0
    trainer.until_middle("a-waiting")
    trainer.client.delete("trainjobs", "a-waiting")
    until(lambda: not trainer.checkpoints("a-waiting").exists(), what="nothing is left of a deleted TrainJob")


def test_a_job_that_takes_too_long_fails(trainer: Trainer) -> None:
    manifest = yaml.safe_load(trainjob("late", CHAIN))
    manifest["spec"]["activeDeadlineSeconds"] = 1
    trainer.client.apply(yaml.safe_dump(manifest).encode())
    found = trainer.wait("late", "Complete", "Failed")
    assert condition(found, "Failed") == ("True", "DeadlineExceeded", "TrainJob exceeded its active deadline")


def test_as_many_jobs_as_are_possible_wait_and_the_service_stays_healthy(trainer: Trainer) -> None:
    client, late = trainer.client, []
    over = threading.Event()

    def ask_for_health() -> None:
        while not over.is_set():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{trainer.service.port}/healthz", timeout=HEALTH_SECONDS):
                    pass
            except OSError as error:
                late.append(error)

    asking = threading.Thread(target=ask_for_health)
    asking.start()
    try:
        names = [f"many-{number}" for number in range(MOST_ACTIVE)]
        for some in (names[:100], names[100:200], names[200:]):
            client.apply(b"---\n".join(trainjob(name, CHAIN, 1) for name in some))
        with pytest.raises(Failed, match="256 objects are not finished") as refused:
            client.apply(trainjob("one-more", CHAIN, 1))
        assert refused.value.code == 429

        def states() -> Counter[str]:
            return Counter(row["columns"]["STATE"] for row in client.table("trainjobs", namespace="default")["rows"]
                           if row["name"].startswith("many-"))  # fmt: skip

        until(
            lambda: states() == {"Running": 3, "Suspended": MOST_ACTIVE - 3}, what="three have slots, the others wait"
        )
        for name in names:
            client.delete("trainjobs", name)
        until(lambda: not states(), 120, what="all are deleted")
    finally:
        over.set()
        asking.join()
    assert not late, late


def test_the_forests_of_a_run_are_those_of_a_single_process(
    trainer: Trainer, bundled: Callable[..., Run], tmp_path: Path
) -> None:
    one = bundled("wine", rows=400)
    stages(one, "preprocess", "feature_engineering", "feature_selection")
    both = Run(trainer.service.state / "runs" / one.id)
    shutil.copytree(one.folder, both.folder)
    stages(one, "train")
    spec = {"runtimeRef": {"name": "pantheon-workflow"}, "trainer": {"args": ["--run", both.id], "numNodes": 2}}
    manifest = {"apiVersion": VERSION, "kind": "TrainJob", "metadata": {"name": "forest"}, "spec": spec}
    trainer.client.apply(json.dumps(manifest).encode())
    found = trainer.wait("forest", "Complete", "Failed")
    assert ended(found, "Complete"), (found["status"], trainer.log("forest", 0), trainer.log("forest", 1))
    assert "random_forest: trees 0 to 3 of 64 are fitted" in trainer.log("forest", 0)
    assert "random_forest: trees 60 to 63 of 64 are fitted" in trainer.log("forest", 1)
    X = Table.load(one.path("features/train.npz")).X
    for path in one.path("candidates").glob("*.joblib"):
        same = joblib.load(both.path("candidates") / path.name)
        np.testing.assert_array_equal(joblib.load(path).predict(X), same.predict(X))
    forests = [export(joblib.load(run.path("candidates/random_forest.joblib"))) for run in (one, both)]
    assert forests[0].SerializeToString() == forests[1].SerializeToString(), "the same bytes are served"
    assert both.records()["train"].state == "done"
    assert not list(trainer.checkpoints("forest").glob("*/trees-*")), "only the plan is left"
