"""Move a model store: copy and verify versions, and copy aliases, policies and dates; the old store is not changed."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.state import StoreLocation, read_store, write_store
from pantheon.store import place
from pantheon.store.base import ModelStore
from pantheon.store.current import Doors, store_at
from pantheon.store.records import ANY, Alias, Damaged, Version

OnEvent = Callable[[dict[str, Any]], None]


def move(
    source: ModelStore, target: ModelStore, on_event: OnEvent | None = None, done: set[tuple[str, str]] | None = None
) -> dict[str, int]:
    """Copy all models from ``source`` to ``target``. After a kill, the next call resumes the copy.

    Models and versions that only ``target`` has are kept, except aliases and policies that ``source`` has dropped.

    Args:
        on_event: called with ``{"event": "version" | "alias", "model", …}`` for every copied version and alias.
        done: versions (model, version) that this process has verified already; updated.

    Returns:
        Number of versions by model.

    Raises:
        PantheonError: a version or a policy is damaged, or ``target`` has another version with its number.
    """
    report = on_event or (lambda event: None)
    done = set() if done is None else done

    def copy(version: Version) -> None:
        name, number = version.model, version.version
        if (name, number) in done:
            return
        copied = target.take(version, _complete(source, name, number))
        if problems := target.verify(name, number):
            raise PantheonError(
                f"the copy of version {number} of {name} is damaged: {problems[0]}",
                "The models stay where they are. Try again.",
                status=1,
            )
        done.add((name, number))
        report({"event": "version", "model": name, "version": number, "copied": copied})

    counts = {}
    for name in source.names():
        versions = source.list(name)
        for number, error in source.damaged(name).items():  # do not omit it silently
            raise _immovable(source, name, number, error, error.cure)
        for version in versions:
            copy(version)
        target.reserve(name, source.last(name))
        aliases = source.aliases(name)
        for alias in aliases:
            if current := source.alias(name, alias):
                copy(source.describe(name, current.version))  # it may be newer than `versions`
                _move_alias(source, target, name, alias, current)
                report({"event": "alias", "model": name, "alias": alias, "version": current.version})
        for alias in set(target.aliases(name)) - set(aliases):
            if stale := target.alias(name, alias):
                target.drop(name, alias, expected=stale.version)
        _move_policy(source, target, name)
        counts[name] = len(versions)
    return counts


def _move_policy(source: ModelStore, target: ModelStore, name: str) -> None:
    policy = source.policy(name)
    with suppress(Damaged):  # replaced below
        if target.policy(name) == policy:
            return
    target.swap_policy(name, policy, ANY)


def _move_alias(source: ModelStore, target: ModelStore, name: str, alias: str, current: Alias) -> None:
    """Copy the complete history, oldest first, so that the target has the same dates if it keeps a history."""
    if target.alias(name, alias) == current:
        return
    existing = target.history(name, alias) or []
    for record in reversed(source.history(name, alias) or []):
        if record not in existing:
            target.take_alias(name, alias, record)
    target.take_alias(name, alias, current)


def received(stream: IO[bytes]) -> Path:
    """Write keys that arrive on a stream to a file of their own, and return it."""
    file = Path(tempfile.mkdtemp(prefix="pantheon-")) / "credentials"
    files.write_bytes(file, stream.read(), mode=0o600)
    return file


def relocate(
    state: Path,
    new: StoreLocation | None,
    on_event: OnEvent | None = None,
    *,
    new_credentials: Path | None = None,
    take_over: Callable[[], None] | None = None,
) -> dict[str, int]:
    """Move a deployment's models to ``new`` (as ``state/store.json`` describes it; None: its folder).

    Called in a service, with the addresses and keys that services use. Publishers continue during the copy; they are
    blocked only for the last, short round and during ``take_over``. The prediction log and the parts of features leave
    S3 just before, for the folder: from there, the services that write them bring them to another S3.

    Args:
        new_credentials: the keys of the S3 at ``new``, if the service has other ones.
        take_over: called when all models are copied, before anything can be published: it makes ``store.json`` name
            ``new``. None: this process writes that file.

    Returns:
        Number of versions by model; empty if nothing had to be moved.

    Raises:
        PantheonError: a store does not answer, or a version is damaged. The models stay where they were.
    """
    old = read_store(state)
    if new == old:
        return {}
    source = store_at(state, old)
    target = store_at(state, new, credentials=new_credentials)
    done: set[tuple[str, str]] = set()
    move(source, target, on_event, done)
    with ExitStack() as held:
        if old:
            held.enter_context(place.moving(state))
            brought = place.bring_to_folder(state)
            if on_event:
                on_event({"event": "files", "moved": brought})
        held.enter_context(Doors(state).moving())
        if read_store(state) != old:
            raise PantheonError(
                "another process moved the models in the meantime.", "`bin/pantheon status` shows the new location."
            )
        counts = move(source, target, on_event, done)
        if old:
            place.bring_to_folder(state)  # what a command stored meanwhile, such as a request to be forgotten
        if take_over:
            take_over()
        else:
            write_store(state, new)
    return counts


def _complete(source: ModelStore, name: str, version: str) -> Path:
    try:
        return source.get(name, version)
    except PantheonError as error:
        if error.status != 1:
            raise
        raise _immovable(
            source, name, version, error, "Restore that file or remove the version, then try again."
        ) from None


def _immovable(source: ModelStore, name: str, version: str, error: PantheonError, cure: str) -> PantheonError:
    cause = f"version {version} of {name} cannot be moved: {error.cause}"
    return PantheonError(cause, f"The models stay in {source.where}. {cure}", status=1)
