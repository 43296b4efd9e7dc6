"""One S3 bucket: the requests that the store needs, with retries, back-off and readable errors.

It relies only on the documented behaviour of S3's conditional requests, listings and versioning.
"""

import builtins
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pantheon.errors import PantheonError
from pantheon.files import sha256
from pantheon.store.records import MEND_OBJECT, Damaged
from pantheon.store.s3 import client, errors

T = TypeVar("T")
CHUNK = 1 << 20  # bytes read at once
MULTIPART = 64 << 20  # bytes; larger files are uploaded in parts
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries
UNCONDITIONAL: Final = "*"


@dataclass(frozen=True)
class Object:
    """An object that was read. ``etag`` is only used for conditional requests, not as a checksum."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    """An object in a listing; ``id`` is the object version, in a listing of versions; ``bytes`` its size, in others."""

    key: str
    etag: str
    modified: datetime
    id: str = ""
    deleted: bool = False
    bytes: int = 0


class Unchanged(Exception):
    """The object's ETag has not changed."""


class Bucket:
    """A bucket at ``endpoint`` (empty: AWS).

    Args:
        credentials: an AWS INI file with the keys; None: boto3's default chain.
        retry_seconds: how long to retry a failed request; 0: do not retry.
    """

    def __init__(self, name: str, endpoint: str, region: str, credentials: Path | None, retry_seconds: float) -> None:
        self.name, self.endpoint, self.region, self.credentials = name, endpoint, region, credentials
        self._local = threading.local()
        self.retry_seconds = retry_seconds
        read = client.READ if retry_seconds else client.READ_ONCE
        self._place = errors.Place(name, endpoint, region, credentials, read)

    @property
    def client(self) -> Any:
        return client.client(self.endpoint, self.region, self.credentials, self._place.read_timeout)

    def path(self, key: str) -> str:
        """Return the address of an object: ``s3://BUCKET/KEY``."""
        return self._place.path(key)

    def once(self) -> "Bucket":
        """Return the same bucket without retries."""
        return Bucket(self.name, self.endpoint, self.region, self.credentials, 0.0)

    def get(self, key: str, unless: str = "", version: str = "") -> Object | None:
        """Get an object; None if it does not exist.

        Raises:
            Unchanged: its ETag is still ``unless``.
            Damaged: it exists, but the server cannot read it.
        """
        arguments = (
            {"Key": key} | ({"IfNoneMatch": unless} if unless else {}) | ({"VersionId": version} if version else {})
        )

        def read() -> Object:
            answer = self.client.get_object(Bucket=self.name, **arguments)
            with answer["Body"] as body:
                return Object(body.read(), answer["ETag"])

        result = self._read(read, key, {"NoSuchKey": None, "NoSuchVersion": None, "304": Unchanged}, version)
        if result is Unchanged:
            raise Unchanged
        return result  # type: ignore[no-any-return]

    def fetch(self, key: str, target: Path) -> str | None:
        """Write an object to ``target``; return the SHA-256 of the received bytes, or None if it does not exist.

        Raises:
            Damaged: it exists, but the server cannot read it.
        """

        def read() -> str:
            answer = self.client.get_object(Bucket=self.name, Key=key)
            with answer["Body"] as body, target.open("wb") as file:
                return _copy(body, file.write)

        return self._read(read, key, {"NoSuchKey": None})  # type: ignore[no-any-return]

    def digest(self, key: str) -> str | None:
        """Return the SHA-256 of a stored object; None if it does not exist.

        Raises:
            Damaged: it exists, but the server cannot read it.
        """

        def read() -> str:
            with self.client.get_object(Bucket=self.name, Key=key)["Body"] as body:
                return _copy(body, lambda piece: None)

        return self._read(read, key, {"NoSuchKey": None})  # type: ignore[no-any-return]

    def put(self, key: str, body: bytes, expected: str | None = UNCONDITIONAL) -> str | None:
        """Store an object.

        Args:
            expected: the ETag that it must have; None: it must not exist; ``UNCONDITIONAL``: any.

        Returns:
            Its new ETag; None if it was not as expected; then nothing is changed.
        """
        arguments: dict[str, Any] = {"Key": key, "Body": body}
        if expected is None:
            arguments["IfNoneMatch"] = "*"
        elif expected != UNCONDITIONAL:
            arguments["IfMatch"] = expected

        def write() -> str:
            return str(self.client.put_object(Bucket=self.name, **arguments)["ETag"])

        lost = {"PreconditionFailed": None, "412": None} | ({} if expected is None else {"NoSuchKey": None})
        etag: str | None = self._attempt(write, key, lost)
        if (
            etag is None and self._local.tries > 1
        ):  # an earlier attempt may have succeeded although its response was lost
            now = self.get(key)
            return now.etag if now and now.body == body else None
        return etag

    def upload(self, key: str, path: Path) -> tuple[str, int]:
        """Store a file; return the SHA-256 and size of the sent bytes."""
        size = path.stat().st_size
        if size <= MULTIPART:
            body = path.read_bytes()
            self.put(key, body)
            return hashlib.sha256(body).hexdigest(), len(body)
        before = sha256(path)
        self._attempt(lambda: self.client.upload_file(str(path), self.name, key), key, {})
        if sha256(path) != before:
            raise PantheonError(f"{path} changed while it was being published.", "Publish it again.", status=1)
        return before, size

    def delete(self, key: str, version: str = "") -> None:
        arguments = {"Key": key} | ({"VersionId": version} if version and version != "null" else {})
        self._attempt(lambda: self.client.delete_object(Bucket=self.name, **arguments), key, {"NoSuchKey": None})

    def purge(self, prefix: str) -> int:
        """Delete every object below ``prefix``, including older versions; return the number of deletions."""
        objects = self.versions(prefix)
        if objects is None:  # the keys must not list versions, or the server has no versioning
            objects = [Listed(listed.key, listed.etag, listed.modified) for listed in self.list(prefix)]
        for listed in objects:
            self.delete(listed.key, listed.id)
        return len(objects)

    def list(self, prefix: str) -> Iterator[Listed]:
        """List every object below ``prefix``, in the order of their keys."""
        for page in self._pages("list_objects_v2", prefix, Prefix=prefix):
            for raw in page.get("Contents", []):
                yield Listed(raw["Key"], raw["ETag"], raw["LastModified"], bytes=int(raw.get("Size", 0)))

    def folders(self, prefix: str) -> builtins.list[str]:
        """List the names between ``prefix`` and the next slash; some servers also list empty ones."""
        pages = self._pages("list_objects_v2", prefix, Prefix=prefix, Delimiter="/")
        return [raw["Prefix"][len(prefix) : -1] for page in pages for raw in page.get("CommonPrefixes", [])]

    def versions(self, prefix: str) -> builtins.list[Listed] | None:
        """List all versions of the objects below ``prefix``, newest first per object; None if that is not supported."""
        objects = []
        for page in self._pages("list_object_versions", prefix, _REFUSED, Prefix=prefix):
            if page is None:
                return None
            for kind, deleted in (("Versions", False), ("DeleteMarkers", True)):
                for raw in page.get(kind, []):
                    modified, etag = raw["LastModified"], raw.get("ETag", "")
                    objects.append(Listed(raw["Key"], etag, modified, raw["VersionId"], deleted))
        return objects

    def keeps_versions(self) -> bool:
        """Whether versioning is enabled, so that an object's versions are its history."""
        answer = self._attempt(lambda: self.client.get_bucket_versioning(Bucket=self.name), "", _REFUSED)
        return bool(answer) and answer.get("Status") == "Enabled"

    def time(self) -> datetime:
        """Return the time of the server's clock, with which ages of objects are measured."""
        answer = self._attempt(lambda: self.client.list_objects_v2(Bucket=self.name, MaxKeys=1), "", {})
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def _pages(
        self, operation: str, prefix: str, handled: dict[str, Any] | None = None, **arguments: Any
    ) -> Iterator[Any]:
        marks = {"list_objects_v2": ("ContinuationToken",), "list_object_versions": ("KeyMarker", "VersionIdMarker")}
        while True:
            ask = partial(
                lambda arguments: getattr(self.client, operation)(Bucket=self.name, **arguments), dict(arguments)
            )
            page = self._attempt(ask, prefix, handled or {})
            yield page
            if page is None or not page.get("IsTruncated"):
                return
            arguments |= {mark: page[f"Next{mark}"] for mark in marks[operation] if page.get(f"Next{mark}")}

    def _read(self, work: Callable[[], T], key: str, handled: dict[str, Any], version: str = "") -> Any:
        """As ``_attempt``, for work that reads an object's content.

        Raises:
            Damaged: the object exists, but the server cannot read it: its own checksum does not match, or a file is
                missing on its disk.
        """
        try:
            return self._attempt(work, key, handled)
        except errors.Failed as error:
            arguments = {"Key": key} | ({"VersionId": version} if version else {})
            try:
                self.client.head_object(Bucket=self.name, **arguments)
            except Exception:  # noqa: BLE001 - not only this object's content: report the first error
                raise error from None
            cause = f"{self.path(key)} is damaged: the S3 store has it, but cannot read all of its content."
            raise Damaged(cause, MEND_OBJECT, status=1) from None

    def _attempt(self, work: Callable[[], T], key: str, handled: dict[str, Any]) -> Any:
        """Return the result of ``work``, or the value in ``handled`` for S3's error code; retry while that may help.

        Raises:
            PantheonError: S3 did not answer in time, or refused the request.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        assert self.client is not None  # create it before the clock starts: the first time takes a while
        begin, pause = time.monotonic(), FIRST_PAUSE
        tries = 0
        while True:
            tries += 1
            self._local.tries = tries
            try:
                return work()
            except ClientError as error:
                code = str(error.response["Error"].get("Code", ""))
                if code in handled:
                    return handled[code]
                failure: Exception = error
                again = errors.may_pass(error.response)
            except (BotoCoreError, Boto3Error) as error:
                failure, again = error, errors.is_network(error)
            spent = time.monotonic() - begin
            if not again or spent + pause > self.retry_seconds:
                raise errors.explain(failure, self._place, key, tries, spent) from None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that many clients do not retry at once
            pause = min(pause * 2, LONGEST_PAUSE)


_REFUSED: Final = {"AccessDenied": None, "NotImplemented": None, "MethodNotAllowed": None}


def _copy(body: Any, write: Callable[[bytes], Any]) -> str:
    digest = hashlib.sha256()
    while piece := body.read(CHUNK):
        digest.update(piece)
        write(piece)
    return digest.hexdigest()
