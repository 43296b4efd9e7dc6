"""The order in which the content of S3 is saved; tests/parts/s3 saves and restores it with a real server."""

import io
import tarfile
from collections.abc import Iterator

import pytest
from moto import mock_aws

from pantheon.store.s3 import keep
from pantheon.store.s3.bucket import Bucket
from pantheon.store.s3.prepare import prepare


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    with mock_aws():
        made = Bucket("pantheon", "", "us-east-1", None, 5.0)
        prepare(made.client, made.name)
        yield made


def saved(bucket: Bucket) -> io.BytesIO:
    stream = io.BytesIO()
    keep.save(bucket, stream)
    stream.seek(0)
    return stream


def test_references_come_first_and_what_vanishes_is_listed_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("models/m/1/model.onnx", "models/m/aliases/champion.json", "predictions/1", "predictions/2"):
        bucket.put(key, key.encode())
    add = keep._add

    def compact(bucket: Bucket, key: str, tar: tarfile.TarFile) -> bool:
        if key == "predictions/1":
            bucket.put("predictions/3", b"1 and 2")
            bucket.purge("predictions/1")
            bucket.purge("predictions/2")
        return add(bucket, key, tar)

    monkeypatch.setattr(keep, "_add", compact)
    with tarfile.open(fileobj=saved(bucket)) as tar:
        names = tar.getnames()
    assert names == ["current/models/m/aliases/champion.json", "current/models/m/1/model.onnx", "current/predictions/3"]
