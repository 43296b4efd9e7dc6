"""An order from the dashboard to the published model, with Kubeflow's real service, git and DVC, and kill -9."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pantheon.dashboard.orders import Orders, read_order
from pantheon.engines.local import environments
from pantheon.store import FolderStore
from pantheon.versioning import launch
from tests.support import ROOT
from tests.support.git_server import GitServer, git, git_server, repository
from tests.support.kubeflow import Service
from tests.support.waiting import until

ENVIRONMENTS = ROOT / ".pantheon" / "envs"
SECONDS = 400.0
EXTENSION = """from pantheon.workflow.extensions import feature


@feature("rooms_by_age")
def rooms_by_age(columns):
    return columns["rooms"] / (columns["age"] + 1)
"""


@pytest.fixture(scope="module", autouse=True)
def made_environments() -> None:
    environments.make(["kubeflow", "workflow", "dvc"])


class Ordering:
    """Kubeflow's service, the service that carries orders out, and the repositories that orders name."""

    def __init__(self, state: Path, server: GitServer, work: Path) -> None:
        self.state, self.server, self.log = state, server, state / "orders.log"
        self.kubeflow = Service(state, "pantheon.kubeflow", str(ENVIRONMENTS / "kubeflow/bin/python"))
        self.folder = state / "volumes" / "orders"
        self.orders = Orders(self.folder)
        self.process: subprocess.Popen[bytes] | None = None
        files = {"params.yaml": "train: {seed: 3, trials: 1, folds: 2}\n", "extensions/own.py": EXTENSION}
        self.model = repository(server.root, "private", files, work / "model")
        self.data = self.data_repository(work / "data")
        secret = state / "secrets" / "orders" / "git"
        secret.parent.mkdir(parents=True)
        host = server.address.partition("//")[2]
        secret.write_text(f"host={host}\nusername={server.user}\npassword={server.password}\n")
        secret.chmod(0o600)

    def data_repository(self, folder: Path) -> str:
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main", ".")
        rows = (f"{at % 7},{at % 31},{at % 7 * 30 - at % 31 + at % 3}\n" for at in range(400))
        (folder / "houses.csv").write_text("rooms,age,price\n" + "".join(rows))
        for words in (["init"], ["add", "houses.csv"], ["remote", "add", "-d", "here", str(self.server.root / "dvc")]):
            self.dvc(folder, *words)
        self.dvc(folder, "push")
        self.dvc(folder, "remote", "modify", "here", "url", f"{self.server.address}/dvc")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "Data")
        git(self.server.root, "clone", "-q", "--bare", str(folder), "data.git")
        return git(folder, "rev-parse", "HEAD")

    def dvc(self, folder: Path, *words: str) -> None:
        given = {**os.environ, "DVC_NO_ANALYTICS": "1", "HOME": str(folder)}
        done = subprocess.run(
            [launch.program(os.environ), *words, "-q"], cwd=folder, env=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start both services."""
        self.kubeflow.start(WORKFLOW_ENVIRONMENT=str(ENVIRONMENTS / "workflow"))
        self.start_orders()

    def start_orders(self) -> None:
        given = {
            **os.environ, "PYTHONPATH": str(ROOT), "STATE_DIR": str(self.state), "ORDERS_DIR": str(self.folder),
            "SECRETS_DIR": str(self.state / "secrets"), "KUBEFLOW_URL": f"http://127.0.0.1:{self.kubeflow.port}",
            "KUBEFLOW_KEY_FILE": str(self.kubeflow.key), "WORKFLOW_ENVIRONMENT": str(ENVIRONMENTS / "workflow"),
            "DVC_ENVIRONMENT": str(ENVIRONMENTS / "dvc"),
        }  # fmt: skip
        command = [str(ENVIRONMENTS / "kubeflow/bin/python"), "-P", "-m", "pantheon.dashboard.carry"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=given, cwd=self.state, stdout=log, stderr=log, start_new_session=True
            )

    def kill_orders(self) -> None:
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def place(self, key: str, called: str = "", **data: str) -> str:
        order = {
            "model": {"url": f"{self.server.address}/private.git", "commit": self.model, "credentials": "git"},
            "data": {
                "url": f"{self.server.address}/data.git", "commit": self.data, "path": "houses.csv", "target": "price"
            } | data,
            "params": {"approval": "auto"}, "name": called,
        }  # fmt: skip
        return self.orders.place(key, "ann", read_order(json.dumps(order).encode()))[0].id

    def reach(self, id: str, *states: str) -> Any:
        until(lambda: self.orders.record(id).state in states, SECONDS, what=f"the order is {states}")
        return self.orders.record(id)


@pytest.fixture(scope="module")
def ordering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordering]:
    root = tmp_path_factory.mktemp("served")
    with git_server(root) as server:
        made = Ordering(tmp_path_factory.mktemp("state"), server, tmp_path_factory.mktemp("work"))
        made.start()
        yield made
        made.kill_orders()
        made.kubeflow.end(signal.SIGTERM)


def test_an_order_becomes_a_model_in_spite_of_kills_and_names_who_ordered_it(ordering: Ordering) -> None:
    server, orders = ordering.server, ordering.orders
    server.open.clear()  # the repositories answer slowly
    id = ordering.place("first")
    until(lambda: server.asked, what="the repositories are asked")
    ordering.kill_orders()
    server.open.set()
    ordering.start_orders()
    record = ordering.reach(id, "running", "failed")
    assert record.state == "running", record
    client = ordering.kubeflow.client
    until(lambda: client.get("pipelineruns", record.run)["status"].get("steps"), what="its steps run")
    ordering.kubeflow.end(signal.SIGKILL)
    ordering.kill_orders()
    ordering.start()
    record = ordering.reach(id, "done", "failed")
    assert record.state == "done", (record, ordering.log.read_text(), ordering.kubeflow.output)
    assert [each["metadata"]["name"] for each in client.list("pipelineruns")] == [f"order-{id}"]
    assert client.changes()[-1]["by"] == "ann"

    assert (record.result["model"], record.result["decision"], record.result["by"]) == ("houses", "promoted", "ann")
    store = FolderStore(ordering.state / "models")
    (version,) = store.list("houses")
    assert version.version == record.result["version"]
    assert version.metadata["order"] == {"id": id, "by": "ann"}
    lineage = json.loads((ordering.state / "models" / "houses" / version.version / "lineage.json").read_text())
    assert lineage["order"]["by"] == "ann"
    assert lineage["order"]["data_commit"] == ordering.data and lineage["order"]["model_commit"] == ordering.model
    assert list(lineage["code"]["extensions"]) == ["own.py"], "the code of the model repository"
    assert (lineage["parameters"]["seed"], lineage["parameters"]["trials"]) == (3, 1), "its parameters"
    assert "Ordered by ann" in (ordering.state / "models" / "houses" / version.version / "card.md").read_text()

    assert orders.unfinished() == []
    assert not list((ordering.state / "data" / "orders").glob("[!.]*")), "the copy of the data is gone"
    assert not (ordering.folder / id / "sources").exists()
    for path in ordering.state.rglob("*"):
        if path.is_file() and "secrets" not in path.parts:
            assert server.password.encode() not in path.read_bytes(), path


def test_an_order_that_cannot_be_run_fails_with_the_reason_and_publishes_nothing(ordering: Ordering) -> None:
    wrong = {
        "houses.csv has no target 'prize'.": ordering.place("no-column", called="new", target="prize"),
        "the data repository has no file rooms.csv": ordering.place("no-file", path="rooms.csv"),
        "the data repository has no commit 0123456": ordering.place("no-commit", commit="0123456"),
    }
    for said, id in wrong.items():
        record = ordering.reach(id, "failed", "done")
        assert record.state == "failed" and record.reason.startswith(said)
    column = ordering.orders.record(next(iter(wrong.values())))
    assert column.cure == "Did you mean 'price'? Correct data.target, or add a spec to the data repository."
    assert not list((ordering.state / "data").glob("new*")), "nothing is left of a dataset that cannot be read"
    names = [each["metadata"]["name"] for each in ordering.kubeflow.client.list("pipelineruns")]
    assert not [id for id in wrong.values() if f"order-{id}" in names]


def test_a_run_that_is_deleted_ends_its_order(ordering: Ordering) -> None:
    id = ordering.place("deleted")
    record = ordering.reach(id, "running")
    ordering.kubeflow.client.delete("pipelineruns", record.run)
    assert ordering.reach(id, "failed", "done").reason == f"its pipeline run order-{id} was deleted."
