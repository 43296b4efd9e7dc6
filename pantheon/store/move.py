"""Moving a model store: every version, alias and date, checked by reading back; nothing in the old place is changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.store.current import Doors, location, store_at
from pantheon.store.durable import sync, write_json
from pantheon.store.records import Alias, Version

OnEvent = Callable[[dict[str, Any]], None]


def move(
    source: ModelStore, target: ModelStore, on_event: OnEvent | None = None, done: set[tuple[str, str]] | None = None
) -> dict[str, int]:
    """Copy what ``source`` has to ``target``. Killed anywhere, the next call goes on where this one ended.

    What only ``target`` has stays, except aliases of the same model that ``source`` has dropped.

    Args:
        on_event: told ``{"event": "version" | "alias", "model", …}`` for each that lies in ``target`` now.
        done: versions (model, version) that this process has compared already; added to.

    Returns:
        For each model, how many versions lie there now.

    Raises:
        PantheonError: a version is damaged, or another one has its number in ``target``.
    """
    tell = on_event or (lambda event: None)
    done = set() if done is None else done

    def copy(version: Version) -> None:
        name, number = version.model, version.version
        if (name, number) in done:
            return
        copied = target.take(version, _whole(source, name, number))
        if problems := target.verify(name, number):
            raise PantheonError(
                f"version {number} of {name} did not arrive as it was: {problems[0]}",
                "Nothing was changed where the models lie now. Try again.",
                status=1,
            )
        done.add((name, number))
        tell({"event": "version", "model": name, "version": number, "copied": copied})

    counts = {}
    for name in source.names():
        versions = source.list(name)
        for number, error in source.damaged(name).items():  # none is left out silently
            raise _immovable(source, name, number, error, error.cure)
        for version in versions:
            copy(version)
        target.reserve(name, source.last(name))
        aliases = source.aliases(name)
        for alias in aliases:
            if current := source.alias(name, alias):
                copy(source.describe(name, current.version))  # it may be newer than our list
                _move_alias(source, target, name, alias, current)
                tell({"event": "alias", "model": name, "alias": alias, "version": current.version})
        for alias in set(target.aliases(name)) - set(aliases):
            if stale := target.alias(name, alias):
                target.drop(name, alias, expected=stale.version)
        counts[name] = len(versions)
    return counts


def _move_alias(source: ModelStore, target: ModelStore, name: str, alias: str, current: Alias) -> None:
    """The whole history, oldest first, so that its dates are in the target's as far as that keeps one."""
    if target.alias(name, alias) == current:
        return
    known = target.history(name, alias) or []
    for record in reversed(source.history(name, alias) or []):
        if record not in known:
            target.take_alias(name, alias, record)
    target.take_alias(name, alias, current)


def relocate(
    state: Path,
    new: dict[str, Any] | None,
    on_event: OnEvent | None = None,
    *,
    new_credentials: Path | None = None,
    then: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Have a deployment's models lie at ``new`` (as ``state/store.json`` says it; None: its folder).

    Called on the host. Whoever publishes goes on meanwhile, and waits only for the last, short round and for the
    writing of ``store.json``.

    Args:
        new_credentials: the keys of the S3 at ``new``, where ``secrets/s3/credentials`` does not have them yet.
        then: called when the models have arrived and before anybody publishes there.

    Returns:
        For each model, how many versions lie there now; empty when nothing had to move.

    Raises:
        PantheonError: either place does not answer, or a version is damaged. The models stay where they were.
    """
    old = location(state)
    if new == old:
        return {}
    source = store_at(state, old, host=True)
    target = store_at(state, new, host=True, credentials=new_credentials)
    done: set[tuple[str, str]] = set()
    move(source, target, on_event, done)
    with Doors(state).moving():
        if location(state) != old:
            raise PantheonError("another process moved the models meanwhile.", "`bin/pantheon status` says where to.")
        counts = move(source, target, on_event, done)
        file = state / "state" / "store.json"
        if new is None:
            file.unlink(missing_ok=True)
            sync(file.parent)
        else:
            write_json(file, new)
        then()
    return counts


def _whole(source: ModelStore, name: str, version: str) -> Path:
    try:
        return source.get(name, version)
    except PantheonError as error:
        if error.status != 1:
            raise
        raise _immovable(
            source, name, version, error, "Bring that file back or remove the version, then try again."
        ) from None


def _immovable(source: ModelStore, name: str, version: str, error: PantheonError, cure: str) -> PantheonError:
    cause = f"version {version} of {name} cannot be moved: {error.cause}"
    return PantheonError(cause, f"The models stay in {source.where}. {cure}", status=1)
