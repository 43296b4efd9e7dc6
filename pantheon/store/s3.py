"""A model store in S3: ``s3://BUCKET/models/NAME/VERSION/{files…, manifest.json}``, safe between machines.

- A version's number is claimed by a conditional put (see ``s3_claims``). Its files come first, its manifest last: a
  version without a manifest does not exist.
- Aliases move by compare-and-swap (see ``s3_aliases``).
- What is read is copied to this machine (see ``cache``); every checksum is ours, in the manifest.
"""

import builtins
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.store.bucket import Bucket
from pantheon.store.cache import Cache
from pantheon.store.records import MANIFEST, Alias, Damaged, Version, check_name, check_version, files_of, is_name, now
from pantheon.store.s3_aliases import Aliases
from pantheon.store.s3_claims import ABANDONED, PUBLISHED, PUBLISHING, REMOVED, Claims
from pantheon.store.s3_sweep import sweep
from pantheon.store.s3_versions import DAMAGED, Versions

ROOT = "models"


class S3Store(ModelStore):
    """Models in ``bucket``.

    Args:
        endpoint: address of the S3; empty for AWS itself.
        credentials: an AWS INI file with the keys; None: boto3's own chain.
        cache: folder for this machine's copies.
        patience: seconds in which a request that did not get through is tried again; 0 tries once.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str = "",
        region: str = "us-east-1",
        credentials: Path | None = None,
        cache: Path,
        patience: float = 20.0,
    ) -> None:
        self.bucket = Bucket(bucket, endpoint, region, credentials, patience)
        self.where = self.bucket.path(ROOT)
        self._cache = Cache(cache)
        self._claims = Claims(self.bucket, ROOT)
        self._aliases = Aliases(self.bucket, ROOT)
        self._versions = Versions(self.bucket, self._claims, ROOT)

    def names(self) -> builtins.list[str]:
        found = self.bucket.folders(f"{ROOT}/")
        return sorted(name for name in found if is_name(name) and (self._versions.all(name) or self._aliases.all(name)))

    def list(self, name: str) -> builtins.list[Version]:
        return [each for each in self._versions.all(check_name(name)).values() if isinstance(each, Version)]

    def damaged(self, name: str) -> dict[str, Damaged]:
        found = self._versions.all(check_name(name))
        return {number: each for number, each in found.items() if isinstance(each, Damaged)}

    def describe(self, name: str, version: str) -> Version:
        return self._versions.whole(name, version)[0]

    def get(self, name: str, version: str) -> Path:
        described, manifest = self._versions.whole(name, version)

        def fetch(file: str, path: Path) -> None:
            key = self._versions.key(name, version, file)
            digest = self.bucket.fetch(key, path)
            if digest != described.files[file]["sha256"]:
                raise PantheonError(self._versions.problem(name, version, file, digest), DAMAGED, status=1)

        return self._cache.get(described, manifest, fetch)

    def verify(self, name: str, version: str) -> builtins.list[str]:
        try:
            described, manifest = self._versions.whole(name, version)
            claim = self._claims.read(name, int(version))
        except Damaged as error:
            return [error.cause]
        problems = []
        if claim and claim.manifest is not None and json.loads(manifest) != claim.manifest:
            problems.append(
                f"{self.bucket.path(self._versions.key(name, version, MANIFEST))} is not what was published."
            )
        for file, expected in described.files.items():
            digest = self.bucket.digest(self._versions.key(name, version, file))
            if digest != expected["sha256"]:
                problems.append(self._versions.problem(name, version, file, digest))
        return problems

    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str:
        files = files_of(folder)
        json.dumps(dict(metadata), allow_nan=False)  # before anything is written
        with self._cache.lock(check_name(name), ".claim.lock"):  # a courtesy: correctness rests on the conditional put
            claim = self._versions.claim(name)
        with self._versions.owned(name, claim):
            sums = self._versions.upload(name, str(claim.number), folder, files)
            self._versions.complete(name, claim, Version(name, str(claim.number), now(), sums, dict(metadata)))
        return str(claim.number)

    def take(self, version: Version, folder: Path) -> bool:
        name, number = version.model, int(check_version(version.version))
        found = self._versions.manifest(name, version.version)
        claim = self._claims.read(name, number)
        if found is not None and not (claim and claim.state in (PUBLISHING, REMOVED)):
            if found[0] == version:
                return False
            raise self._taken(version)
        if claim is None:
            claim = self._claims.make(name, number, manifest=version)
        elif claim.manifest == asdict(version) or claim.state in (ABANDONED, REMOVED):
            # What a killed move left, or a version that was here before: ours by compare-and-swap.
            claim = self._claims.move(name, claim, PUBLISHING, asdict(version))
        else:
            claim = None
        if claim is None:
            raise self._taken(version)
        with self._versions.owned(name, claim):
            if found is not None:  # of a removal that was killed
                self.bucket.delete(self._versions.key(name, version.version, MANIFEST))
            if self._versions.upload(name, version.version, folder, sorted(version.files)) != version.files:
                raise PantheonError(f"a file in {folder} is not what was published.", DAMAGED, status=1)
            self._versions.complete(name, claim, version)
        return True

    def _taken(self, version: Version) -> PantheonError:
        path = self.bucket.path(self._versions.key(version.model, version.version, ""))
        return PantheonError(f"{path} is another version {version.version} of {version.model}.", status=1)

    def remove(self, name: str, version: str) -> None:
        key = self._versions.key(name, version, MANIFEST)
        if self.bucket.get(key) is None:
            self._versions.whole(name, version)
        self._unnamed(name, version)
        claim = self._claims.read(name, int(version))
        gone = self._claims.move(name, claim, REMOVED) if claim else self._claims.make(name, int(version), REMOVED)
        if gone is None:
            raise PantheonError(f"version {version} of {name} is being changed by another process.", status=1)
        try:
            self._unnamed(name, version)  # whoever promoted it meanwhile sees our claim, or we see the alias
        except PantheonError:
            self._claims.move(name, gone, PUBLISHED)
            raise
        self.bucket.delete(key)
        self.bucket.purge(self._versions.key(name, version, ""))

    def _unnamed(self, name: str, version: str) -> None:
        for alias, record in self._aliases.all(name).items():
            if record.version == version:
                raise PantheonError(
                    f"version {version} of {name} is its {alias}.", "Promote another version first.", status=1
                )

    def sweep(self, name: str, older_than: float) -> builtins.list[str]:
        return sweep(self.bucket, self._claims, self._versions, self._aliases, check_name(name), older_than)

    def last(self, name: str) -> int:
        return self._versions.last(name)

    def reserve(self, name: str, number: int) -> None:
        if number > self.last(name):
            self._claims.make(name, number, REMOVED)

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        return self._aliases.get(name, alias)

    def aliases(self, name: str) -> builtins.list[str]:
        return sorted(self._aliases.all(name))

    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        self.describe(name, version)  # an alias never names what is not there
        before = self._aliases.get(name, alias)
        if not self._aliases.swap(name, version, alias, expected, by, note):
            return False
        claim = self._claims.read(name, int(version))
        if claim and claim.state == REMOVED:  # by somebody, since we looked
            if before and before.version != version:
                self._aliases.swap(name, before.version, alias, version, before.by, before.note)
            else:
                self._aliases.drop(name, alias, version)
            self._versions.whole(name, version)
            raise PantheonError(f"version {version} of {name} is being removed.", status=1)
        return True

    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        return self._aliases.drop(name, alias, expected)

    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        self._aliases.take(name, alias, record)

    def history(self, name: str, alias: str = "champion") -> builtins.list[Alias] | None:
        return self._aliases.history(name, alias)

    def at(self, name: str, moment: datetime, alias: str = "champion") -> Alias | None:
        return self._aliases.at(name, moment if moment.tzinfo else moment.replace(tzinfo=UTC), alias)

    def remember(self, name: str, record: Alias, folder: Path) -> None:
        self._cache.remember(name, record, folder)

    def remembered(self, name: str) -> tuple[Alias, Path] | None:
        return self._cache.remembered(check_name(name))

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        with self._cache.lock(check_name(name), ".deploy.lock"):
            yield
