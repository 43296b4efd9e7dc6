"""The interface of a model store, and the code that all implementations share.

Layout, the same in a folder and in a bucket: ``NAME/VERSION/{files…, manifest.json}``, ``NAME/aliases/ALIAS.json`` and
``NAME/policy.json``, the routing policy.
A version without ``manifest.json`` does not exist; the manifest carries a checksum of every file.
"""

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.store.policies import StoredPolicy
from pantheon.store.records import ANY, Alias, Damaged, Metadata, Version

CURES = {  # what to do if a model has no such alias
    "champion": "`bin/pantheon run` trains and deploys one.",
    "challenger": "`bin/pantheon run --approval required` trains one.",
}


class ModelStore(ABC):
    """Publish, list and get versions, and move aliases. ``tests/parts/store/test_contract.py`` tests implementations.

    Errors are ``PantheonError``: status 2 if something does not exist, 1 if it is damaged or changed in the meantime.

    Attributes:
        where: the store's address for people: a folder, or ``s3://BUCKET/models``.
    """

    where: str

    @abstractmethod
    def names(self) -> list[str]:
        """Return the models with at least one version, damaged or not, or an alias; sorted."""

    @abstractmethod
    def list(self, name: str) -> list[Version]:
        """Return the complete versions of ``name``, oldest first, without ``damaged`` ones; empty for no such model."""

    @abstractmethod
    def damaged(self, name: str) -> dict[str, Damaged]:
        """Return the versions whose manifest is damaged, which ``list`` omits, with the error of ``describe``."""

    @abstractmethod
    def describe(self, name: str, version: str) -> Version:
        """Return a version's manifest.

        Raises:
            PantheonError: there is no such version; ``Damaged`` if its manifest is not valid.
        """

    @abstractmethod
    def get(self, name: str, version: str) -> Path:
        """Return a local folder with the version's files; all checksums are verified."""

    @abstractmethod
    def publish(self, name: str, folder: Path, metadata: Metadata) -> str:
        """Store all files in ``folder`` as a new version, atomically; return its number."""

    @abstractmethod
    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        """Return what ``alias`` names; None if it names nothing.

        Raises:
            Damaged: its record cannot be read.
        """

    @abstractmethod
    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        """Point ``alias`` at ``version`` if it names ``expected`` (None: nothing; ``ANY``: anything): compare and swap.

        Returns:
            False if the alias names something else; then nothing is changed.
        """

    @abstractmethod
    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        """Remove ``alias`` if it names ``expected``; return False if it does not."""

    @abstractmethod
    def verify(self, name: str, version: str) -> builtins.list[str]:
        """Check a stored version; return its problems, with the names of the files; empty if it is intact.

        Raises:
            PantheonError: there is no such version.
        """

    @abstractmethod
    def remove(self, name: str, version: str) -> None:
        """Delete a version; its number is never used again.

        Raises:
            PantheonError: an alias or the routing policy names it, or there is no such version.
        """

    @abstractmethod
    def sweep(self, name: str, older_than: float) -> builtins.list[str]:
        """Remove incomplete versions of killed publishers that are at least ``older_than`` seconds old.

        Returns:
            Messages about what was removed, and what was kept because a claim is damaged.
        """

    @abstractmethod
    def take(self, version: Version, folder: Path) -> bool:
        """Store the files of ``folder`` as ``version``, with the same number, date and metadata.

        Returns:
            False if this version exists already.

        Raises:
            PantheonError: another version has that number, or a file does not match the manifest.
        """

    @abstractmethod
    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        """Set an alias to ``record``, including its dates, unless it is equal already.

        For a move, which copies the complete history of an alias: it may name versions that were removed.
        """

    @abstractmethod
    def aliases(self, name: str) -> builtins.list[str]:
        """Return the aliases that name a version, sorted."""

    @abstractmethod
    def policy(self, name: str) -> StoredPolicy | None:
        """Return the routing policy of a model; None without one.

        Raises:
            Damaged: it cannot be read; then the champion answers.
        """

    @abstractmethod
    def swap_policy(self, name: str, policy: StoredPolicy | None, expected: str | None) -> bool:
        """Replace the routing policy, or remove it (None), if it is the expected one: compare and swap.

        A move of the store copies policies with this method, including their dates.

        Args:
            expected: the token of the policy that it replaces; None: there must be none; ``ANY``: whatever is there,
                even a damaged one.

        Returns:
            False if there is another policy; then nothing is changed.
        """

    @abstractmethod
    def last(self, name: str) -> int:
        """Return the highest number that a version of ``name`` ever had, including removed ones; 0 for none."""

    @abstractmethod
    def reserve(self, name: str, number: int) -> None:
        """Give new versions only numbers above ``number``."""

    def history(self, name: str, alias: str = "champion") -> builtins.list[Alias] | None:
        """Return the history of ``alias``, newest first; None if this store keeps no history."""
        return None

    def at(self, name: str, moment: datetime, alias: str = "champion") -> Alias | None:
        """Return what ``alias`` named at ``moment`` (UTC without a time zone); None if that is unknown."""
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        records = self.history(name, alias) or []
        return next((record for record in records if datetime.fromisoformat(record.since) <= moment), None)

    def remember(self, name: str, record: Alias, folder: Path) -> None:
        """Record that ``record`` is served from ``folder``, for a time when the store cannot be reached."""
        return

    def remembered(self, name: str) -> tuple[Alias, Path] | None:
        """Return what ``remember`` recorded, with verified files, without a request to the store; None for nothing."""
        return None

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        """Serialise deploys of ``name``. It only saves duplicate work: correctness is ensured by ``swap``."""
        yield

    def promote(
        self,
        name: str,
        version: str,
        alias: str = "champion",
        *,
        expected: str | None = ANY,
        by: str = "",
        note: str = "",
    ) -> Alias:
        """Point ``alias`` at ``version``.

        Raises:
            PantheonError: the alias does not name ``expected``, or there is no such version.
        """
        if not self.swap(name, version, alias, expected=expected, by=by, note=note):
            now = self.alias(name, alias)
            raise PantheonError(
                f"the {alias} of {name} is {'version ' + now.version if now else 'nothing'}, "
                f"not {'version ' + expected if expected else 'nothing'}: it changed in the meantime.",
                "Check its current version (`bin/pantheon models list`), then try again.",
                status=1,
            )
        return self.resolve(name, alias)

    def resolve(self, name: str, alias: str = "champion") -> Alias:
        """Return what ``alias`` names.

        Raises:
            PantheonError: it names nothing.
        """
        record = self.alias(name, alias)
        if record is None:
            cure = CURES.get(alias, "`bin/pantheon models list` shows versions and aliases.")
            raise PantheonError(f"model {name!r} has no {alias}.", cure)
        return record

    def rollback(self, name: str, *, to: str | None = None, by: str = "", note: str = "") -> Alias:
        """Make the previous champion, or ``to``, the champion, after verifying it.

        Raises:
            PantheonError: there is no previous champion, it is damaged, or the alias changed in the meantime.
        """
        champion = self.resolve(name)
        target = to or champion.previous
        if target is None:
            raise PantheonError(
                f"version {champion.version} of {name} is its first champion: there is no previous one.",
                "`bin/pantheon models list` shows the versions; then `bin/pantheon models rollback --to VERSION`.",
            )
        if target == champion.version:
            raise PantheonError(f"version {target} of {name} is already the champion.")
        if problems := self.verify(name, target):
            raise PantheonError(
                f"version {target} of {name} is damaged: {problems[0]}",
                "`bin/pantheon models list` shows the other versions.",
                status=1,
            )
        return self.promote(
            name, target, expected=champion.version, by=by, note=note or f"rollback from version {champion.version}"
        )

    def approve(self, name: str, *, version: str | None = None, by: str = "", note: str = "") -> Alias:
        """Make the challenger the champion; if ``version`` is given, the challenger must be that version.

        Raises:
            PantheonError: there is no challenger, or it is another version.
        """
        challenger = self.resolve_challenger(name, version)
        champion = self.alias(name, "champion")
        approved = self.promote(
            name,
            challenger.version,
            "champion",
            expected=champion.version if champion else None,
            by=by,
            note=note or challenger.note,
        )
        self.drop(name, "challenger", expected=challenger.version)
        return approved

    def hold(self, name: str, *, version: str | None = None, by: str = "", note: str = "") -> Alias:
        """Keep the challenger as a challenger, with a note that explains why."""
        challenger = self.resolve_challenger(name, version)
        return self.promote(name, challenger.version, "challenger", expected=challenger.version, by=by, note=note)

    def resolve_challenger(self, name: str, version: str | None = None) -> Alias:
        challenger = self.alias(name, "challenger")
        if challenger is None:
            raise PantheonError(
                f"model {name!r} has no challenger to approve or hold.",
                "`bin/pantheon run --approval required` makes one.",
            )
        if version is not None and version != challenger.version:
            raise PantheonError(
                f"the challenger of {name} is version {challenger.version}, not {version}.",
                "Review that version, then decide.",
                status=1,
            )
        return challenger
