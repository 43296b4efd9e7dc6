"""Versions in S3: their keys and manifests, and how a version is published.

A version's number has one owner, which holds a claim: ``models/NAME/claims/VERSION.json``.

A claim is created by a conditional put and changes by compare-and-swap:

    publishing → published   by the publisher, after the last file and before the manifest
    publishing → abandoned   by the cleanup after a killed publisher
    published → removed      by the removal of the version

So a publisher that was suspended for a week and resumes after the cleanup fails, and does not write a manifest for
deleted files. Claims are kept forever: a number is never used twice.
"""

import builtins
import json
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.store.records import (
    MANIFEST,
    MEND_MANIFEST,
    Damaged,
    Manifest,
    StoredFile,
    Version,
    check_file,
    check_name,
    check_version,
    is_version,
    now,
    reading,
)
from pantheon.store.s3.bucket import FIRST_PAUSE, LONGEST_PAUSE, Bucket

THREADS = 4  # requests at once
DAMAGED = "Promote another version, or run the workflow again to publish a new one."

PUBLISHING, PUBLISHED, ABANDONED, REMOVED = STATES = "publishing", "published", "abandoned", "removed"


@dataclass(frozen=True)
class Claim:
    """A claim that was read or written; ``etag`` is expected by the next compare-and-swap."""

    number: int
    state: str
    token: str  # random: no two claims have the same content
    since: str
    manifest: Manifest | None = None  # once published: the cleanup can write a missing manifest
    moved: bool = False  # created by a move, for the version in ``manifest``
    etag: str = ""

    def body(self) -> bytes:
        record = asdict(self)
        del record["etag"]
        return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


