"""Who owns a version's number in S3: ``models/NAME/claims/VERSION.json``.

A claim is made by a conditional put, so a number has one owner, and moves by compare-and-swap:

    publishing → published   the publisher, after the last file and before the manifest
    publishing → abandoned   whoever clears up after a publisher that was killed
    published → removed      whoever removes the version

So a publisher that slept for a week and wakes after the clearing up finds that it lost, and writes no manifest over
files that are gone. Claims stay for ever: a number is never given twice.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pantheon.store.bucket import Bucket
from pantheon.store.records import Version, check_name, is_version, now, reading

PUBLISHING, PUBLISHED, ABANDONED, REMOVED = STATES = "publishing", "published", "abandoned", "removed"


@dataclass(frozen=True)
class Claim:
    """A claim as it was read or written; ``etag`` is what the next compare-and-swap expects."""

    number: int
    state: str
    token: str  # of who made it: two claims are never the same bytes
    since: str
    manifest: Mapping[str, Any] | None = None  # once published: whoever finds the manifest missing can write it
    moved: bool = False  # made by a move, for the version in ``manifest``
    etag: str = ""

    def body(self) -> bytes:
        record = asdict(self)
        del record["etag"]
        return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


class Claims:
    """The claims of every model in a bucket."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket, self._root = bucket, root

    def key(self, name: str, number: int) -> str:
        return f"{self.prefix(name)}{number}.json"

    def prefix(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}/claims/"

    def numbers(self, name: str) -> dict[int, tuple[str, float]]:
        """Every number ever claimed: the claim's ETag, and when it was written (seconds, the server's clock)."""
        found = {}
        prefix = self.prefix(name)
        for each in self._bucket.list(prefix):
            stem = each.key[len(prefix) :].removesuffix(".json")
            if is_version(stem) and each.key == self.key(name, int(stem)):
                found[int(stem)] = each.etag, each.modified.timestamp()
        return found

    def read(self, name: str, number: int) -> Claim | None:
        key = self.key(name, number)
        found = self._bucket.get(key)
        if found is None:
            return None
        with reading(self._bucket.path(key), "Delete it where its version is whole."):
            try:
                claim = Claim(**{**json.loads(found.body), "etag": found.etag})
            except TypeError:
                raise ValueError("it is no claim") from None
            if claim.number != number or claim.state not in STATES or not isinstance(claim.manifest, dict | None):
                raise ValueError(f"it is no claim on version {number}")
            return claim

    def make(self, name: str, number: int, state: str = PUBLISHING, manifest: Version | None = None) -> Claim | None:
        """A claim of ours on ``number``; None where somebody has it."""
        claim = Claim(
            number, state, secrets.token_hex(8), now(), asdict(manifest) if manifest else None, manifest is not None
        )
        etag = self._bucket.put(self.key(name, number), claim.body(), expected=None)
        return replace(claim, etag=etag) if etag else None

    def move(self, name: str, claim: Claim, state: str, manifest: Mapping[str, Any] | None = None) -> Claim | None:
        """``claim`` in a new state, its owner now us; None where somebody moved it meanwhile."""
        new = replace(
            claim, state=state, token=secrets.token_hex(8), since=now(), manifest=manifest or claim.manifest, etag=""
        )
        etag = self._bucket.put(self.key(name, claim.number), new.body(), expected=claim.etag)
        return replace(new, etag=etag) if etag else None
