"""Versions in S3: their keys and manifests, and how one comes to be there."""

import builtins
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.bucket import FIRST_PAUSE, LONGEST_PAUSE, Bucket
from pantheon.store.records import (
    MANIFEST,
    MEND_MANIFEST,
    Damaged,
    Version,
    check_file,
    check_name,
    check_version,
    is_version,
    reading,
)
from pantheon.store.s3_claims import ABANDONED, PUBLISHED, Claim, Claims

THREADS = 4  # requests at once
DAMAGED = "Promote another version, or run the workflow again to publish anew."


class Versions:
    """The versions of every model below ``root`` in a bucket."""

    def __init__(self, bucket: Bucket, claims: Claims, root: str) -> None:
        self._bucket, self._claims, self._root = bucket, claims, root
        self._listed: dict[tuple[str, int], tuple[str, Version]] = {}  # with the ETag of its claim, which tells changes

    def key(self, name: str, version: str, file: str) -> str:
        """The key of a file; of the whole version's folder where ``file`` is empty."""
        return f"{self._root}/{check_name(name)}/{check_version(version)}/{check_file(file) if file else ''}"

    def folders(self, name: str) -> builtins.list[int]:
        """Numbers below which there is something, or was."""
        return [int(f) for f in self._bucket.folders(f"{self._root}/{check_name(name)}/") if is_version(f)]

    def last(self, name: str) -> int:
        with ThreadPoolExecutor(2) as pool:
            folders, claims = pool.submit(self.folders, name), pool.submit(self._claims.numbers, name)
            return max([*claims.result(), *folders.result()], default=0)

    def all(self, name: str) -> dict[str, Version | Damaged]:
        """Every version, oldest first, or why its manifest cannot be read."""
        claims = self._claims.numbers(name)
        numbers = sorted({*claims, *self.folders(name)})  # a version that came by other means has no claim
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(lambda number: self._look(name, number, claims.get(number, ("", 0.0))[0]), numbers)
            return {str(number): each for number, each in zip(numbers, found, strict=True) if each}

    def _look(self, name: str, number: int, etag: str) -> Version | Damaged | None:
        """A version as its manifest says; without asking again while its claim is as it was."""
        known = self._listed.get((name, number))
        if known and etag and known[0] == etag:
            return known[1]
        try:
            found = self.manifest(name, str(number))
        except Damaged as error:
            return error
        if found is None:
            return None
        with suppress(Damaged):  # the claim only says whether to look again
            claim = self._claims.read(name, number) if etag else None
            if claim and claim.etag == etag and claim.state == PUBLISHED:
                self._listed[name, number] = etag, found[0]
        return found[0]

    def manifest(self, name: str, version: str) -> tuple[Version, bytes] | None:
        """A version and its manifest as it is stored; None where there is none.

        Raises:
            Damaged: it is no manifest of that version.
        """
        key = self.key(name, version, MANIFEST)
        found = self._bucket.get(key)
        if found is None:
            return None
        with reading(self._bucket.path(key), MEND_MANIFEST):
            return Version.read(json.loads(found.body), name, version), found.body

    def whole(self, name: str, version: str) -> tuple[Version, bytes]:
        """Like ``manifest``; PantheonError where there is none."""
        found = self.manifest(name, version)
        if found is None:
            known = ", ".join(self.all(name)) or "none"
            raise PantheonError(f"there is no version {version} of model {name!r}.", f"Versions there: {known}.")
        return found

    def problem(self, name: str, version: str, file: str, digest: str | None) -> str:
        """What is wrong with a file whose stored sha256 is ``digest``; None: it is not there."""
        path = self._bucket.path(self.key(name, version, file))
        if digest is None:
            return f"{path} is missing: version {version} of {name} is damaged."
        return f"{path} is not what was published: its checksum differs."

    def claim(self, name: str) -> Claim:
        """A new version's number, ours alone."""
        number, pause = self.last(name) + 1, FIRST_PAUSE
        while (claim := self._claims.make(name, number)) is None:  # somebody was faster
            time.sleep(random.uniform(0, pause))  # noqa: S311 - so that not all try the next one at once
            pause = min(pause * 2, LONGEST_PAUSE)
            number = max(number, *self._claims.numbers(name)) + 1
        return claim

    @contextmanager
    def owned(self, name: str, claim: Claim) -> Iterator[None]:
        """Write a claimed version in the block; when it fails, what was written goes away as far as S3 lets us."""
        try:
            yield
        except BaseException:  # Ctrl-C too
            once = self._bucket.once()
            with suppress(PantheonError):  # S3 may be away: `sweep` does it later. What is wrong is told already
                if Claims(once, self._root).move(name, claim, ABANDONED):  # not once it is published, or another's
                    once.purge(self.key(name, str(claim.number), ""))
            raise

    def upload(self, name: str, version: str, folder: Path, files: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Store the files of a version; the checksums of what was sent."""

        def send(file: str) -> dict[str, Any]:
            digest, size = self._bucket.upload(self.key(name, version, file), folder / file)
            return {"sha256": digest, "size": size}

        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(files, pool.map(send, files), strict=True))

    def complete(self, name: str, claim: Claim, version: Version) -> None:
        """The last two steps: the claim says published, and the manifest is there."""
        body = (json.dumps(asdict(version), indent=1, allow_nan=False) + "\n").encode()
        if self._claims.move(name, claim, PUBLISHED, json.loads(body)) is None:
            raise PantheonError(
                f"version {version.version} of {name} was cleared up before it was complete.",
                "Nothing was published; try again.",
                status=1,
            )
        self.write_manifest(name, version.version, body)

    def write_manifest(self, name: str, version: str, body: bytes) -> None:
        key = self.key(name, version, MANIFEST)
        if self._bucket.put(key, body, expected=None) is None:
            there = self._bucket.get(key)
            if there is None or there.body != body:
                raise PantheonError(f"{self._bucket.path(key)} is not ours: somebody wrote it.", DAMAGED, status=1)
