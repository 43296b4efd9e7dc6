"""Advice for combinations of needs: it meets them by the rules that `up` and `ask` follow, and no less would."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantheon.advice import data, rules
from pantheon.advice.answer import advise
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.questions import ALL, can_answer
from pantheon.state import Route
from pantheon.tiers import Tier, all_tiers, find

NEEDS = tuple(data.needs())
TIERS = [tier for tier in all_tiers() if tier.built]


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANTHEON_HOME", str(tmp_path_factory.mktemp("home")))
        yield
    has.cache_clear()


@cache
def has(name: str, variant: str, without: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The components and the answerable questions of a deployment that was brought up like this."""
    tier, deployment = find(name), Deployment("pantheon")
    deployment.leave_out(tier, ",".join(sorted(without)) or "none")
    deployment.choose_variant(tier, variant or "none")
    names = frozenset(each.name for each in deployment.components(tier))
    route = deployment.route(tier)
    return names, frozenset(question.id for question in ALL if can_answer(question.id, route))


def meets(names: tuple[str, ...], tier: Tier, variant: str, without: frozenset[str]) -> bool:
    needs = [data.needs()[name] for name in names]
    if not {need.variant for need in needs} <= {"", variant} or not {need.runner for need in needs} <= {
        "",
        tier.runner,
    }:
        return False
    there, answers = has(tier.name, variant, without)
    return all(need.components <= there and need.answers <= answers for need in needs)


def check(names: tuple[str, ...]) -> None:
    found = advise(list(names))
    tier, variant, without = find(found["tier"]), found["variant"], frozenset(found["without"])
    assert meets(names, tier, variant, without)
    there, answers = has(tier.name, variant, without)
    assert [each["name"] for each in found["parts"]] == [
        each.name for each in rules.read(tier.definition(variant)) if each.name in there
    ]
    assert {each["id"] for each in found["answers"]} == answers
    assert [each["need"] for each in found["reasons"]] == sorted(names, key=NEEDS.index)
    for smaller in TIERS[: TIERS.index(tier)]:
        for other in ("", *smaller.variants):
            assert not meets(names, smaller, other, frozenset()), f"{smaller.name} would do"
    optional = set(rules.read(tier.compose_file).optional)
    for name in sorted(optional & there):
        less = without | {name}
        try:
            assert not meets(names, tier, variant, less), f"{name} could be left out, too"
        except PantheonError as error:  # the variant needs it
            assert "VARIANT" in str(error)
    for name in without:
        assert (
            name in has(tier.name, "", without)[0]
            or has(tier.name, "", without - {name})[0] > has(tier.name, "", without)[0]
        ), f"WITHOUT={name} says nothing that the other names do not"


@pytest.mark.parametrize("size", [0, 1, 2])
def test_every_need_and_every_pair_gets_the_smallest_answer_that_meets_them(size: int) -> None:
    for names in combinations(NEEDS, size):
        check(names)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(NEEDS), min_size=3))
def test_any_combination_gets_the_smallest_answer_that_meets_it(names: set[str]) -> None:
    check(tuple(name for name in NEEDS if name in names))


def test_needs_together_never_take_more_than_each_of_them_alone() -> None:
    """So the answer for any combination follows from those for single needs, as the page assumes."""
    alone = {name: rules.smallest(rules.requirement([data.needs()[name]])) for name in NEEDS}
    for pair in combinations(NEEDS, 2):
        both = rules.smallest(rules.requirement(data.needs()[name] for name in pair))
        assert both.tier.number == max(alone[name].tier.number for name in pair)
        assert both.wanted == alone[pair[0]].wanted | alone[pair[1]].wanted


def test_every_component_that_can_be_left_out_is_worth_its_place_for_some_need() -> None:
    wanted = {name for need in data.needs().values() for name in rules.smallest(rules.requirement([need])).wanted}
    for tier in TIERS:
        assert set(rules.read(tier.compose_file).optional) <= wanted


def test_the_first_tier_of_a_question_is_the_first_that_has_what_answers_it() -> None:
    for question in ALL:
        able = [tier.name for tier in TIERS if can_answer(question.id, Route(**rules.read(tier.compose_file).route()))]
        assert able[0] == question.first


def test_every_question_that_not_every_tier_answers_is_a_need() -> None:
    asked = {answer for need in data.needs().values() for answer in need.answers}
    assert asked == {question.id for question in ALL if question.part}


def test_two_variants_exclude_each_other() -> None:
    other = data.Need(title="", why="", sign="", variant="kserve")
    with pytest.raises(PantheonError, match="kserve and pycaret exclude each other"):
        rules.smallest(rules.requirement([data.needs()["automl"], other]))


def test_what_no_tier_has_is_named() -> None:
    with pytest.raises(PantheonError, match="no tier has all of this: mainframe"):
        rules.smallest(rules.Requirement(components=frozenset({"mainframe"})))
