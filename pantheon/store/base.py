"""The interface of a model store, and what is common to every implementation.

Layout, the same in a folder and in a bucket: ``NAME/VERSION/{files…, manifest.json}`` and ``NAME/aliases/ALIAS.json``.
A version without ``manifest.json`` does not exist; the manifest carries a checksum of every file.
"""

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.records import ANY, Alias, Damaged, Version


class ModelStore(ABC):
    """Publish, list, get, and move aliases. Every implementation passes ``tests/store/test_contract.py``.

    Errors are ``PantheonError``: status 2 for what does not exist, 1 for what is damaged or has moved meanwhile.

    Attributes:
        where: what people call this place: a folder, or ``s3://BUCKET/models``.
    """

    where: str

    @abstractmethod
    def names(self) -> list[str]:
        """Models with at least one version, damaged or not, or an alias; sorted."""

    @abstractmethod
    def list(self, name: str) -> list[Version]:
        """The complete versions of ``name``, oldest first, but for the ``damaged``; empty for an unknown model."""

    @abstractmethod
    def damaged(self, name: str) -> dict[str, Damaged]:
        """The versions whose manifest is damaged, so that ``list`` has them not, and what ``describe`` says of each."""

    @abstractmethod
    def describe(self, name: str, version: str) -> Version:
        """One version's manifest.

        Raises:
            PantheonError: there is no such version; ``Damaged`` where its manifest is no manifest.
        """

    @abstractmethod
    def get(self, name: str, version: str) -> Path:
        """A local folder with the version's files, every checksum verified."""

    @abstractmethod
    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str:
        """Store every file under ``folder`` as a new version: complete, or as if it had never been tried."""

    @abstractmethod
    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        """What ``alias`` names now.

        Raises:
            Damaged: its record cannot be read.
        """

    @abstractmethod
    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        """Compare and swap: point ``alias`` at ``version`` if it names ``expected`` (None: nothing; ``ANY``: whatever).

        Returns:
            False when the alias named something else, and nothing was changed.
        """

    @abstractmethod
    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        """Remove ``alias`` if it names ``expected``; False when it does not."""

    @abstractmethod
    def verify(self, name: str, version: str) -> builtins.list[str]:
        """What is wrong with a version where it is stored, each naming its file; empty when every byte is as it was.

        Raises:
            PantheonError: there is no such version.
        """

    @abstractmethod
    def remove(self, name: str, version: str) -> None:
        """Delete a version; its number is never given again.

        Raises:
            PantheonError: an alias names it, or there is no such version.
        """

    @abstractmethod
    def sweep(self, name: str, older_than: float) -> builtins.list[str]:
        """Remove what killed publishers left ``older_than`` seconds ago or more.

        Returns:
            What was removed, and what had to be left because a claim is damaged, a line each.
        """

    @abstractmethod
    def take(self, version: Version, folder: Path) -> bool:
        """Store the files of ``folder`` as ``version`` says: its number, date and metadata stay.

        Returns:
            False when this very version is there already.

        Raises:
            PantheonError: another version has that number, or a file is not as the manifest says.
        """

    @abstractmethod
    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        """Set an alias as ``record`` says, dates included; nothing to do when it is so already.

        For a move, which brings an alias's whole history: versions that are long removed are named in it.
        """

    @abstractmethod
    def aliases(self, name: str) -> builtins.list[str]:
        """The aliases that name something, sorted."""

    @abstractmethod
    def last(self, name: str) -> int:
        """The highest number ever given to a version of ``name``, removed ones included; 0 when there was none."""

    @abstractmethod
    def reserve(self, name: str, number: int) -> None:
        """Never give ``number`` or one below it to a new version."""

    def history(self, name: str, alias: str = "champion") -> builtins.list[Alias] | None:
        """What ``alias`` named, newest first; None where this store keeps no history."""
        return None

    def at(self, name: str, moment: datetime, alias: str = "champion") -> Alias | None:
        """What ``alias`` named at ``moment`` (UTC when it has no zone); None where that is not known."""
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        records = self.history(name, alias) or []
        return next((record for record in records if datetime.fromisoformat(record.since) <= moment), None)

    def remember(self, name: str, record: Alias, folder: Path) -> None:
        """Keep that ``record`` is served from ``folder``, where the store itself may be out of reach some day."""
        return

    def remembered(self, name: str) -> tuple[Alias, Path] | None:
        """What ``remember`` kept and its files, verified, without asking the store; None where there is nothing."""
        return None

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        """Wait for others that deploy ``name``. A courtesy that saves double work: correctness rests on ``swap``."""
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
            PantheonError: the alias does not name ``expected`` (any more), or there is no such version.
        """
        if not self.swap(name, version, alias, expected=expected, by=by, note=note):
            now = self.alias(name, alias)
            raise PantheonError(
                f"the {alias} of {name} is {'version ' + now.version if now else 'nothing'}, "
                f"not {'version ' + expected if expected else 'nothing'}: somebody was faster.",
                "Look at what it is now, then try again.",
                status=1,
            )
        return self.resolve(name, alias)

    def resolve(self, name: str, alias: str = "champion") -> Alias:
        """What ``alias`` names.

        Raises:
            PantheonError: it names nothing.
        """
        found = self.alias(name, alias)
        if found is None:
            raise PantheonError(f"model {name!r} has no {alias}.", "`bin/pantheon run` trains and deploys one.")
        return found

    def rollback(self, name: str, *, to: str | None = None, by: str = "", note: str = "") -> Alias:
        """Make the version before the champion, or ``to``, the champion; whole it must be.

        Raises:
            PantheonError: there is nothing to go back to, that version is damaged, or somebody was faster.
        """
        champion = self.resolve(name)
        target = to or champion.previous
        if target is None:
            raise PantheonError(
                f"version {champion.version} of {name} is its first champion: there is none before it.",
                "`bin/pantheon models list` shows the versions; then `bin/pantheon models rollback --to VERSION`.",
            )
        if target == champion.version:
            raise PantheonError(f"version {target} of {name} is the champion already.")
        if problems := self.verify(name, target):
            raise PantheonError(
                f"version {target} of {name} is damaged: {problems[0]}",
                "`bin/pantheon models list` shows the other versions.",
                status=1,
            )
        return self.promote(
            name, target, expected=champion.version, by=by, note=note or f"back from version {champion.version}"
        )

    def approve(self, name: str, *, version: str | None = None, by: str = "", note: str = "") -> Alias:
        """Make the challenger (which must be ``version``, when given) the champion.

        Raises:
            PantheonError: there is no challenger, or it is another version than the person looked at.
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
        """Leave the challenger a challenger, with a note that says why."""
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
                "Look at that one, then decide.",
                status=1,
            )
        return challenger
