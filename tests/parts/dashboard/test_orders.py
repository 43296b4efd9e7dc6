"""Orders with real repositories: git over HTTP, with and without a password, and data from a DVC remote."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pantheon.dashboard.orders import DataSource, ModelSource, Order, Orders, Prepared, Progress
from pantheon.dashboard.sources import Fetcher
from pantheon.engines.local import environments
from pantheon.versioning import launch
from tests.support import DATASETS
from tests.support.git_server import GitServer, git, git_server, repository
from tests.support.ports import free_ports

WINE = "alcohol,quality\n9.4,5\n9.8,6\n"
EXTENSION = "from pantheon.workflow.extensions import feature\n"


@pytest.fixture(scope="module", autouse=True)
def made_environments() -> None:
    environments.make(["dvc"])


class Pipeline:
    """Takes the order's files, as the pipeline would."""

    def __init__(self) -> None:
        self.taken: dict[str, Any] = {}

    def start(self, prepared: Prepared) -> str:
        self.taken = {
            "data": prepared.data.read_text(),
            "spec": prepared.spec.read_text() if prepared.spec else "",
            "extensions": sorted(path.name for path in (prepared.model / "extensions").glob("*.py")),
        }
        return "run"

    def progress(self, run: str) -> Progress:
        return Progress(said="done", ended=True, result={"version": "v1"})


class Place:
    """Repositories, and the orders that name them."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.folder, self.server, self.pipeline = folder, server, Pipeline()
        files = {"params.yaml": "train: {seed: 3}\n", "extensions/own.py": EXTENSION}
        self.model = repository(server.root, "model", files, folder / "model")
        repository(server.root, "private", files, folder / "private")
        data = folder / "data"
        data.mkdir()
        git(data, "init", "-q", "-b", "main", ".")
        (data / "wine.csv").write_text(WINE)
        self.dvc("init", "-q")
        self.dvc("add", "-q", "wine.csv")
        remote = "[core]\n    remote = here\n['remote \"here\"']\n    url = "
        (data / ".dvc" / "config").write_text(f"{remote}{server.root / 'dvc'}\n")
        self.dvc("push", "-q")
        (data / ".dvc" / "config").write_text(f"{remote}{server.address}/dvc\n")
        (data / "small.csv").write_text("in git\n")
        (data / "lost.csv.dvc").write_text((data / "wine.csv.dvc").read_text().replace("md5: ", "md5: 0", 1))
        (data / "wine.toml").write_text((DATASETS / "wine.toml").read_text())
        (data / "out.csv").symlink_to("/etc/hostname")
        git(data, "add", "-A")
        git(data, "commit", "-q", "-m", "Data")
        git(server.root, "clone", "-q", "--bare", str(data), "data.git")
        self.data = git(data, "rev-parse", "HEAD")
        secrets = folder / "secrets"
        secrets.mkdir()
        for name, password in (("git", server.password), ("wrong", "guess")):
            (secrets / name).write_text(f"username={server.user}\npassword={password}\n")
            (secrets / name).chmod(0o600)
        self.orders = Orders(folder / "orders", Fetcher(secrets, folder / "home"), self.pipeline)
        self.count = 0

    def dvc(self, *words: str) -> None:
        environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "HOME": str(self.folder / "home of ada")}
        done = subprocess.run(
            [launch.program(os.environ), *words],
            cwd=self.folder / "data",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def order(self, model: str = "model", model_commit: str = "", credentials: str = "", **data: str) -> Any:
        """Order and carry out; the record."""
        self.count += 1
        asked = Order(
            model=ModelSource(
                url=f"{self.server.address}/{model}.git" if "://" not in model else model,
                commit=model_commit or self.model,
                credentials=credentials,
            ),
            data=DataSource(
                **{"url": f"{self.server.address}/data.git", "commit": self.data, "path": "wine.csv", **data}
            ),
        )
        placed, _ = self.orders.place(f"key {self.count}".replace(" ", "-"), "ada", msgspec.json.encode(asked))
        record = self.orders.carry_out(placed.id)
        assert self.server.password not in "".join(
            path.read_text(errors="replace") for path in (self.orders.folder / placed.id).rglob("*") if path.is_file()
        )
        return record


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("served")
    with git_server(root) as server:
        yield Place(tmp_path_factory.mktemp("orders"), server)


def test_data_comes_from_dvc_and_code_from_git(place: Place) -> None:
    record = place.order(spec="wine.toml", commit=place.data[:10])
    assert record.state == "done", record
    assert record.commits == {"model": place.model, "data": place.data}
    assert (record.params["seed"], record.result["by"]) == (3, "ada")
    assert place.pipeline.taken["data"] == WINE
    assert place.pipeline.taken["spec"] == (DATASETS / "wine.toml").read_text()
    assert place.pipeline.taken["extensions"] == ["own.py"]


def test_data_may_be_in_git_itself(place: Place) -> None:
    assert place.order(path="small.csv").state == "done"
    assert place.pipeline.taken["data"] == "in git\n"


def test_a_private_repository_needs_a_file_with_credentials(place: Place) -> None:
    commit = git(place.folder / "private", "rev-parse", "HEAD")
    record = place.order("private", commit)
    assert record.reason.startswith("the model repository refuses access")
    assert record.cure == "Name a file with credentials in model.credentials."
    assert place.order("private", commit, "wrong").reason.startswith("the model repository refuses access")
    assert place.order("private", commit, "missing").reason == (
        "model.credentials: there is no file 'missing' in secrets/orders."
    )
    assert place.order("private", commit, "git").state == "done"


def test_what_is_not_there_is_said_before_anything_starts(place: Place) -> None:
    place.pipeline.taken = {}
    (port,) = free_ports(1)
    wrong = {
        f"the model repository does not answer: http://127.0.0.1:{port}/x.git": place.order(
            f"http://127.0.0.1:{port}/x.git"
        ),
        "the model repository cannot be read": place.order("other"),
        "the model repository has no commit 0123456": place.order(model_commit="0123456"),
        "the data repository has no file none.csv": place.order(path="none.csv"),
        "DVC cannot get lost.csv of the data repository": place.order(path="lost.csv"),
        "data.path: 'out.csv' is not a path in the repository": place.order(path="out.csv"),
        "the data repository has no file none.toml": place.order(spec="none.toml"),
    }
    for said, record in wrong.items():
        assert record.state == "failed"
        assert said in record.reason
        assert "Traceback" not in record.reason
    assert not place.pipeline.taken
    assert not list(place.orders.folder.rglob("*.part"))
