"""Choose the version that answers a request. Everything is prepared when the policy or an alias changes, so that a
choice takes two microseconds; numpy is not needed."""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from pantheon.routing.policy import CHAMPION, KEY, SLOTS, Policy, Segments
from pantheon.routing.shares import layout, rounded, salted, slot
from pantheon.store.records import is_version

# The reason of a choice, as the prediction log has it.
DEFAULT: Final = "champion"  # no policy, or it says nothing about this request
HEADER: Final = "header"
PIN: Final = "pin"
WEIGHTS: Final = "weights"
STICKY: Final = "sticky"
BANDIT: Final = "bandit"
FALLBACK: Final = "fallback"  # what the policy names cannot answer: the champion does


class Choice(NamedTuple):
    """Who answers a request.

    Attributes:
        version: its number; empty if there is no champion to answer.
        arm: what the policy calls it: a version's number or an alias.
        reason: one of the constants above.
        shadows: the numbers of the versions that get a copy of the request.
    """

    version: str
    arm: str
    reason: str
    shadows: tuple[str, ...] = ()


class Chooser:
    """Chooses by one policy. Immutable and thread-safe: make another one when the policy or an alias changes.

    Args:
        policy: None: the champion answers everything.
        aliases: the version that each alias names. ``champion`` is the version that answers by default: the one before,
            as long as the champion itself cannot be loaded.
        available: the numbers of the versions that can answer.

    Attributes:
        problems: sentences about what the policy names that cannot answer, so that the champion does.
    """

    def __init__(self, policy: Policy | None, aliases: Mapping[str, str], available: Collection[str]) -> None:
        policy = policy or Policy("")
        self._aliases, self._available = aliases, available
        self._problems: dict[str, None] = {}  # ordered, each once
        self._shadows = [version for shadow in policy.shadows if (version := self._shadow(shadow))]
        headers: dict[str, dict[str, Choice]] = {}
        for rule in policy.headers:
            headers.setdefault(rule.name, {})[rule.value] = self._choice(rule.to, HEADER)
        self._headers = tuple(headers.items())
        split, reason = _split(policy)
        self._ends = [end for end, _ in split]
        self._by_chance = [self._choice(target, reason) for _, target in split]
        self._by_key = [self._choice(target, STICKY) for _, target in split] if policy.sticky else []
        self._sticky, self._salt = policy.sticky, salted(policy.salt)
        self._otherwise = self._choice(policy.pin, PIN) if policy.pin else self._choice(CHAMPION, DEFAULT)
        self.problems = tuple(self._problems)

    def choose(self, request_id: str, headers: Mapping[str, str], key: str) -> Choice:
        """Choose who answers a request.

        Args:
            request_id: decides where chance does, so that the choice can be repeated from the log.
            headers: of the request, by name in lower case.
            key: the name of its API key; empty: none.
        """
        for name, values in self._headers:
            value = headers.get(name)
            if value is not None and value in values:
                return values[value]
        if not self._ends:
            return self._otherwise
        if self._sticky:
            identity = key if self._sticky == KEY else headers.get(self._sticky)
            if identity:
                return self._by_key[bisect_right(self._ends, slot(self._salt, identity))]
        return self._by_chance[bisect_right(self._ends, slot(self._salt, request_id))]

    def traffic(self) -> dict[Choice, float]:
        """Return the share of the requests that each choice gets, apart from those of header rules; the sum is 1."""
        if not self._ends:
            return {self._otherwise: 1.0}
        shares: dict[Choice, float] = {}
        begin = 0
        for end, choice in zip(self._ends, self._by_key or self._by_chance, strict=True):
            shares[choice] = shares.get(choice, 0.0) + (end - begin) / SLOTS
            begin = end
        return shares

    def _choice(self, target: str, reason: str) -> Choice:
        version, why = self._version(target)
        if why and target != CHAMPION:
            self._problems[f"{why} The champion answers instead."] = None
            champion = self._version(CHAMPION)[0]
            return Choice(champion, CHAMPION, FALLBACK, self._copies(champion))
        return Choice(version, target, reason, self._copies(version))

    def _copies(self, version: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(shadow for shadow in self._shadows if shadow != version))

    def _shadow(self, target: str) -> str:
        version, why = self._version(target)
        if why:
            self._problems[f"{why} It gets no copies of requests."] = None
        return version

    def _version(self, target: str) -> tuple[str, str]:
        """Return the number of the version that a policy names; empty, with the reason, if it cannot answer."""
        version = target if is_version(target) else self._aliases.get(target, "")
        if not version:
            return "", f"The policy names {target}, but there is no {target} now."
        if version not in self._available:
            named = f"version {version}" if target == version else f"{target}, which is version {version}"
            return "", f"The policy names {named}, which does not exist or cannot be loaded."
        return version, ""


def _split(policy: Policy) -> tuple[Segments, str]:
    """Return who answers which slots, and the reason for the log."""
    if policy.bandit:
        arms = policy.bandit.arms
        return layout(rounded(policy.bandit.shares or dict.fromkeys(arms, 1 / len(arms)))), BANDIT
    return policy.split, WEIGHTS
