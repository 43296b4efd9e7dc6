"""An S3 that is slow, absent or full, refuses requests, loses responses, or returns damaged data."""

import http.client
import http.server
import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.state import write_store
from pantheon.store import CurrentStore, FolderStore, open_store
from pantheon.store.s3 import client
from pantheon.store.s3.store import S3Store
from tests.support.ports import free_ports
from tests.support.s3_faults import Between, answering, handler_for, losing
from tests.support.s3_servers import KEYS, Server, Weed, deployment, weed, where


@pytest.fixture
def between(moto: Server) -> Iterator[Between]:
    made = Between(moto.endpoint)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_for(made))
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(between: Between, moto: Server, tmp_path: Path) -> S3Store:
    bucket = moto.bucket()
    return S3Store(
        bucket, endpoint=between.address, credentials=moto.credentials, cache=tmp_path / "cache", retry_seconds=3.0
    )


def test_an_absent_s3_is_reported_in_bounded_time(moto: Server, tmp_path: Path, bundle: Path) -> None:
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    store = S3Store("b", endpoint=endpoint, credentials=moto.credentials, cache=tmp_path / "c", retry_seconds=1.0)
    assert store.bucket.client
    for ask in (lambda: store.alias("robots"), lambda: store.publish("robots", bundle, {})):
        began = time.monotonic()
        with pytest.raises(PantheonError) as error:
            ask()
        assert time.monotonic() - began < 15
        assert error.value.status == 1
        assert endpoint in error.value.cause
        assert "does not answer (tried" in error.value.cause
        assert "onnection refused" in error.value.cause
        assert "bin/pantheon status" in error.value.cure


