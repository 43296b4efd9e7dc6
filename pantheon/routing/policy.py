"""A model's routing policy: what it may say, and its checks.

In order, the first that applies decides about a request:

1. a header rule: this header with this value is answered by this version;
2. one of: a pinned version, shares of the traffic (``split``), or a bandit; without any of them, the champion.

Beside that, shadows get a copy of every request; their answers are recorded and never sent.

A version is named by its number, or by an alias (``champion``, ``challenger``), which is followed when it moves.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pantheon.errors import PantheonError
from pantheon.store.policies import StoredPolicy, cure
from pantheon.store.records import Damaged, is_alias, is_version

CHAMPION: Final = "champion"
KEY: Final = "key"  # ``sticky``: the same version for each API key
SLOTS: Final = 10_000  # parts of the traffic; one is 0.01 %
FLOOR: Final = 0.02  # least share of a bandit's arm
MOST_ARMS, MOST_HEADERS, MOST_SHADOWS = 10, 20, 3
MOST_CHARACTERS = 200  # of a header's value

Segments = tuple[tuple[int, str], ...]
"""Who answers which slots: ``(end, target)``, ends increase up to ``SLOTS``; a part begins where the last ended."""

_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")  # a token of RFC 9110, in lower case
_SECRET = {"authorization", "cookie", "proxy-authorization"}


class HeaderRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests whose header ``name`` (lower case) is exactly ``value`` are answered by ``to``."""

    name: str
    value: str
    to: str


class Bandit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thompson sampling between ``arms``; see ``pantheon.routing.bandit``.

    Attributes:
        arms: at least two.
        floor: the least share of each arm, from 0.02 on.
        since: only answers from this time on count (ISO 8601, UTC); empty: all.
        counts: by version: how many answers users called right, and wrong, when ``shares`` was computed.
        shares: by arm; empty until there is feedback: equal ones.
    """

    arms: tuple[str, ...]
    floor: float = FLOOR
    since: str = ""
    counts: dict[str, tuple[int, int]] = {}
    shares: dict[str, float] = {}


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A routing policy.

    Attributes:
        salt: makes the slots of two models independent of each other: the model's name.
        headers: rules that precede everything else, the first that matches.
        pin: the version that answers everything else.
        split: or: who answers which slots.
        sticky: what decides about the slot of a request: ``key`` (the API key's name), the name of a header, or empty:
            the request's id, which is chance.
        bandit: or: arms whose shares follow the feedback.
        shadows: versions that get a copy.
    """

    salt: str
    headers: tuple[HeaderRule, ...] = ()
    pin: str = ""
    split: Segments = ()
    sticky: str = ""
    bandit: Bandit | None = None
    shadows: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str]:
        """Return every version and alias that the policy names, each once."""
        return list(dict.fromkeys(self._targets()))

    @property
    def versions(self) -> tuple[str, ...]:
        """Return the numbers of versions that it names, for ``StoredPolicy.versions``."""
        return tuple(target for target in self.targets if is_version(target))

    def _targets(self) -> Iterator[str]:
        yield from (rule.to for rule in self.headers)
        if self.pin:
            yield self.pin
        yield from (target for _, target in self.split)
        yield from self.bandit.arms if self.bandit else ()
        yield from self.shadows

    def checked(self) -> "Policy":
        """Return the policy if it can be used.

        Raises:
            PantheonError: it contradicts itself, or a value is not possible.
        """
        for target in self.targets:
            if not (is_version(target) or is_alias(target)):
                way = "Name a version by its number, or an alias such as challenger."
                raise PantheonError(f"{target!r} is not a version or an alias.", way)
        if sum(map(bool, (self.pin, self.split, self.bandit))) > 1:
            raise PantheonError("a policy has one of: a pinned version, weights, a bandit.", "Set one of them.")
        self._check_headers()
        self._check_split()
        if self.bandit:
            _check_bandit(self.bandit)
        if self.sticky and not self.split:
            way = "First give versions weights: `bin/pantheon route weights challenger=10`"
            raise PantheonError("only weights can be sticky.", way)
        if len(self.shadows) > MOST_SHADOWS or len(set(self.shadows)) < len(self.shadows):
            raise PantheonError(f"a policy has at most {MOST_SHADOWS} shadows, each once.", "Name fewer.")
        return self

    def _check_headers(self) -> None:
        if len(self.headers) > MOST_HEADERS:
            raise PantheonError(f"a policy has at most {MOST_HEADERS} header rules.", "Remove one of them first.")
        pairs = {(rule.name, rule.value) for rule in self.headers}
        if len(pairs) < len(self.headers):
            raise PantheonError("two header rules have the same header and value.", "Keep one of them.")
        for rule in self.headers:
            check_header(rule.name)
            if not 0 < len(rule.value) <= MOST_CHARACTERS:
                raise PantheonError(f"the value of the header {rule.name} has 1 to {MOST_CHARACTERS} characters.")
        if self.sticky not in ("", KEY):
            check_header(self.sticky)

    def _check_split(self) -> None:
        ends = [end for end, _ in self.split]
        if ends and (ends[-1] != SLOTS or ends[0] <= 0 or sorted(set(ends)) != ends):
            raise PantheonError(f"the ends of the parts of the traffic must increase up to {SLOTS}.")
        if len({target for _, target in self.split}) > MOST_ARMS:
            raise PantheonError(f"the traffic has at most {MOST_ARMS} parts.", "Name fewer versions.")


