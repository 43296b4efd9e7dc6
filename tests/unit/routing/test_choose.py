"""The choice for one request: precedence, sticky keys, shadows, and what cannot answer."""

from collections import Counter

import pytest

from pantheon.routing.choose import Chooser
from pantheon.routing.policy import SLOTS, Bandit, HeaderRule, Policy
from pantheon.routing.shares import counts, layout

ALIASES = {"champion": "1", "challenger": "2"}
VERSIONS = {"1", "2", "3"}
TENTH = layout(counts({"challenger": 10}))


def chosen(
    policy: Policy | None, headers: dict[str, str] | None = None, key: str = "", request: str = "r"
) -> list[str]:
    choice = Chooser(policy, ALIASES, VERSIONS).choose(request, headers or {}, key)
    return [choice.version, choice.arm, choice.reason]


def test_without_a_policy_the_champion_answers() -> None:
    assert chosen(None) == chosen(Policy("robots")) == ["1", "champion", "champion"]


def test_a_pin_answers_everything_but_what_a_header_asks_for() -> None:
    policy = Policy("robots", pin="3", headers=(HeaderRule("x-beta", "yes", "challenger"),))
    assert chosen(policy) == ["3", "3", "pin"]
    assert chosen(policy, {"x-beta": "yes"}) == ["2", "challenger", "header"]
    assert chosen(policy, {"x-beta": "no"}) == ["3", "3", "pin"]


def test_the_first_header_rule_counts() -> None:
    rules = (HeaderRule("x-a", "1", "2"), HeaderRule("x-b", "1", "3"))
    assert chosen(Policy("robots", headers=rules), {"x-b": "1", "x-a": "1"})[0] == "2"
    assert chosen(Policy("robots", headers=rules), {"x-b": "1", "x-a": "2"})[0] == "3"


def test_weights_divide_the_requests() -> None:
    chooser = Chooser(Policy("robots", split=TENTH), ALIASES, VERSIONS)
    found = Counter(chooser.choose(f"request-{number}", {}, "") for number in range(10_000))
    by_version = {choice.version: count for choice, count in found.items()}
    assert abs(by_version["2"] - 1000) < 3 * 30  # sigma is 30
    assert {choice.reason for choice in found} == {"weights"}
    assert chooser.choose("request-7", {}, "") == chooser.choose("request-7", {}, "other")


@pytest.mark.parametrize("sticky", ["key", "x-customer"])
def test_a_sticky_key_always_gets_the_same_version(sticky: str) -> None:
    chooser = Chooser(Policy("robots", split=TENTH, sticky=sticky), ALIASES, VERSIONS)
    by_key: dict[str, set[str]] = {}
    for number in range(5_000):
        name = f"customer-{number % 500}"
        headers, key = ({}, name) if sticky == "key" else ({"x-customer": name}, "shop")
        choice = chooser.choose(f"request-{number}", headers, key)
        assert choice.reason == "sticky"
        by_key.setdefault(name, set()).add(choice.version)
    assert all(len(versions) == 1 for versions in by_key.values())
    assert Counter(version for versions in by_key.values() for version in versions)["2"] in range(30, 71)


def test_a_request_without_the_sticky_header_is_left_to_chance() -> None:
    chooser = Chooser(Policy("robots", split=TENTH, sticky="x-customer"), ALIASES, VERSIONS)
    found = {chooser.choose(f"request-{number}", {}, "shop") for number in range(500)}
    assert {choice.version for choice in found} == {"1", "2"}
    assert {choice.reason for choice in found} == {"weights"}


def test_a_bandit_without_feedback_gives_equal_shares_and_then_its_own() -> None:
    arms = ("champion", "challenger")
    for shares, expected in (({}, 5_000), ({"champion": 0.02, "challenger": 0.98}, 9_800)):
        chooser = Chooser(Policy("robots", bandit=Bandit(arms, shares=shares)), ALIASES, VERSIONS)
        found = Counter(chooser.choose(str(number), {}, "").version for number in range(10_000))
        assert abs(found["2"] - expected) < 3 * 50
        assert chooser.choose("r", {}, "").reason == "bandit"


def test_shadows_get_a_copy_unless_they_answer_themselves() -> None:
    policy = Policy("robots", split=TENTH, shadows=("challenger", "3"))
    chooser = Chooser(policy, ALIASES, VERSIONS)
    shadows = {choice.version: choice.shadows for choice in (chooser.choose(str(n), {}, "") for n in range(200))}
    assert shadows == {"1": ("2", "3"), "2": ("3",)}


def test_a_version_that_does_not_exist_falls_back_to_the_champion_and_says_so() -> None:
    split = layout({"champion": SLOTS // 2, "9": SLOTS // 4, "beta": SLOTS // 4})
    chooser = Chooser(Policy("robots", split=split, shadows=("8",)), ALIASES, VERSIONS)
    found = {chooser.choose(str(number), {}, "") for number in range(100)}
    assert {choice[:3] for choice in found} == {("1", "champion", "weights"), ("1", "champion", "fallback")}
    assert all(choice.shadows == () for choice in found)
    assert chooser.problems == (
        "The policy names version 8, which does not exist or cannot be loaded. It gets no copies of requests.",
        "The policy names version 9, which does not exist or cannot be loaded. The champion answers instead.",
        "The policy names beta, but there is no beta now. The champion answers instead.",
    )


def test_an_alias_whose_version_cannot_be_loaded_is_named_with_it() -> None:
    chooser = Chooser(Policy("robots", pin="challenger"), ALIASES, {"1"})
    assert chooser.choose("r", {}, "") == ("1", "champion", "fallback", ())
    assert "challenger, which is version 2, which does not exist" in chooser.problems[0]


def test_without_a_champion_the_version_is_empty() -> None:
    assert Chooser(None, {}, set()).choose("r", {}, "").version == ""


def test_what_a_client_sends_cannot_make_a_choice_fail() -> None:
    chooser = Chooser(Policy("robots", split=TENTH, sticky="x-customer"), ALIASES, VERSIONS)
    for value in ("", "\udce9", "\0", "é" * 10_000):
        assert chooser.choose("r", {"x-customer": value}, "").version in VERSIONS
