"""A policy that cannot be used is refused with a sentence that says why; another is read as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.routing import policy as policies
from pantheon.routing.policy import SLOTS, Bandit, HeaderRule, Policy
from pantheon.store.records import Damaged

names = st.sampled_from(["champion", "challenger", "1", "23"])
rules = st.builds(HeaderRule, st.sampled_from(["x-a", "x-b"]), st.text(min_size=1, max_size=9), names)
several = st.lists(rules, max_size=3, unique_by=lambda rule: (rule.name, rule.value)).map(tuple)
splits = st.integers(1, SLOTS - 1).map(lambda end: ((end, "1"), (SLOTS, "2")))
bandits = st.lists(names, min_size=2, max_size=4, unique=True).map(lambda arms: Bandit(tuple(arms)))
shadows = st.lists(names, max_size=3, unique=True).map(tuple)
valid = st.one_of(
    st.builds(Policy, st.just("robots"), headers=several, shadows=shadows),
    st.builds(Policy, st.just("robots"), headers=several, shadows=shadows, pin=names),
    st.builds(Policy, st.just("robots"), split=splits, sticky=st.sampled_from(["", "key", "x-c"])),
    st.builds(Policy, st.just("robots"), headers=several, bandit=bandits),
)


@given(valid)
def test_a_policy_is_read_as_it_was_written(policy: Policy) -> None:
    policy.checked()
    assert policies.read_json(policies.as_json(policy), "robots") == policy
    assert set(policy.versions) == {target for target in policy.targets if target.isdigit()}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Policy("", pin="../1"), "'../1' is not a version or an alias"),
        (Policy("", pin="1", split=((SLOTS, "1"),)), "one of: a pinned version, weights, a bandit"),
        (Policy("", split=((5, "1"),)), "must increase up to 10000"),
        (Policy("", split=((5, "1"), (5, "2"), (SLOTS, "3"))), "must increase"),
        (Policy("", split=((0, "1"), (SLOTS, "2"))), "must increase"),
        (Policy("", sticky="key"), "only weights can be sticky"),
        (Policy("", split=((SLOTS, "1"),), sticky="X-A"), "header in lower case"),
        (Policy("", headers=(HeaderRule("authorization", "x", "1"),)), "carries a secret"),
        (Policy("", headers=(HeaderRule("x", "", "1"),)), "1 to 200 characters"),
        (Policy("", headers=(HeaderRule("x", "1", "1"), HeaderRule("x", "1", "2"))), "same header and value"),
        (Policy("", shadows=("1", "1")), "each once"),
        (Policy("", bandit=Bandit(("1",))), "between 2 to 10 versions"),
        (Policy("", bandit=Bandit(("1", "2"), floor=0.01)), "2 % to 50 %"),
        (Policy("", bandit=Bandit(("1", "2"), shares={"1": 1.0})), "one for each version"),
        (Policy("", bandit=Bandit(("1", "2"), shares={"1": 0.99, "2": 0.01})), "not below the least share"),
        (Policy("", bandit=Bandit(("1", "2"), counts={"1": (-1, 0)})), "not negative"),
    ],
)
def test_what_is_wrong_is_named(policy: Policy, message: str) -> None:
    with pytest.raises(PantheonError, match=message):
        policy.checked()


@pytest.mark.parametrize(
    "raw",
    [{}, {"salt": 1}, {"salt": "", "colour": "red"}, {"salt": "", "split": [[1]]}, {"salt": "", "pin": "newest!"},
     {"salt": "", "bandit": {"arms": ["1", "2"], "floor": "NaN"}}],
)  # fmt: skip
def test_a_damaged_policy_has_one_sentence_and_a_cure(raw: dict[str, object]) -> None:
    with pytest.raises(Damaged, match="the routing policy of robots is damaged: ") as error:
        policies.read_json(raw, "robots")
    assert "`bin/pantheon route clear --model robots`" in error.value.cure


def test_a_least_share_that_is_no_number_is_refused() -> None:
    with pytest.raises(PantheonError, match="the least share"):
        Policy("", bandit=Bandit(("1", "2"), floor=float("nan"))).checked()