def check_header(name: str) -> str:
    """Return ``name`` if it is a header's name in lower case, and not one that carries a secret."""
    if not _HEADER.fullmatch(name):
        raise PantheonError(f"{name!r} is not the name of a header in lower case.", "For example: x-customer.")
    if name in _SECRET:
        raise PantheonError(f"the header {name} carries a secret and must not decide.", "Use another, or `key`.")
    return name


def _check_bandit(bandit: Bandit) -> None:
    arms = bandit.arms
    if not 2 <= len(arms) <= MOST_ARMS or len(set(arms)) < len(arms):
        raise PantheonError(f"a bandit chooses between 2 to {MOST_ARMS} versions, each named once.")
    if not FLOOR <= bandit.floor <= 1 / len(arms):
        most = f"{100 / len(arms):.4g} % for {len(arms)} versions"
        raise PantheonError(f"the least share of a version is {100 * FLOOR:.4g} % to {most}.")
    if bandit.shares:
        if set(bandit.shares) != set(arms) or not abs(sum(bandit.shares.values()) - 1) < 1e-6:
            raise PantheonError("the shares of a bandit are one for each version, and their sum is 1.")
        if min(bandit.shares.values()) < bandit.floor - 1e-9:
            raise PantheonError("the shares of a bandit are not below the least share.")
    if any(min(counts) < 0 for counts in bandit.counts.values()):
        raise PantheonError("the counts of a bandit are not negative.")


def as_json(policy: Policy) -> dict[str, Any]:
    """Return the policy as the JSON object of ``StoredPolicy.policy``; what is empty is left out."""
    found: dict[str, Any] = msgspec.to_builtins(policy)
    return {name: value for name, value in found.items() if value}


def read(stored: StoredPolicy, model: str) -> Policy:
    """Read a stored policy.

    Raises:
        Damaged: it is not a policy that this Pantheon can use.
    """
    return read_json(stored.policy, model)


def read_json(raw: Mapping[str, Any], model: str) -> Policy:
    """Read the JSON object of a policy; raises as ``read``."""
    try:
        return msgspec.convert(raw, Policy).checked()
    except msgspec.ValidationError as error:
        raise Damaged(f"the routing policy of {model} is damaged: {error}.", cure(model), 1) from None
    except PantheonError as error:
        raise Damaged(f"the routing policy of {model} is damaged: {error.cause}", cure(model), 1) from None
