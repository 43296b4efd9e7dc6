"""Orders with real repositories: git over HTTP, with and without a password, and data from a DVC remote."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pantheon.dashboard.carrying import Carrier, Prepared, Progress
from pantheon.dashboard.orders import DataSource, ModelSource, Order, Orders, Placed, read_order
from pantheon.dashboard.sources import Fetcher
from pantheon.engines.local import environments
from pantheon.versioning import launch
from tests.support import DATASETS
from tests.support.git_server import GitServer, git, git_server, repository
from tests.support.ports import free_ports

WINE = "alcohol,quality\n9.4,5\n9.8,6\n"
TABLE = "alcohol,quality\n1.5,2\n"
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

    def progress(self, placed: Placed) -> Progress:
        return Progress(said="done", ended=True, result={"version": "v1"})

    def clear(self, placed: Placed) -> None:
        pass


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
        (data / "tables" / "2024").mkdir(parents=True)
        (data / "tables" / "2024" / "wine.csv").write_text(TABLE)
        (data / "tables" / "other.csv").write_text("a\n")
        self.dvc("init", "-q")
        self.dvc("add", "-q", "wine.csv", "tables")
        remote = "[core]\n    remote = here\n['remote \"here\"']\n    url = "
        (data / ".dvc" / "config").write_text(f"{remote}{server.root / 'dvc'}\n")
        self.dvc("push", "-q")
        (data / ".dvc" / "config").write_text(f"{remote}{server.address}/dvc\n")
        (data / "private" / ".dvc").mkdir(parents=True)
        (data / "private" / ".dvc" / "config").write_text(f"{remote}{server.address}/private-dvc\n")
        (data / "private" / "wine.csv.dvc").write_text((data / "wine.csv.dvc").read_text())
        (data / "small.csv").write_text("in git\n")
        (data / "lost.csv.dvc").write_text(
            re.sub(r"md5: \w{32}", f"md5: {'a' * 32}", (data / "wine.csv.dvc").read_text())
        )
        (data / "wine.toml").write_text((DATASETS / "wine.toml").read_text())
        (data / "out.csv").symlink_to("/etc/hostname")
        git(data, "add", "-A")
        git(data, "commit", "-q", "-m", "Data")
        git(server.root, "clone", "-q", "--bare", str(data), "data.git")
        self.data = git(data, "rev-parse", "HEAD")
        secrets = folder / "secrets"
        secrets.mkdir()
        host = server.address.partition("//")[2]
        for name, password, at in (
            ("git", server.password, host),
            ("wrong", "guess", host),
            ("other", server.password, "git.example.com"),
        ):
            (secrets / name).write_text(f"host={at}\nusername={server.user}\npassword={password}\n")
            (secrets / name).chmod(0o600)
        (secrets / "open").write_text((secrets / "git").read_text())
        (secrets / "open").chmod(0o644)
        self.orders = Orders(folder / "orders")
        self.carrier = Carrier(self.orders, Fetcher(secrets, folder / "home"), self.pipeline)
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
            name="mine",
        )
        placed, _ = self.orders.place(f"key-{self.count}", "ada", read_order(msgspec.json.encode(asked)))
        record = self.carrier.carry_out(placed.id)
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


def test_a_file_of_a_folder_that_dvc_tracks_is_taken_alone(place: Place) -> None:
    asked = len(place.server.asked)
    assert place.order(path="tables/2024/wine.csv").state == "done"
    assert place.pipeline.taken["data"] == TABLE
    objects = {path for path in place.server.asked[asked:] if path.startswith("/dvc/files/md5/")}
    assert len(objects) == 2, "the folder's list and the file, not the other file"
    folder = place.order(path="tables")
    assert (folder.reason, folder.cure) == ("data.path: tables is a folder.", "Name a file in it: tables/FILE")
    assert "DVC cannot get tables/none.csv of the data repository" in place.order(path="tables/none.csv").reason


def test_a_remote_of_dvc_with_a_password_gets_it_from_a_file_that_names_its_host(place: Place) -> None:
    refused = place.order(path="private/wine.csv")
    assert refused.reason == (
        f"DVC cannot get private/wine.csv of the data repository: {place.server.address}/private-dvc refuses access."
    )
    assert refused.cure == "Name a file with credentials in data.remote."
    assert "refuses access" in place.order(path="private/wine.csv", remote="wrong").reason
    asked = len(place.server.asked)
    assert "data.remote: other has no host=127.0.0.1:" in place.order(path="private/wine.csv", remote="other").reason
    assert not [path for path in place.server.asked[asked:] if path.startswith("/private-dvc")]
    assert place.order(path="private/wine.csv", remote="git").state == "done"
    assert place.pipeline.taken["data"] == WINE


def test_a_private_repository_needs_a_file_with_credentials(place: Place) -> None:
    commit = git(place.folder / "private", "rev-parse", "HEAD")
    record = place.order("private", commit)
    assert record.reason.startswith("the model repository refuses access")
    assert record.cure == "Name a file with credentials in model.credentials."
    assert place.order("private", commit, "wrong").reason.startswith("the model repository refuses access")
    assert place.order("private", commit, "missing").reason == (
        "model.credentials: there is no file 'missing' in secrets/orders."
    )
    asked = len(place.server.asked)
    elsewhere = place.order("private", commit, "other")
    assert elsewhere.reason.startswith("model.credentials: other has no host=127.0.0.1:")
    assert len(place.server.asked) == asked, "a password is sent to its own host only"
    assert place.order("private", commit, "open").reason == "model.credentials: others can read secrets/orders/open."
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
