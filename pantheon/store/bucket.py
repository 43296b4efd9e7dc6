"""One S3 bucket: the few requests that the store makes, tried again with back-off, their errors in plain words.

Nothing here rests on one server's habits: only on what S3 documents of conditional requests, listings and versioning.
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
from pantheon.store import client, trouble

T = TypeVar("T")
PIECE = 1 << 20
WHOLE = 64 << 20  # bytes; larger files go up in parts
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries
UNCONDITIONAL: Final = "*"


@dataclass(frozen=True)
class Object:
    """An object as it was read. ``etag`` is for S3's conditional requests alone: it is no checksum of ours."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it; ``id`` is its object version where it was listed by versions."""

    key: str
    etag: str
    modified: datetime
    id: str = ""
    deleted: bool = False


class Unchanged(Exception):
    """The object still has the ETag that was seen before."""


class Bucket:
    """A bucket at ``endpoint`` (empty: AWS itself).

    Args:
        credentials: an AWS INI file with the keys; None: boto3's own chain.
        patience: seconds in which a request that did not get through is tried again; 0 tries once.
    """

    def __init__(self, name: str, endpoint: str, region: str, credentials: Path | None, patience: float) -> None:
        self.name, self.endpoint, self.region, self.credentials = name, endpoint, region, credentials
        self._local = threading.local()
        self.patience = patience

    @property
    def client(self) -> Any:
        read = client.READ if self.patience else client.READ_ONCE
        return client.client(self.endpoint, self.region, self.credentials, read)

    def path(self, key: str) -> str:
        """What people call an object: ``s3://BUCKET/KEY``."""
        return f"s3://{self.name}/{key}"

    def once(self) -> "Bucket":
        """The same bucket, without a second try."""
        return Bucket(self.name, self.endpoint, self.region, self.credentials, 0.0)

    def get(self, key: str, unless: str = "", version: str = "") -> Object | None:
        """An object, or None where there is none.

        Raises:
            Unchanged: its ETag is ``unless`` still.
        """
        asked = {"Key": key} | ({"IfNoneMatch": unless} if unless else {}) | ({"VersionId": version} if version else {})

        def read() -> Object:
            answer = self.client.get_object(Bucket=self.name, **asked)
            with answer["Body"] as body:
                return Object(body.read(), answer["ETag"])

        found = self._attempt(read, key, {"NoSuchKey": None, "NoSuchVersion": None, "304": Unchanged})
        if found is Unchanged:
            raise Unchanged
        return found  # type: ignore[no-any-return]

    def fetch(self, key: str, target: Path) -> str | None:
        """Write an object to ``target``; the sha256 of what came, or None where there is no such object."""

        def read() -> str:
            answer = self.client.get_object(Bucket=self.name, Key=key)
            with answer["Body"] as body, target.open("wb") as file:
                return _copy(body, file.write)

        return self._attempt(read, key, {"NoSuchKey": None})  # type: ignore[no-any-return]

    def digest(self, key: str) -> str | None:
        """The sha256 of an object as it is stored now; None where there is none."""

        def read() -> str:
            with self.client.get_object(Bucket=self.name, Key=key)["Body"] as body:
                return _copy(body, lambda piece: None)

        return self._attempt(read, key, {"NoSuchKey": None})  # type: ignore[no-any-return]

    def put(self, key: str, body: bytes, expected: str | None = UNCONDITIONAL) -> str | None:
        """Store an object.

        Args:
            expected: the ETag it must have now; None: it must not be there; ``UNCONDITIONAL``: whatever.

        Returns:
            Its new ETag; None when it was not as expected, and nothing was changed.
        """
        asked: dict[str, Any] = {"Key": key, "Body": body}
        if expected is None:
            asked["IfNoneMatch"] = "*"
        elif expected != UNCONDITIONAL:
            asked["IfMatch"] = expected

        def write() -> str:
            return str(self.client.put_object(Bucket=self.name, **asked)["ETag"])

        lost = {"PreconditionFailed": None, "412": None} | ({} if expected is None else {"NoSuchKey": None})
        etag: str | None = self._attempt(write, key, lost)
        if etag is None and self._local.tries > 1:  # an earlier try may have got through, and its answer not
            now = self.get(key)
            return now.etag if now and now.body == body else None
        return etag

    def upload(self, key: str, path: Path) -> tuple[str, int]:
        """Store a file; the sha256 and size of what was sent."""
        size = path.stat().st_size
        if size <= WHOLE:
            body = path.read_bytes()
            self.put(key, body)
            return hashlib.sha256(body).hexdigest(), len(body)
        with path.open("rb") as file:
            before = hashlib.file_digest(file, "sha256").hexdigest()
        self._attempt(lambda: self.client.upload_file(str(path), self.name, key), key, {})
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != before:
                raise PantheonError(f"{path} was changed while it was published.", "Publish it again.", status=1)
        return before, size

    def delete(self, key: str, version: str = "") -> None:
        asked = {"Key": key} | ({"VersionId": version} if version and version != "null" else {})
        self._attempt(lambda: self.client.delete_object(Bucket=self.name, **asked), key, {"NoSuchKey": None})

    def purge(self, prefix: str) -> int:
        """Delete every object below ``prefix``, with its older versions where the bucket keeps them; how many."""
        found = self.versions(prefix)
        if found is None:  # the keys may not list versions, or the server keeps none
            found = [Listed(each.key, each.etag, each.modified) for each in self.list(prefix)]
        for each in found:
            self.delete(each.key, each.id)
        return len(found)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object below ``prefix``, in the order of their keys."""
        for page in self._pages("list_objects_v2", prefix, Prefix=prefix):
            for raw in page.get("Contents", []):
                yield Listed(raw["Key"], raw["ETag"], raw["LastModified"])

    def folders(self, prefix: str) -> builtins.list[str]:
        """The names between ``prefix`` and the next slash; some servers list those that are empty now, too."""
        pages = self._pages("list_objects_v2", prefix, Prefix=prefix, Delimiter="/")
        return [raw["Prefix"][len(prefix) : -1] for page in pages for raw in page.get("CommonPrefixes", [])]

    def versions(self, prefix: str) -> builtins.list[Listed] | None:
        """Every version of every object below ``prefix``, newest first for each; None where that cannot be asked."""
        found = []
        for page in self._pages("list_object_versions", prefix, _REFUSED, Prefix=prefix):
            if page is None:
                return None
            for kind, deleted in (("Versions", False), ("DeleteMarkers", True)):
                for raw in page.get(kind, []):
                    modified, etag = raw["LastModified"], raw.get("ETag", "")
                    found.append(Listed(raw["Key"], etag, modified, raw["VersionId"], deleted))
        return found

    def keeps_versions(self) -> bool:
        """Whether versioning is on: then an object's versions are its history."""
        answer = self._attempt(lambda: self.client.get_bucket_versioning(Bucket=self.name), "", _REFUSED)
        return bool(answer) and answer.get("Status") == "Enabled"

    def time(self) -> datetime:
        """The server's clock: ages of objects are not measured with ours."""
        answer = self._attempt(lambda: self.client.list_objects_v2(Bucket=self.name, MaxKeys=1), "", {})
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def _pages(self, operation: str, prefix: str, known: dict[str, Any] | None = None, **asked: Any) -> Iterator[Any]:
        marks = {"list_objects_v2": ("ContinuationToken",), "list_object_versions": ("KeyMarker", "VersionIdMarker")}
        while True:
            ask = partial(lambda asked: getattr(self.client, operation)(Bucket=self.name, **asked), dict(asked))
            page = self._attempt(ask, prefix, known or {})
            yield page
            if page is None or not page.get("IsTruncated"):
                return
            asked |= {mark: page[f"Next{mark}"] for mark in marks[operation] if page.get(f"Next{mark}")}

    def _attempt(self, work: Callable[[], T], key: str, known: dict[str, Any]) -> Any:
        """What ``work`` returns, or what ``known`` has for S3's error code; tried again while that may help.

        Raises:
            PantheonError: S3 did not answer in time, or refused.
        """
        import botocore.exceptions as errors
        from boto3.exceptions import Boto3Error

        assert self.client is not None  # made before the clock starts: that takes a while, once
        begin, pause = time.monotonic(), FIRST_PAUSE
        tries = 0
        while True:
            tries += 1
            self._local.tries = tries
            try:
                return work()
            except errors.ClientError as error:
                code = str(error.response["Error"].get("Code", ""))
                if code in known:
                    return known[code]
                failure: Exception = error
                again = trouble.may_pass(error.response)
            except (errors.BotoCoreError, Boto3Error) as error:
                failure, again = error, trouble.is_network(error)
            spent = time.monotonic() - begin
            if not again or spent + pause > self.patience:
                raise trouble.explain(failure, self, key, tries, spent) from None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that many do not come back at once
            pause = min(pause * 2, LONGEST_PAUSE)


_REFUSED: Final = {"AccessDenied": None, "NotImplemented": None, "MethodNotAllowed": None}


def _copy(body: Any, write: Callable[[bytes], Any]) -> str:
    digest = hashlib.sha256()
    while piece := body.read(PIECE):
        digest.update(piece)
        write(piece)
    return digest.hexdigest()
