"""API keys of the endpoint: tokens with a name, a scope and a rate limit, of which only SHA-256 hashes are stored.

A token has 256 random bits, so that its hash can neither be reversed nor guessed; slow hashes are for passwords. The
hashes are in ``state/keys.json``: the host writes it, and services mount that folder read-only. Keys of the
deployment's own services, such as the front end, are secrets instead (``service_keys``).
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from pantheon import files, typed
from pantheon.errors import PantheonError
from pantheon.typed import VERSION

PREFIX = "pantheon_"  # by which scanners of source code find leaked tokens
MOST_PER_MINUTE = 100_000  # of a rate limit: each request of the last minute is remembered
MOST_BYTES = 256  # of a token that is looked at
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_CURE = "Restore it from a backup, or move it away and add the keys again: `bin/pantheon keys add NAME`"

Kind = Literal["predict", "metrics", "push"]


class Key(msgspec.Struct, frozen=True):
    """What is stored of a key.

    Attributes:
        name: lower-case letters, digits, dots, dashes and underscores; it appears in the prediction log.
        hash: SHA-256 of its token, hexadecimal.
        models: the models that it may ask; empty: all.
        per_minute: the most requests in any 60 seconds; 0: no limit.
        kind: ``predict``; ``metrics``, which only opens ``/metrics``; or ``push``, which only opens ``/push``.
        created: ISO 8601, UTC.
    """

    name: str
    hash: str
    models: tuple[str, ...] = ()
    per_minute: int = 0
    kind: Kind = "predict"
    created: str = ""

    def opens(self, model: str) -> bool:
        """Return whether the key may ask ``model``."""
        return self.kind == "predict" and (not self.models or model in self.models)


class KeyFile(msgspec.Struct, frozen=True):
    """``state/keys.json``."""

    keys: tuple[Key, ...] = ()
    version: int = VERSION


class Keyring:
    """Finds the key of a token.

    Args:
        keys: with distinct names.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self.keys = {key.name: key for key in keys}
        self._by_start: dict[bytes, list[tuple[bytes, Key]]] = {}
        for key in self.keys.values():
            digest = bytes.fromhex(key.hash)
            self._by_start.setdefault(digest[:4], []).append((digest, key))

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, token: str) -> Key | None:
        """Return the key of ``token``; None if there is none.

        Hashes are compared in constant time; a table by their first 32 bits only shortens the search, and says nothing
        about a token.
        """
        if not token or len(token) > MOST_BYTES or not token.isascii():
            return None
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known, key in self._by_start.get(digest[:4], ()):
            if hmac.compare_digest(known, digest):
                found = key
        return found


def keys_file(state: Path) -> Path:
    return state / "state" / "keys.json"


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read(state: Path) -> tuple[Key, ...]:
    """Return the deployment's keys, oldest first; none before the first is added.

    Raises:
        PantheonError: the file is damaged.
    """
    path = keys_file(state)
    found = typed.read(path, KeyFile, _CURE)
    keys = found.keys if found else ()
    for key in keys:
        if not re.fullmatch(r"[0-9a-f]{64}", key.hash):
            raise PantheonError(f"{path} is damaged: the key {key.name!r} has no SHA-256 hash.", _CURE, 1)
    return keys


def add(
    state: Path, name: str, *, models: Iterable[str] = (), per_minute: int = 0, kind: Kind = "predict"
) -> tuple[Key, str]:
    """Add a key.

    Args:
        models: the models that it may ask; empty: all.
        per_minute: the most requests in any 60 seconds; 0: no limit.

    Returns:
        The key and its token, which is stored nowhere.

    Raises:
        PantheonError: the name is taken or not valid, or the limit is out of range.
    """
    if not _NAME.fullmatch(name):
        raise PantheonError(
            f"{name!r} is not a valid name of a key.", "Use lower-case letters, digits, dots, dashes and underscores."
        )
    if not 0 <= per_minute <= MOST_PER_MINUTE:
        raise PantheonError(
            f"the rate limit must be 0 to {MOST_PER_MINUTE:,} requests a minute, not {per_minute:,}.", "0: no limit."
        )
    token = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    key = Key(name, hash_of(token), tuple(sorted(set(models))), per_minute, kind, created)
    with files.lock(_lock_file(state)):
        keys = read(state)
        if any(other.name == name for other in keys):
            raise PantheonError(
                f"there is already a key {name!r}.", f"Choose another name, or first `bin/pantheon keys revoke {name}`."
            )
        _write(state, (*keys, key))
    return key, token


def revoke(state: Path, name: str) -> Key:
    """Remove a key: the endpoint refuses its token within two seconds.

    Raises:
        PantheonError: there is no such key.
    """
    with files.lock(_lock_file(state)):
        keys = read(state)
        key = next((key for key in keys if key.name == name), None)
        if key is None:
            names = ", ".join(key.name for key in keys) or "none"
            raise PantheonError(f"there is no key {name!r}.", f"Existing keys: {names}.")
        _write(state, tuple(other for other in keys if other is not key))
    return key


def service_keys(folder: Path) -> tuple[Key, ...]:
    """Return the keys of the deployment's own services.

    Args:
        folder: one file per service, with its token; its name is the key's. ``metrics`` opens only ``/metrics``.
            May be missing.
    """
    tokens: Mapping[str, str] = {
        path.name: path.read_text(encoding="ascii").strip()
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if path.is_file() and _NAME.fullmatch(path.name)
    }
    return tuple(
        Key(name, hash_of(token), kind="metrics" if name == "metrics" else "predict")
        for name, token in tokens.items()
        if token
    )


def _lock_file(state: Path) -> Path:
    keys_file(state).parent.mkdir(parents=True, exist_ok=True)
    return state / "state" / ".keys.lock"


def _write(state: Path, keys: tuple[Key, ...]) -> None:
    files.write_json(keys_file(state), msgspec.to_builtins(KeyFile(keys)), mode=0o644, fsync=True)