def test_an_s3_that_never_answers_is_given_up(moto: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = S3Store("b", endpoint=endpoint, credentials=moto.credentials, cache=tmp_path / "c", retry_seconds=1.0)
        assert store.bucket.client
        began = time.monotonic()
        with pytest.raises(PantheonError, match=r"does not answer \(tried \d times in 1 s\): no answer within 0\.3 s"):
            store.alias("robots")
        assert time.monotonic() - began < 15


def test_transient_errors_are_retried_with_growing_pauses(between: Between, store: S3Store, bundle: Path) -> None:
    between.faults = [answering(503, "SlowDown"), answering(500, "InternalError"), losing("GET", "", done=False)]
    began = time.monotonic()
    assert store.alias("robots") is None
    assert time.monotonic() - began > 0.05 + 0.1 + 0.2
    assert len(between.seen) == 4


def test_a_put_with_a_lost_response_counts_as_successful(between: Between, store: S3Store, bundle: Path) -> None:
    """The retry gets 412 because the first attempt succeeded."""
    between.faults = [losing("PUT", "/claims/1.json", done=True)]
    assert store.publish("robots", bundle, {}) == "1"
    between.faults = [losing("PUT", "/2/manifest.json", done=True)]
    assert store.publish("robots", bundle, {}) == "2"
    between.faults = [losing("PUT", "/aliases/champion.json", done=True)]
    assert store.swap("robots", "1", "champion", expected=None)
    between.faults = [losing("PUT", "/aliases/champion.json", done=True)]
    assert store.swap("robots", "2", "champion", expected="1")
    assert between.faults == []
    assert [a.version for a in store.history("robots") or []] == ["2", "1"]
    assert [store.verify("robots", v.version) for v in store.list("robots")] == [[], []]


def test_a_publish_that_failed_leaves_nothing(between: Between, store: S3Store, bundle: Path) -> None:
    between.faults = [losing("PUT", "model.onnx", done=True), answering(403, "AccessDenied")]
    with pytest.raises(PantheonError, match=r"are not allowed to access s3://bucket-\d+/models/robots/1/"):
        store.publish("robots", bundle, {})
    assert store.list("robots") == []
    assert [each.key for each in store.bucket.list("models/robots/1/")] == []
    assert store.publish("robots", bundle, {}) == "2"


@pytest.mark.parametrize(
    ("status", "code", "cause", "cure"),
    [
        (403, "RequestTimeTooSkewed", "the clocks of this machine and of the S3 store", "clock"),
        (403, "InvalidAccessKeyId", "does not accept the keys of", "AWS_ACCESS_KEY_ID"),
        (301, "PermanentRedirect", "is not in the region us-east-1", "AWS_REGION"),
        (507, "XMinioStorageFull", "has no room for s3://", "gc"),
        (418, "Teapot", "refused s3://", ""),
    ],
)
def test_refused_requests_name_the_object(
    between: Between, store: S3Store, status: int, code: str, cause: str, cure: str
) -> None:
    between.faults = [answering(status, code) for _ in range(10)]
    with pytest.raises(PantheonError) as error:
        store.alias("robots")
    between.faults = []
    assert cause in error.value.cause
    assert cure in error.value.cure
    assert "testsecret" not in str(error.value)


def test_wrong_keys_and_a_missing_bucket_are_named(seaweed: Weed, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(KEYS.replace("testsecret", "another"))
    with pytest.raises(PantheonError, match=f"does not accept the keys of {wrong}: SignatureDoesNotMatch"):
        S3Store("b", endpoint=seaweed.endpoint, credentials=wrong, cache=tmp_path / "c").alias("robots")
    with pytest.raises(PantheonError, match="has no bucket 'nowhere'"):
        seaweed.store(tmp_path / "c", "nowhere").publish("robots", _one_file(tmp_path), {})
    with pytest.raises(PantheonError, match=r"keys of the S3 store cannot be read: .*absent: No such file"):
        S3Store("b", endpoint=seaweed.endpoint, credentials=tmp_path / "absent", cache=tmp_path / "c").alias("robots")
    wrong.write_text("aws_secret_access_key = testsecret")
    with pytest.raises(PantheonError, match=r"has no \[default\] with") as error:
        S3Store("b", endpoint=seaweed.endpoint, credentials=wrong, cache=tmp_path / "c").alias("robots")
    assert "testsecret" not in str(error.value)


def test_an_invalid_address_is_named(moto: Server, tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match=r"cannot create an S3 client for http://\[::1"):
        S3Store("b", endpoint="http://[::1", credentials=moto.credentials, cache=tmp_path / "c").alias("robots")


@pytest.mark.parametrize(
    "name", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]
)
def test_the_users_aws_settings_are_ignored(
    moto: Server, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys' file is ours: a profile of the shell's, or a file that no AWS tool can read, is for other programs."""
    store = moto.store(tmp_path / "cache")
    (tmp_path / "malformed").write_text("[default\nno = ini")
    monkeypatch.setenv(name, str(tmp_path / "malformed") if name.endswith("FILE") else "nope")
    monkeypatch.setattr(client, "_clients", {})
    client._own_session.cache_clear()
    assert store.alias("robots") is None


def test_changed_keys_are_reloaded(seaweed: Weed, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEYS.replace("testsecret", "another"))
    store = S3Store(seaweed.bucket(), endpoint=seaweed.endpoint, credentials=keys, cache=tmp_path / "c")
    with pytest.raises(PantheonError, match="does not accept"):
        store.alias("robots")
    keys.write_text(KEYS)
    assert store.alias("robots") is None


def _one_file(folder: Path) -> Path:
    (folder / "one").mkdir()
    (folder / "one" / "model.onnx").write_bytes(b"x")
    return folder / "one"


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_a_flipped_byte_in_s3_is_detected_and_the_file_named(moto: Server, bundle: Path, tmp_path: Path) -> None:
    store = moto.store(tmp_path / "cache")
    store.publish("robots", bundle, {})
    _flip(bundle / "model.onnx")
    key = "models/robots/1/model.onnx"
    moto.client.put_object(Bucket=store.bucket.name, Key=key, Body=(bundle / "model.onnx").read_bytes())
    name = rf"s3://{store.bucket.name}/models/robots/1/model\.onnx differs from the published file: its checksum does"
    with pytest.raises(PantheonError, match=name):
        store.get("robots", "1")
    assert not list((tmp_path / "cache" / "robots").glob("1-*"))  # whole or absent
    assert len(store.verify("robots", "1")) == 1
    moto.client.delete_object(Bucket=store.bucket.name, Key=key)
    with pytest.raises(PantheonError, match=r"model\.onnx is missing"):
        store.get("robots", "1")
    store.publish("robots", bundle, {})
    store.promote("robots", "2")
    with pytest.raises(PantheonError, match="version 1 of robots is damaged"):
        store.rollback("robots", to="1")
    manifest = f"models/robots/{2}/manifest.json"
    moto.client.put_object(Bucket=store.bucket.name, Key=manifest, Body=b"[]")
    with pytest.raises(PantheonError, match=r"2/manifest\.json is damaged"):
        store.get("robots", "2")
    assert [problem for problem in store.verify("robots", "2") if "manifest.json is damaged" in problem]


def _rot(server: Weed, content: bytes) -> None:
    """Flip one bit in the middle of ``content``, wherever it is on the server's disk."""
    flipped = 0
    for path in server.data.glob("*.dat"):
        raw = bytearray(path.read_bytes())
        if (at := raw.find(content)) >= 0:
            raw[at + len(content) // 2] ^= 1
            path.write_bytes(raw)
            flipped += 1
    assert flipped == 1


@pytest.mark.slow
def test_rotten_bytes_on_the_disk_of_s3_are_called_damaged(tmp_path: Path, bundle: Path) -> None:
    with weed(tmp_path) as server:
        store = server.store(tmp_path / "cache", retry_seconds=0.5)
        contents = []
        for _ in range(3):
            contents.append(os.urandom(2_500_000))  # three chunks
            (bundle / "large.bin").write_bytes(contents[-1])
            store.publish("robots", bundle, {})
        _rot(server, contents[0][:1000])
        _rot(server, contents[1][2_400_000:2_401_000])
        server.kill()  # it has copies of what it read in its memory
        server.start()
        with ThreadPoolExecutor() as pool:  # the server itself tries for 13 s
            first, second = pool.submit(store.verify, "robots", "1"), pool.submit(store.get, "robots", "2")
        assert first.result() == [
            f"s3://{store.bucket.name}/models/robots/1/large.bin is damaged: "
            "the S3 store has it, but cannot read all of its content."
        ]
        with pytest.raises(PantheonError, match=r"robots/2/large\.bin differs from the published file") as error:
            second.result()  # the server sends something else than the last chunk
        assert "Promote another version" in error.value.cure
        assert store.get("robots", "3")


def test_verify_detects_a_changed_manifest(moto: Server, bundle: Path, tmp_path: Path) -> None:
    store = moto.store(tmp_path / "cache")
    store.publish("robots", bundle, {"run": "r1"})
    key = "models/robots/1/manifest.json"
    body = moto.client.get_object(Bucket=store.bucket.name, Key=key)["Body"].read()
    moto.client.put_object(Bucket=store.bucket.name, Key=key, Body=body.replace(b"r1", b"r2"))
    assert store.verify("robots", "1") == [f"s3://{store.bucket.name}/{key} differs from the published manifest."]


def test_a_damaged_copy_on_this_machine_is_fetched_again(moto: Server, bundle: Path, tmp_path: Path) -> None:
    store = moto.store(tmp_path / "cache")
    store.publish("robots", bundle, {})
    folder = store.get("robots", "1")
    whole = {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    _flip(folder / "model.onnx")
    (folder / "plots" / "roc.svg").unlink()
    (folder / "manifest.json").write_text("{")
    assert store.get("robots", "1") == folder
    assert {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()} == whole
    assert not list(folder.parent.glob(".*.part"))


def test_a_full_local_disk_is_reported_and_leaves_no_partial_copy(moto: Server, bundle: Path, tmp_path: Path) -> None:
    store = moto.store(tmp_path / "cache")
    (bundle / "model.onnx").write_bytes(os.urandom(600_000))
    store.publish("robots", bundle, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))  # writes end as they do on a full disk
    try:
        with pytest.raises(PantheonError, match=r"the disk is full: .*cache has [\d,]+ MB left"):
            store.get("robots", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "cache" / "robots").glob("*1*"))
    assert (store.get("robots", "1") / "model.onnx").stat().st_size == 600_000


@pytest.mark.slow
def test_a_full_disk_of_seaweedfs_is_reported_without_loss(tmp_path: Path, bundle: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        with weed(tmp_path, disk) as server:
            store = server.store(tmp_path / "cache", retry_seconds=0.5)
            store.publish("robots", bundle, {})
            (bundle / "large.bin").write_bytes(os.urandom(8_000_000))
            with pytest.raises(PantheonError, match=r"(failed on|has no room for) s3://") as error:
                for _ in range(6):
                    store.publish("robots", bundle, {})
            assert "disk" in error.value.cure or "room" in error.value.cure
            listed = store.list("robots")
            assert listed
            assert [store.verify("robots", v.version) for v in listed] == [[]] * len(listed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_long_lived_store_follows_store_json(moto: Server, bundle: Path, tmp_path: Path) -> None:
    state = deployment(tmp_path / "state", moto)
    store = open_store(state, host=True)
    assert isinstance(store, CurrentStore)
    assert store.where == str(state / "models")
    store.publish("robots", bundle, {})
    bucket = moto.bucket()
    write_store(state, where(moto, bucket))
    assert store.where == f"s3://{bucket}/models"
    assert store.list("robots") == []
    store.publish("robots", bundle, {})
    assert moto.store(tmp_path / "c", bucket).list("robots") == store.list("robots")
    (state / "state" / "store.json").write_text("{")
    with pytest.raises(PantheonError, match=r"store\.json is damaged"):
        store.list("robots")
    (state / "state" / "store.json").unlink()
    assert FolderStore(state / "models").list("robots") == store.list("robots")
