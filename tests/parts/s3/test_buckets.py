"""The bucket is created once and keeps versions; failures are reported."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pantheon import components
from pantheon.deployment import secrets
from pantheon.errors import PantheonError
from pantheon.store.s3.client import client
from pantheon.store.s3.prepare import prepare
from tests.support import ROOT
from tests.support.s3_service import ONE_TRY, Service

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """Start an external S3 (moto); return its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_at(endpoint: str, region: str = "us-east-1") -> Any:
    return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=ONE_TRY, **KEYS)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_bucket_is_created_and_prepared_once(other: str, region: str) -> None:
    s3, name = s3_at(other, region), f"models-{region}"
    assert prepare(s3, name) == [f"bucket {name} created", f"versioning of {name} enabled"]
    assert prepare(s3, name) == []
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    assert prepare(s3, name) == [f"versioning of {name} enabled"]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"


def test_an_invalid_bucket_name_is_reported(other: str) -> None:
    with pytest.raises(PantheonError, match=r"has no bucket No for these keys: .*S3_BUCKET="):
        prepare(s3_at(other), "No")


def test_an_s3_that_does_not_answer_is_reported_after_retries() -> None:
    with pytest.raises(PantheonError, match=r"the S3 at http://127\.0\.0\.1:9 does not answer: .*Check its address"):
        prepare(s3_at("http://127.0.0.1:9"), "pantheon", retry_seconds=0.5)


def test_refused_keys_are_reported(s3: Service) -> None:
    with pytest.raises(PantheonError, match=r"refuses these keys at HeadBucket for the bucket pantheon"):
        prepare(s3.client(secret="wrong" * 8), "pantheon")
    with pytest.raises(PantheonError, match=r"refuses these keys at (HeadBucket|CreateBucket) for the bucket another"):
        prepare(s3.client("button"), "another")


def test_the_one_off_prepares_the_bucket_and_can_run_again(s3: Service) -> None:
    log = s3.state / "logs" / "s3-buckets.log"
    assert "bucket pantheon created; versioning of pantheon enabled" in log.read_text()
    assert s3.status("s3-buckets").state == "completed"
    surroundings = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_SHARED_CREDENTIALS_FILE": str(s3.state / "secrets" / "s3_owner" / "credentials"),
    }
    words = [sys.executable, "-m", "pantheon.store.s3.prepare"]
    done = subprocess.run(words, env=surroundings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "bucket pantheon exists, versioning is enabled\n")


def test_keys_of_an_external_s3_replace_ours_and_can_be_reverted(tmp_path: Path) -> None:
    secrets.make(tmp_path, components.read(ROOT / "compose" / "s3.yaml").secrets)
    own = (tmp_path / "s3" / "credentials").read_text()
    secrets.use_s3_keys(tmp_path, secrets.aws_file("AKIA", "s%cret", "token"))
    for user in ("s3", "button"):
        path = tmp_path / user / "credentials"
        assert path.stat().st_mode & 0o777 == 0o600
        assert "aws_secret_access_key = s%cret" in path.read_text()
        assert client("http://127.0.0.1:9", "us-east-1", path)._request_signer._credentials.access_key == "AKIA"
    secrets.make(tmp_path, components.read(ROOT / "compose" / "s3.yaml").secrets)
    assert "AKIA" in (tmp_path / "s3" / "credentials").read_text(), "what is there is kept"
    secrets.use_s3_keys(tmp_path)
    assert (tmp_path / "s3" / "credentials").read_text() == own