class Claims:
    """The claims of all models in a bucket."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket, self._root = bucket, root

    def key(self, name: str, number: int) -> str:
        return f"{self.prefix(name)}{number}.json"

    def prefix(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}/claims/"

    def numbers(self, name: str) -> dict[int, tuple[str, float]]:
        """Return every claimed number with the claim's ETag and time of writing (seconds, the server's clock)."""
        claims = {}
        prefix = self.prefix(name)
        for listed in self._bucket.list(prefix):
            stem = listed.key[len(prefix) :].removesuffix(".json")
            if is_version(stem) and listed.key == self.key(name, int(stem)):
                claims[int(stem)] = listed.etag, listed.modified.timestamp()
        return claims

    def read(self, name: str, number: int) -> Claim | None:
        key = self.key(name, number)
        found = self._bucket.get(key)
        if found is None:
            return None
        with reading(self._bucket.path(key), "Delete it if its version is complete."):
            try:
                claim = Claim(**{**json.loads(found.body), "etag": found.etag})
            except TypeError:
                raise ValueError("it is not a claim") from None
            if claim.number != number or claim.state not in STATES or not isinstance(claim.manifest, dict | None):
                raise ValueError(f"it is not a claim on version {number}")
            return claim

    def make(self, name: str, number: int, state: str = PUBLISHING, manifest: Version | None = None) -> Claim | None:
        """Claim ``number``; return None if it is claimed already."""
        claim = Claim(
            number,
            state,
            secrets.token_hex(8),
            now(),
            manifest.as_manifest() if manifest else None,
            manifest is not None,
        )
        etag = self._bucket.put(self.key(name, number), claim.body(), expected=None)
        return replace(claim, etag=etag) if etag else None

    def move(self, name: str, claim: Claim, state: str, manifest: Manifest | None = None) -> Claim | None:
        """Change the state of ``claim`` and take it over; return None if it changed in the meantime."""
        new = replace(
            claim, state=state, token=secrets.token_hex(8), since=now(), manifest=manifest or claim.manifest, etag=""
        )
        etag = self._bucket.put(self.key(name, claim.number), new.body(), expected=claim.etag)
        return replace(new, etag=etag) if etag else None


class Versions:
    """The versions of all models below ``root`` in a bucket."""

    def __init__(self, bucket: Bucket, claims: Claims, root: str) -> None:
        self._bucket, self._claims, self._root = bucket, claims, root
        self._listed: dict[tuple[str, int], tuple[str, Version]] = {}  # with the ETag of its claim, to detect changes

    def key(self, name: str, version: str, file: str) -> str:
        """Return the key of a file; of the version's folder if ``file`` is empty."""
        return f"{self._root}/{check_name(name)}/{check_version(version)}/{check_file(file) if file else ''}"

    def folders(self, name: str) -> builtins.list[int]:
        """Return the numbers below which there are, or were, objects."""
        return [int(f) for f in self._bucket.folders(f"{self._root}/{check_name(name)}/") if is_version(f)]

    def last(self, name: str) -> int:
        with ThreadPoolExecutor(2) as pool:
            folders, claims = pool.submit(self.folders, name), pool.submit(self._claims.numbers, name)
            return max([*claims.result(), *folders.result()], default=0)

    def all(self, name: str) -> dict[str, Version | Damaged]:
        """Return every version, oldest first, or the error if its manifest is damaged."""
        claims = self._claims.numbers(name)
        numbers = sorted({*claims, *self.folders(name)})  # a version that was copied by other tools has no claim
        with ThreadPoolExecutor(THREADS) as pool:
            versions = pool.map(lambda number: self._read(name, number, claims.get(number, ("", 0.0))[0]), numbers)
            return {str(number): version for number, version in zip(numbers, versions, strict=True) if version}

    def _read(self, name: str, number: int, etag: str) -> Version | Damaged | None:
        """Read a version's manifest; cached until its claim changes."""
        cached = self._listed.get((name, number))
        if cached and etag and cached[0] == etag:
            return cached[1]
        try:
            found = self.manifest(name, str(number))
        except Damaged as error:
            return error
        if found is None:
            return None
        with suppress(Damaged):  # the claim only decides about caching
            claim = self._claims.read(name, number) if etag else None
            if claim and claim.etag == etag and claim.state == PUBLISHED:
                self._listed[name, number] = etag, found[0]
        return found[0]

    def manifest(self, name: str, version: str) -> tuple[Version, bytes] | None:
        """Return a version and its stored manifest; None if there is no such version.

        Raises:
            Damaged: it is not a valid manifest of that version.
        """
        key = self.key(name, version, MANIFEST)
        found = self._bucket.get(key)
        if found is None:
            return None
        with reading(self._bucket.path(key), MEND_MANIFEST):
            return Version.read(json.loads(found.body), name, version), found.body

    def existing_version(self, name: str, version: str) -> tuple[Version, bytes]:
        """Like ``manifest``, but raise PantheonError if there is no such version."""
        found = self.manifest(name, version)
        if found is None:
            existing = ", ".join(self.all(name)) or "none"
            raise PantheonError(f"there is no version {version} of model {name!r}.", f"Existing versions: {existing}.")
        return found

    def problem(self, name: str, version: str, file: str, digest: str | None) -> str:
        """Return the problem of a file whose stored SHA-256 is ``digest``; None: it is missing."""
        path = self._bucket.path(self.key(name, version, file))
        if digest is None:
            return f"{path} is missing: version {version} of {name} is damaged."
        return f"{path} differs from the published file: its checksum does not match."

    def claim(self, name: str) -> Claim:
        """Claim the number of a new version."""
        number, pause = self.last(name) + 1, FIRST_PAUSE
        while (claim := self._claims.make(name, number)) is None:  # claimed by another publisher
            time.sleep(random.uniform(0, pause))  # noqa: S311 - so that publishers do not collide again
            pause = min(pause * 2, LONGEST_PAUSE)
            number = max(number, *self._claims.numbers(name)) + 1
        return claim

    @contextmanager
    def owned(self, name: str, claim: Claim) -> Iterator[None]:
        """Abandon the claimed version if the block fails, and remove what it wrote, if S3 can be reached."""
        try:
            yield
        except BaseException:  # Ctrl-C too
            once = self._bucket.once()
            with suppress(PantheonError):  # S3 may be unreachable: `sweep` does it later; the original error is raised
                if Claims(once, self._root).move(name, claim, ABANDONED):  # not if it is published or taken over
                    once.purge(self.key(name, str(claim.number), ""))
            raise

    def upload(self, name: str, version: str, folder: Path, files: Sequence[str]) -> dict[str, StoredFile]:
        """Store the files of a version; return the checksums of the sent bytes."""

        def send(file: str) -> StoredFile:
            digest, size = self._bucket.upload(self.key(name, version, file), folder / file)
            return {"sha256": digest, "size": size}

        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(files, pool.map(send, files), strict=True))

    def complete(self, name: str, claim: Claim, version: Version) -> None:
        """Do the last two steps: set the claim to published, and write the manifest."""
        body = (json.dumps(version.as_manifest(), indent=1, allow_nan=False) + "\n").encode()
        if self._claims.move(name, claim, PUBLISHED, json.loads(body)) is None:
            raise PantheonError(
                f"version {version.version} of {name} was removed by a cleanup before it was complete.",
                "Nothing was published. Try again.",
                status=1,
            )
        self.write_manifest(name, version.version, body)

    def write_manifest(self, name: str, version: str, body: bytes) -> None:
        key = self.key(name, version, MANIFEST)
        if self._bucket.put(key, body, expected=None) is None:
            there = self._bucket.get(key)
            if there is None or there.body != body:
                raise PantheonError(f"{self._bucket.path(key)} was written by another process.", DAMAGED, status=1)
