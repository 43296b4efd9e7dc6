"""Data of orders whose DVC remote is in the deployment's own S3, by keys that only read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.dashboard.sources import Fetcher, Source
from pantheon.deployment.orders import keep
from pantheon.engines.local import environments
from pantheon.errors import PantheonError
from tests.support.s3_service import BUCKET, Service

OUTSIDE = "http://127.0.0.1:1"  # as the repository names the S3, and as nobody reaches it here
CONTENT = b"alcohol,quality\n9.4,5\n"
SOURCE = Source("the data repository", "data", "https://git.example.com/data.git", "0123456")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environments.make(["dvc"])
    service = Service(tmp_path_factory.mktemp("s3") / "s3")
    try:
        service.up()
        yield service
    finally:
        service.down()


@pytest.fixture
def repository(s3: Service, tmp_path: Path) -> Path:
    """A repository that was fetched, and its file in the remote."""
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    s3.client().put_object(Bucket=BUCKET, Key=f"team/files/md5/{md5[:2]}/{md5[2:]}", Body=CONTENT)
    for name in (".git", ".dvc"):
        (tmp_path / name).mkdir()
    remote = f"['remote \"store\"']\n    url = s3://{BUCKET}/team\n    endpointurl = {OUTSIDE}\n"
    (tmp_path / ".dvc" / "config").write_text(f"[core]\n    remote = store\n{remote}")
    (tmp_path / "wine.csv.dvc").write_text(f"outs:\n- md5: {md5}\n  hash: md5\n  path: wine.csv\n")
    return tmp_path


def test_data_comes_from_the_deployments_s3_which_has_another_address_in_containers(
    s3: Service, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secrets = s3.state / "secrets"
    inside = {OUTSIDE: f"http://127.0.0.1:{s3.port()}"}
    fetcher = Fetcher(secrets / "orders", tmp_path_factory.mktemp("home"), lambda: inside)
    access, secret = ((secrets / f"endpoint_{part}_key").read_text() for part in ("access", "secret"))
    keep(s3.state, "store", "s3", access, secret)
    keep(s3.state, "wrong", "s3", access, "guess")
    with pytest.raises(PantheonError) as none:
        fetcher.pull(SOURCE, repository, "wine.csv")
    assert none.value.cause.endswith(f"s3://{BUCKET}/team refuses access.")
    assert none.value.cure == "Name a file with credentials in data.remote."
    with pytest.raises(PantheonError, match="refuses access") as wrong:
        fetcher.pull(SOURCE, repository, "wine.csv", "wrong")
    assert wrong.value.cure == "Check the credentials."
    assert fetcher.pull(SOURCE, repository, "wine.csv", "store").read_bytes() == CONTENT
