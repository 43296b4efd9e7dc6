"""The routing policy of an InferenceService: what it says about traffic, how it is set, and what was there before.

The policy's note names its InferenceService. What was there before is in the object's folder, written first, so that a
kill at any moment loses nothing: setting and restoring are compare-and-swaps that can be repeated.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.routing import policy as policies
from pantheon.routing.policy import Policy
from pantheon.routing.shares import counts, layout
from pantheon.store import Damaged, ModelStore, StoredPolicy
from pantheon.store.records import is_version

NOTE = "InferenceService "
BEFORE, APPLIED = "before.json", "applied.json"
ATTEMPTS = 5  # of a swap while others change the policy


class Changed(PantheonError):
    """Somebody else changed the routing policy since it was set."""


class Taken(PantheonError):
    """Another InferenceService serves the model."""


@dataclass(frozen=True)
class Owner:
    """An InferenceService.

    Attributes:
        named: ``NAMESPACE/NAME``.
        folder: its own files.
        generation: of its spec.
        by: who applied it.
    """

    named: str
    folder: Path
    generation: int
    by: str

    @property
    def note(self) -> str:
        return f"{NOTE}{self.named}"


def wanted(model: str, percent: Mapping[str, int], before: Policy | None) -> Policy:
    """Return a policy that divides the traffic.

    Args:
        percent: of each version or alias; the sum is 100.
        before: its header rules and shadows stay.
    """
    base = before or Policy(model)
    shares = {target: share for target, share in percent.items() if share}
    if len(shares) == 1:
        return replace(base, pin=next(iter(shares)), split=(), sticky="", bandit=None).checked()
    return replace(base, pin="", bandit=None, split=layout(counts(shares), base.split)).checked()


def ensure(store: ModelStore, model: str, percent: Mapping[str, int], owner: Owner) -> StoredPolicy:
    """Have the policy of a model be the owner's; return it.

    Args:
        percent: by version or alias; those of 0 % get no requests, but are kept from removal.

    Raises:
        Taken: another InferenceService has it.
        Changed: somebody changed it since this generation was applied.
        PantheonError: a version does not exist, or the store does not answer.
    """
    store.resolve(model)
    for target in percent:
        store.describe(model, target if is_version(target) else store.resolve(model, target).version)
    kept = _read(owner.folder / BEFORE)
    if kept and kept["model"] != model:
        restore(store, owner)
        kept = None
    for _ in range(ATTEMPTS):
        current = store.policy(model)
        _check_owner(current, model, owner)
        if kept is None:
            if current:
                policies.read(current, model)  # a damaged one is not worth keeping
            kept = {"model": model, "before": current.as_dict() if current else None}
            files.write_json(owner.folder / BEFORE, kept, fsync=True)
        earlier = StoredPolicy.read(kept["before"]) if kept["before"] else None
        base = current if current and current.note == owner.note else earlier
        policy = wanted(model, percent, policies.read(base, model) if base else None)
        named = {*policy.versions, *filter(is_version, percent), *(earlier.versions if earlier else ())}
        new = StoredPolicy.new(policies.as_json(policy), tuple(sorted(named, key=int)), owner.by, owner.note)
        if current and _says(current) == _says(new):
            new = current
        elif not store.swap_policy(model, new, current.token if current else None):
            continue
        files.write_json(owner.folder / APPLIED, {"generation": owner.generation, "token": new.token}, fsync=True)
        return new
    raise PantheonError(f"the routing policy of {model} changes all the time.", "Look: `bin/pantheon route show`", 1)


def restore(store: ModelStore, owner: Owner) -> None:
    """Have the policy be as it was before, unless somebody has changed it since: then it stays.

    Raises:
        PantheonError: the store does not answer, or the policy changed in this moment.
    """
    kept = _read(owner.folder / BEFORE)
    if kept is None:
        return
    model, before = kept["model"], StoredPolicy.read(kept["before"]) if kept["before"] else None
    try:
        current = store.policy(model)
    except Damaged:
        current = None  # `route clear` is what helps
    if current and current.note == owner.note and not store.swap_policy(model, before, current.token):
        raise PantheonError(f"the routing policy of {model} changed in the meantime.", "", 1)
    for name in (APPLIED, BEFORE):
        (owner.folder / name).unlink(missing_ok=True)


def _check_owner(current: StoredPolicy | None, model: str, owner: Owner) -> None:
    if current and current.note == owner.note:
        return
    if current and current.note.startswith(NOTE):
        other = current.note.removeprefix(NOTE)
        raise Taken(f"{model} is served by the InferenceService {other}.", "A model has one: change or delete that.", 1)
    applied = _read(owner.folder / APPLIED)
    if applied and applied["generation"] == owner.generation:
        who = f" by {current.by}" if current and current.by else ""
        cure = f"See it: `bin/pantheon route show --model {model}`. A changed manifest takes over again."
        raise Changed(f"the routing policy of {model} was changed{who} since.", cure, 1)


def _says(policy: StoredPolicy) -> Any:
    return json.loads(json.dumps([policy.note, dict(policy.policy), policy.versions]))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
