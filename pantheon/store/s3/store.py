"""A model store in S3: ``s3://BUCKET/models/NAME/VERSION/{files…, manifest.json}``, safe between machines.

- A version's number is claimed by a conditional put (see ``versions``). The files are written first, the manifest last:
  a version without a manifest does not exist.
- Aliases and routing policies are moved by compare-and-swap (see ``aliases``, ``policies``).
- Versions are cached on this machine when they are read (see ``cache``); the manifest contains all checksums.
"""

import builtins
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.store.cache import Cache
from pantheon.store.policies import StoredPolicy, must_be_unnamed
from pantheon.store.records import (
    MANIFEST,
    Alias,
    Damaged,
    Metadata,
    Version,
    check_name,
    check_version,
    files_of,
    is_name,
    now,
)
from pantheon.store.s3.aliases import Aliases
from pantheon.store.s3.bucket import Bucket
from pantheon.store.s3.policies import Policies
from pantheon.store.s3.versions import ABANDONED, DAMAGED, PUBLISHED, PUBLISHING, REMOVED, Claim, Claims, Versions

ROOT = "models"


class S3Store(ModelStore):
    """Models in ``bucket``.

    Args:
        endpoint: address of the S3; empty for AWS.
        credentials: an AWS INI file with the keys; None: boto3's default chain.
        cache: folder for this machine's copies.
        retry_seconds: how long to retry a failed request; 0: do not retry.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str = "",
        region: str = "us-east-1",
        credentials: Path | None = None,
        cache: Path,
        retry_seconds: float = 20.0,
    ) -> None:
        self.bucket = Bucket(bucket, endpoint, region, credentials, retry_seconds)
        self.where = self.bucket.path(ROOT)
        self._cache = Cache(cache)
        self._claims = Claims(self.bucket, ROOT)
        self._aliases = Aliases(self.bucket, ROOT)
        self._policies = Policies(self.bucket, ROOT)
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
        return self._versions.existing_version(name, version)[0]

    def get(self, name: str, version: str) -> Path:
        described, manifest = self._versions.existing_version(name, version)

        def fetch(file: str, path: Path) -> None:
            key = self._versions.key(name, version, file)
            digest = self.bucket.fetch(key, path)
            if digest != described.files[file]["sha256"]:
                raise PantheonError(self._versions.problem(name, version, file, digest), DAMAGED, status=1)

        return self._cache.get(described, manifest, fetch)

    def verify(self, name: str, version: str) -> builtins.list[str]:
        try:
            described, manifest = self._versions.existing_version(name, version)
            claim = self._claims.read(name, int(version))
        except Damaged as error:
            return [error.cause]
        problems = []
        if claim and claim.manifest is not None and json.loads(manifest) != claim.manifest:
            problems.append(
                f"{self.bucket.path(self._versions.key(name, version, MANIFEST))} differs from the published manifest."
            )
        for file, expected in described.files.items():
            try:
                digest = self.bucket.digest(self._versions.key(name, version, file))
            except Damaged as error:
                problems.append(error.cause)
                continue
            if digest != expected["sha256"]:
                problems.append(self._versions.problem(name, version, file, digest))
        return problems

    def publish(self, name: str, folder: Path, metadata: Metadata) -> str:
        files = files_of(folder)
        json.dumps(dict(metadata), allow_nan=False)  # check it before anything is written
        with self._cache.lock(
            check_name(name), ".claim.lock"
        ):  # saves retries: the conditional put ensures correctness
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
        elif claim.manifest == version.as_manifest() or claim.state in (ABANDONED, REMOVED):
            # The rest of a killed move, or an earlier version with this number: take over by compare-and-swap.
            claim = self._claims.move(name, claim, PUBLISHING, version.as_manifest())
        else:
            claim = None
        if claim is None:
            raise self._taken(version)
        with self._versions.owned(name, claim):
            if found is not None:  # the rest of a killed removal
                self.bucket.delete(self._versions.key(name, version.version, MANIFEST))
            if self._versions.upload(name, version.version, folder, sorted(version.files)) != version.files:
                raise PantheonError(f"a file in {folder} differs from the published one.", DAMAGED, status=1)
            self._versions.complete(name, claim, version)
        return True

    def _taken(self, version: Version) -> PantheonError:
        path = self.bucket.path(self._versions.key(version.model, version.version, ""))
        return PantheonError(f"{path} is another version {version.version} of {version.model}.", status=1)

    def remove(self, name: str, version: str) -> None:
        key = self._versions.key(name, version, MANIFEST)
        if self.bucket.get(key) is None:
            self._versions.existing_version(name, version)
        self._unnamed(name, version)
        claim = self._claims.read(name, int(version))
        gone = self._claims.move(name, claim, REMOVED) if claim else self._claims.make(name, int(version), REMOVED)
        if gone is None:
            raise PantheonError(f"version {version} of {name} is being changed by another process.", status=1)
        try:
            self._unnamed(name, version)  # a concurrent promote sees our claim, or we see its alias
        except PantheonError:
            self._claims.move(name, gone, PUBLISHED)
            raise
        self.bucket.delete(key)
        self.bucket.purge(self._versions.key(name, version, ""))

    def _unnamed(self, name: str, version: str) -> None:
        must_be_unnamed(name, version, self._aliases.all(name), self.policy(name))

    def sweep(self, name: str, older_than: float) -> builtins.list[str]:
        """As ``ModelStore.sweep``; complete a version that lacks only its manifest, remove other incomplete ones.

        Ages are measured with the server's clock. A publisher that is still running fails, since its claim has changed.
        """
        bucket, claims, versions, done = self.bucket, self._claims, self._versions, []
        clock = bucket.time().timestamp()
        written = claims.numbers(check_name(name))
        for number in sorted({*written, *versions.folders(name)}):
            prefix = versions.key(name, str(number), "")
            objects = {found.key: found.modified.timestamp() for found in bucket.list(prefix)}
            newest = max([written.get(number, ("", 0.0))[1], *objects.values()])
            complete = prefix + MANIFEST in objects
            if clock - newest < older_than:
                continue
            try:
                claim = claims.read(name, number) if number in written else None
            except Damaged as error:  # its owner is unknown: report it, and continue with the others
                done.append(f"{error.cause} Its version is not changed. {error.cure}")
                continue
            if claim is None:
                if objects and not complete:  # files without a claim
                    claim = claims.make(name, number, ABANDONED)
                    if claim:
                        done.append(self._purged(prefix))
            elif claim.state == REMOVED:
                done += self._finish_removal(name, claim, prefix, bool(objects))
            elif complete:
                continue
            elif claim.state == PUBLISHED and claim.manifest is not None:
                body = (json.dumps(claim.manifest, indent=1, allow_nan=False) + "\n").encode()
                versions.write_manifest(name, str(number), body)
                done.append(f"{bucket.path(prefix)}: only the manifest was missing, written")
            elif claim.state == PUBLISHING:
                if claims.move(name, claim, ABANDONED):
                    done.append(self._purged(prefix))
            elif objects:
                done.append(self._purged(prefix))
        return done

    def _finish_removal(self, name: str, claim: Claim, prefix: str, exists: bool) -> builtins.list[str]:
        """Finish a killed removal, or revert it if an alias names the version."""
        if not exists:
            return []
        if any(record.version == str(claim.number) for record in self._aliases.all(name).values()):
            self._claims.move(name, claim, PUBLISHED)
            return [f"{self.bucket.path(prefix)}: an alias names it, removal reverted"]
        self.bucket.delete(prefix + MANIFEST)
        return [self._purged(prefix)]

    def _purged(self, prefix: str) -> str:
        self.bucket.purge(prefix)
        return f"{self.bucket.path(prefix)}: incomplete, removed"

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
        self.describe(name, version)  # an alias must name an existing version
        before = self._aliases.get(name, alias)
        if not self._aliases.swap(name, version, alias, expected, by, note):
            return False
        claim = self._claims.read(name, int(version))
        if claim and claim.state == REMOVED:  # by another process, in the meantime
            if before and before.version != version:
                self._aliases.swap(name, before.version, alias, version, before.by, before.note)
            else:
                self._aliases.drop(name, alias, version)
            self._versions.existing_version(name, version)
            raise PantheonError(f"version {version} of {name} is being removed.", status=1)
        return True

    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        return self._aliases.drop(name, alias, expected)

    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        self._aliases.take(name, alias, record)

    def policy(self, name: str) -> StoredPolicy | None:
        return self._policies.get(name)

    def swap_policy(self, name: str, policy: StoredPolicy | None, expected: str | None) -> bool:
        return self._policies.swap(name, policy, expected)

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
