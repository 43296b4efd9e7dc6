"""The stage train as a TrainJob, whose nodes share the trees of the forests; see ``pantheon.shares``.

The first node runs the stage, with the outputs that it has at every tier. The TrainJob has the name of the run, so a
step that is repeated finds it, and goes on with the trees that are fitted.
"""

import json
import time
from datetime import datetime
from typing import Any

from pantheon.errors import PantheonError
from pantheon.kubeflow import owned
from pantheon.kubeflow.client import Failed, Kubeflow
from pantheon.kubeflow.contract import Object
from pantheon.kubeflow.trainer.controller import COMPLETE, FAILED, slots_of_machine
from pantheon.workflow import graph
from pantheon.workflow.run import Run

STAGE = "train"
KIND = "trainjobs"
RUNTIME = "pantheon-workflow"
POLL_SECONDS = 0.1
GONE_SECONDS = 60.0  # for the nodes of an earlier TrainJob to end
WRONG_INPUT = 2  # exit status of a node: repeating it cannot help


def train(run: Run) -> None:
    """Run the stage; it is recorded as done afterwards.

    Raises:
        PantheonError: the TrainJob failed, or Kubeflow's service does not answer.
    """
    client, namespace = Kubeflow.here(owned.by() or "workflow"), owned.namespace()
    wanted = trainjob(run, min(run.params.threads, slots_of_machine()))
    name = wanted["metadata"]["name"]
    before = _find(client, name, namespace)
    done = before and _ended(before, COMPLETE) and STAGE in graph.finished(run)
    if before and (_owner(before) != _owner(wanted) or (_ended(before, COMPLETE, FAILED) and not done)):
        client.gone(KIND, client.delete(KIND, name, namespace), GONE_SECONDS, POLL_SECONDS)
    client.apply(json.dumps(wanted).encode(), namespace)  # of one that is complete or runs, nothing changes
    print(f"the TrainJob {name}: {wanted['spec']['trainer']['numNodes']} nodes", flush=True)
    while not _ended(found := client.get(KIND, name, namespace), COMPLETE, FAILED):
        time.sleep(POLL_SECONDS)
    for log in client.logs(KIND, name, namespace):
        text, _ = client.log(KIND, name, log["name"], 0, namespace)
        print(f"== {log['name']}\n{text.decode(errors='replace')}", end="", flush=True)
    if _ended(found, FAILED):
        raise failure(run, found)


def trainjob(run: Run, nodes: int) -> Object:
    """Return the manifest that a cluster with the same runtime takes, too."""
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": f"train-{run.id}", "labels": owned.labels(run.id)},
        "spec": {"runtimeRef": {"name": RUNTIME}, "trainer": {"numNodes": nodes, "args": ["--run", run.id]}},
    }


def failure(run: Run, found: Object) -> PantheonError:
    """Return why a TrainJob failed: the stage's own reason, if it had one."""
    name, status = found["metadata"]["name"], found["status"]
    cure = f"Look at it: `bin/pantheon describe trainjob {name} -n {found['metadata']['namespace']}`"
    record = run.records().get(STAGE)
    made = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
    if record and record.state == "failed" and datetime.fromisoformat(record.started) >= made:
        wrong = any(node.get("exitCode") == WRONG_INPUT for node in status.get("nodes", []))
        return PantheonError(record.error, cure, 2 if wrong else 1)
    said = next(each["message"] for each in status["conditions"] if each["type"] == FAILED)
    return PantheonError(f"the TrainJob {name} failed: {said}.", cure, 1)


def _find(client: Kubeflow, name: str, namespace: str) -> Object | None:
    try:
        return client.get(KIND, name, namespace)
    except Failed as error:
        if error.code == 404:
            return None
        raise


def _ended(found: Object, *types: str) -> bool:
    conditions: list[dict[str, Any]] = found["status"].get("conditions", [])
    return any(each["type"] in types and each["status"] == "True" for each in conditions)


def _owner(found: Object) -> str:
    return str((found["metadata"].get("labels") or {}).get(owned.LABEL, ""))
