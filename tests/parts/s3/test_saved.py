"""The content of the tier's own S3 server as a tar, for backups; tests/unit/store has more about it."""

import io
from pathlib import Path

from pantheon.store.s3 import keep
from pantheon.store.s3.bucket import Bucket
from pantheon.store.s3.prepare import prepare
from pantheon.store.s3.store import S3Store
from tests.support.s3_service import BUCKET, Service


def bucket(s3: Service, name: str = BUCKET) -> Bucket:
    keys = s3.state / "secrets" / "s3_owner" / "credentials"
    return Bucket(name, f"http://127.0.0.1:{s3.port()}", "us-east-1", keys, 10.0)


def emptied(s3: Service) -> Bucket:
    found = bucket(s3)
    prepare(found.client, BUCKET)
    found.purge("")
    return found


def store(s3: Service, cache: Path) -> S3Store:
    keys = s3.state / "secrets" / "s3_owner" / "credentials"
    return S3Store(BUCKET, endpoint=f"http://127.0.0.1:{s3.port()}", credentials=keys, cache=cache)


def test_a_restored_bucket_has_the_same_objects_and_the_same_history_of_aliases(s3: Service, tmp_path: Path) -> None:
    objects = emptied(s3)
    models = store(s3, tmp_path / "cache")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(bytes(range(256)) * 1000)
    for _ in range(3):
        version = models.publish("robots", tmp_path / "bundle", {})
        before = models.alias("robots")
        models.swap("robots", version, "champion", expected=before.version if before else None, by="ann")
    large = bytes(range(256)) * 50_000  # uploaded in parts
    objects.put("dvc/files/md5/ab/cdef", large)
    objects.put("removed", b"removed")
    objects.delete("removed")
    history = models.history("robots")
    listed = {each.key: each.bytes for each in objects.list("")}

    saved = io.BytesIO()
    keep.save(objects, saved)
    objects.purge("")
    saved.seek(0)
    keep.load(objects, saved)

    again = store(s3, tmp_path / "other cache")
    assert {each.key: each.bytes for each in objects.list("")} == listed
    assert again.history("robots") == history
    assert len(history or []) == 3
    assert [again.verify("robots", version.version) for version in again.list("robots")] == [[], [], []]
    found = objects.get("dvc/files/md5/ab/cdef")
    assert found
    assert found.body == large
    assert models.publish("robots", tmp_path / "bundle", {}) == "4", "numbers go on"
