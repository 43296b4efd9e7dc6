"""The bucket is made once, keeps versions, and what stands in the way is said."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pantheon.cli import credentials
from pantheon.errors import PantheonError
from pantheon.store.buckets import prepare
from pantheon.store.client import client

from .service import ONE_TRY, Service

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """Another S3: moto's; its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_at(endpoint: str, region: str = "us-east-1") -> Any:
    return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=ONE_TRY, **KEYS)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_bucket_is_made_and_made_ready_once(other: str, region: str) -> None:
    s3, name = s3_at(other, region), f"models-{region}"
    assert prepare(s3, name) == [f"bucket {name} made", f"versioning of {name} switched on"]
    assert prepare(s3, name) == []
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    assert prepare(s3, name) == [f"versioning of {name} switched on"]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"


def test_a_name_that_cannot_be(other: str) -> None:
    with pytest.raises(PantheonError, match=r"has no bucket No for these keys: .*S3_BUCKET="):
        prepare(s3_at(other), "No")


def test_no_s3_is_said_after_some_patience() -> None:
    with pytest.raises(PantheonError, match=r"there is no S3 at http://127\.0\.0\.1:9: .*Is its address right"):
        prepare(s3_at("http://127.0.0.1:9"), "pantheon", patience=0.5)


def test_keys_that_are_refused_are_said(s3: Service) -> None:
    with pytest.raises(PantheonError, match=r"refuses these keys at HeadBucket for the bucket pantheon"):
        prepare(s3.client(secret="wrong" * 8), "pantheon")
    with pytest.raises(PantheonError, match=r"refuses these keys at (HeadBucket|CreateBucket) for the bucket another"):
        prepare(s3.client("button"), "another")


def test_the_one_off_has_done_it_and_does_it_again(s3: Service) -> None:
    log = s3.state / "logs" / "s3-buckets.log"
    assert "bucket pantheon made; versioning of pantheon switched on" in log.read_text()
    assert s3.status("s3-buckets").state == "completed"
    surroundings = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_SHARED_CREDENTIALS_FILE": str(s3.state / "secrets" / "s3_owner" / "credentials"),
    }
    words = [sys.executable, "-m", "pantheon.store.buckets"]
    done = subprocess.run(words, env=surroundings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "bucket pantheon is there, versioning on\n")


def test_keys_of_another_s3_take_the_place_of_ours_and_go_again(tmp_path: Path) -> None:
    credentials.make(tmp_path)
    own = (tmp_path / "s3" / "credentials").read_text()
    credentials.use_s3_keys(tmp_path, credentials.aws_file("AKIA", "s%cret", "token"))
    for user in ("s3", "button"):
        path = tmp_path / user / "credentials"
        assert path.stat().st_mode & 0o777 == 0o600
        assert "aws_secret_access_key = s%cret" in path.read_text()
        assert client("http://127.0.0.1:9", "us-east-1", path)._request_signer._credentials.access_key == "AKIA"
    credentials.make(tmp_path)
    assert "AKIA" in (tmp_path / "s3" / "credentials").read_text(), "what is there is kept"
    credentials.use_s3_keys(tmp_path)
    assert (tmp_path / "s3" / "credentials").read_text() == own
