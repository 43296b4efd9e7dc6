"""Operations of commands and of the page on a model's routing policy: show it, set its parts, clear it.

They run where the store can be reached, as those of ``pantheon.store.operations``, and return JSON values. Every change
is a compare-and-swap: of two people who change a policy at the same time, one gets an error and looks again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from pantheon.errors import PantheonError
from pantheon.routing import policy as policies
from pantheon.routing.choose import Chooser
from pantheon.routing.policy import CHAMPION, FLOOR, Bandit, HeaderRule, Policy
from pantheon.routing.rewards import Counts
from pantheon.routing.shares import counts as slots_of
from pantheon.routing.shares import layout
from pantheon.store.base import ModelStore
from pantheon.store.operations import aliases_of
from pantheon.store.policies import StoredPolicy
from pantheon.store.records import ANY, Damaged, is_version, now

LEAST_CHANGE = 0.005  # of a share, so that the bandit writes a new policy


def show(store: ModelStore, model: str) -> dict[str, Any]:
    """Describe a model's policy, and what it means now.

    Returns:
        ``{"model", "where", "set", "since", "by", "note", "traffic", "headers", "sticky", "shadows", "bandit",
        "problems", "trouble", "cure"}``. ``set`` is whether there is a policy; ``traffic`` is
        ``[{"arm", "version", "share", "reason"}]`` with shares from 0 to 1; ``headers`` is
        ``[{"name", "value", "to", "version"}]``; ``problems`` are sentences about what cannot answer; ``trouble`` and
        ``cure`` are about a damaged policy, without which the champion answers.

    Raises:
        PantheonError: the model has no champion.
    """
    store.resolve(model)
    stored, policy, trouble, cure = None, Policy(model), "", ""
    try:
        stored = store.policy(model)
        policy = policies.read(stored, model) if stored else policy
    except Damaged as error:
        trouble, cure = error.cause, error.cure
    aliases = {name: alias.version for name, alias in aliases_of(store, model).items()}
    chooser = Chooser(policy, aliases, {version.version for version in store.list(model)})
    return {
        "model": model,
        "where": store.where,
        "set": stored is not None,
        "since": stored.since if stored else "",
        "by": stored.by if stored else "",
        "note": stored.note if stored else "",
        "traffic": [
            {"arm": choice.arm, "version": choice.version, "share": share, "reason": choice.reason}
            for choice, share in chooser.traffic().items()
        ],
        "headers": [
            {**msgspec.structs.asdict(rule), "version": chooser.choose("", {rule.name: rule.value}, "").version}
            for rule in policy.headers
        ],
        "sticky": policy.sticky,
        "shadows": [
            {"to": shadow, "version": shadow if is_version(shadow) else aliases.get(shadow, "")}
            for shadow in policy.shadows
        ],
        "bandit": msgspec.to_builtins(policy.bandit),
        "problems": list(chooser.problems),
        "trouble": trouble,
        "cure": cure,
    }


def weights(store: ModelStore, model: str, percent: Mapping[str, float], by: str = "", note: str = "") -> Any:
    """Divide the traffic: ``{version or alias: percent}``; the champion gets the rest. Returns and raises as ``pin``.

    Replaces a pinned version or a bandit. Of the keys and requests, only those move that must.
    """

    def change(policy: Policy) -> Policy:
        return replace(policy, pin="", bandit=None, split=layout(slots_of(percent), policy.split))

    return _change(store, model, change, by, note)


def pin(store: ModelStore, model: str, to: str, by: str = "", note: str = "") -> Any:
    """Have one version answer everything that no header rule decides, instead of weights or a bandit.

    Args:
        to: a version's number or an alias; empty: none any more.

    Returns:
        As ``show``.

    Raises:
        PantheonError: the policy is not possible, names what does not exist, is damaged, or changed in the meantime.
    """

    def change(policy: Policy) -> Policy:
        return replace(policy, pin=to, split=(), sticky="", bandit=None) if to else replace(policy, pin="")

    return _change(store, model, change, by, note)


def header(store: ModelStore, model: str, name: str, value: str, to: str, by: str = "", note: str = "") -> Any:
    """Have requests with this header be answered by ``to``; empty: remove that rule. Returns and raises as ``pin``."""
    name = name.lower()

    def change(policy: Policy) -> Policy:
        rules = {(rule.name, rule.value): rule for rule in policy.headers}
        if to:
            rules[name, value] = HeaderRule(name, value, to)
        elif rules.pop((name, value), None) is None:
            raise PantheonError(f"there is no rule for the header {name}: {value}.", "`route show` lists the rules.")
        return replace(policy, headers=tuple(rules.values()))

    return _change(store, model, change, by, note)


def sticky(store: ModelStore, model: str, to: str, by: str = "", note: str = "") -> Any:
    """Let a key always get the same version: ``key`` (the API key's name), a header's name, or empty (chance)."""
    return _change(store, model, lambda policy: replace(policy, sticky=to.lower()), by, note)


def shadow(store: ModelStore, model: str, to: Sequence[str], by: str = "", note: str = "") -> Any:
    """Send a copy of every request to these versions or aliases; empty: to none. Returns and raises as ``pin``."""
    return _change(store, model, lambda policy: replace(policy, shadows=tuple(to)), by, note)


def bandit(
    store: ModelStore, model: str, arms: Sequence[str], floor: float = FLOOR, by: str = "", note: str = ""
) -> Any:
    """Let feedback divide the traffic between versions or aliases, instead of weights or a pinned version.

    Args:
        arms: at least two; empty: no bandit any more.
        floor: the least share of each, from 0.02 on.

    Returns and raises as ``pin``.
    """

    def change(policy: Policy) -> Policy:
        if not arms:
            return replace(policy, bandit=None)
        return replace(policy, pin="", split=(), sticky="", bandit=Bandit(tuple(arms), floor, since=now()))

    return _change(store, model, change, by, note)


def clear(store: ModelStore, model: str) -> Any:
    """Remove the policy, even a damaged one: the champion answers everything. Returns as ``show``."""
    store.resolve(model)
    store.swap_policy(model, None, ANY)
    return show(store, model)


def learn(store: ModelStore, model: str, counts: Counts) -> bool:
    """Give the arms of a model's bandit the shares that follow from the feedback.

    Args:
        counts: of all answers since ``Bandit.since``, see ``pantheon.routing.rewards``.

    Returns:
        Whether the policy was changed: not without a bandit or feedback, for little, or if another change came first.

    Raises:
        Damaged: the policy cannot be read.
    """
    from pantheon.routing.bandit import shares

    stored = store.policy(model)
    policy = policies.read(stored, model) if stored else None
    if stored is None or policy is None or policy.bandit is None:
        return False
    old = policy.bandit
    aliases = {name: alias.version for name, alias in aliases_of(store, model).items()}
    versions = {arm: arm if is_version(arm) else aliases.get(arm, "") for arm in old.arms}
    known = {version: counts.get(version, (0, 0)) for version in versions.values() if version}
    if not any(map(sum, known.values())):
        return False
    new = shares(versions, known, old.floor)
    if old.shares and max(abs(new[arm] - old.shares[arm]) for arm in old.arms) < LEAST_CHANGE:
        return False
    learnt = replace(policy, bandit=replace(old, counts=known, shares=new)).checked()
    return store.swap_policy(model, stored.changed(policies.as_json(learnt)), stored.token)


def recommend(store: ModelStore, model: str, counts: Counts, challenger: str = "challenger") -> dict[str, Any]:
    """Test a version or an alias against the champion: ``pantheon.routing.sequential.Comparison`` as a JSON value.

    Raises:
        PantheonError: there is no such version, or it is the champion.
    """
    from pantheon.routing.sequential import compare

    champion = store.resolve(model, CHAMPION).version
    other = challenger if is_version(challenger) else store.resolve(model, challenger).version
    store.describe(model, other)
    if other == champion:
        raise PantheonError(f"version {other} of {model} is the champion itself.", "Name another version.")
    found: dict[str, Any] = msgspec.to_builtins(
        compare(champion, counts.get(champion, (0, 0)), other, counts.get(other, (0, 0)))
    )
    return found


def _change(store: ModelStore, model: str, change: Callable[[Policy], Policy], by: str, note: str) -> Any:
    store.resolve(model)
    stored = store.policy(model)
    old = policies.read(stored, model) if stored else Policy(model)
    new = change(old).checked()
    for target in new.targets:
        if target not in old.targets:
            store.describe(model, target if is_version(target) else store.resolve(model, target).version)
    record = StoredPolicy.new(policies.as_json(new), new.versions, by, note) if new != Policy(model) else None
    if not store.swap_policy(model, record, stored.token if stored else None):
        cure = "`bin/pantheon route show` shows it as it is now; then try again."
        raise PantheonError(f"the routing policy of {model} changed in the meantime.", cure, 1)
    return show(store, model)
