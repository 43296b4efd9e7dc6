"""The routing policy of a model, stored beside its aliases as ``NAME/policy.json`` and moved by compare-and-swap.

The store does not interpret a policy: ``pantheon.routing`` does. It only knows which versions a policy names, so that
these are not removed.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from pantheon.errors import PantheonError
from pantheon.files import lock, sync, write_json
from pantheon.store.records import ANY, Alias, Damaged, check_name, date, is_version, now, reading

POLICY: Final = "policy.json"


@dataclass(frozen=True)
class StoredPolicy:
    """A policy in the store.

    Attributes:
        policy: its JSON object, as ``pantheon.routing.policy`` reads it.
        versions: the numbers of the versions that it names itself, not through an alias.
        since: when it was set (ISO 8601, UTC).
        by: who set it.
        note: why.
        token: random, different for every change: what a compare-and-swap expects.
    """

    policy: Mapping[str, Any]
    versions: tuple[str, ...]
    since: str
    by: str
    note: str
    token: str

    @classmethod
    def new(cls, policy: Mapping[str, Any], versions: tuple[str, ...], by: str = "", note: str = "") -> "StoredPolicy":
        """Return a policy that is set now."""
        return cls(policy, versions, now(), by, note, secrets.token_hex(8))

    def changed(self, policy: Mapping[str, Any]) -> "StoredPolicy":
        """Return it with another content that says the same to people: who set it, when and why does not change."""
        return replace(self, policy=policy, token=secrets.token_hex(8))

    @classmethod
    def read(cls, raw: Any) -> "StoredPolicy":
        """Read the record ``raw`` (a JSON value).

        Raises:
            ValueError: it is not a valid record.
        """
        if not isinstance(raw, dict):
            raise ValueError("it is not a JSON object")
        names = {field.name for field in fields(cls)}
        if wrong := set(raw) ^ names:
            raise ValueError(f"it has unknown or missing keys: {', '.join(sorted(map(str, wrong)))}")
        if not isinstance(raw["policy"], dict):
            raise ValueError("its policy is not a JSON object")
        versions = raw["versions"]
        if not isinstance(versions, list) or not all(map(is_version, versions)):
            raise ValueError('its versions must be a list of numbers in quotes, such as ["1", "2"]')
        if not all(isinstance(raw[name], str) for name in ("by", "note", "token")) or not raw["token"]:
            raise ValueError("by, note and token must be strings")
        return cls(raw["policy"], tuple(versions), date(raw["since"]), raw["by"], raw["note"], raw["token"])

    def as_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {**asdict(self), "policy": dict(self.policy), "versions": list(self.versions)}


def cure(name: str) -> str:
    """Return what to do about a damaged policy of the model ``name``."""
    return f"The champion answers meanwhile. `bin/pantheon route clear --model {name}` removes it; then set it again."


def is_expected(current: StoredPolicy | None, expected: str | None) -> bool:
    """Whether a swap that expects this token (None: no policy; ``ANY``: anything) may replace ``current``."""
    return expected == ANY or expected == (current.token if current else None)


def must_be_unnamed(name: str, version: str, aliases: Mapping[str, Alias], policy: StoredPolicy | None) -> None:
    """Raise PantheonError if an alias or the routing policy names the version, which therefore cannot be removed."""
    for alias, record in aliases.items():
        if record.version == version:
            raise PantheonError(
                f"version {version} of {name} is its {alias}.", "Promote another version first.", status=1
            )
    if policy and version in policy.versions:
        raise PantheonError(
            f"the routing policy of {name} names version {version}.",
            f"Change the policy first: `bin/pantheon route show --model {name}`",
            status=1,
        )


class FolderPolicies:
    """The policies of the models in the folder ``root``; changed under the lock that also guards a model's aliases."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, name: str) -> StoredPolicy | None:
        """Return a model's policy; None without one. Raises Damaged."""
        path = self._root / check_name(name) / POLICY
        with reading(path, cure(name)):
            try:
                return StoredPolicy.read(json.loads(path.read_bytes()))
            except FileNotFoundError:
                return None
            except OSError as error:
                raise ValueError(f"it cannot be read ({error.strerror})") from None

    def swap(self, name: str, new: StoredPolicy | None, expected: str | None) -> bool:
        """Replace or (None) remove a policy; return False if it is not as expected. With ``ANY``, a damaged one too."""
        model = self._root / check_name(name)
        model.mkdir(parents=True, exist_ok=True)
        with lock(model / ".lock"):
            current = None
            with suppress(*([Damaged] if expected == ANY else [])):
                current = self.get(name)
            if not is_expected(current, expected):
                return False
            if new:
                write_json(model / POLICY, new.as_dict(), fsync=True)
            else:
                (model / POLICY).unlink(missing_ok=True)
                sync(model)
        return True
