"""Find the smallest tier, and the components to leave out, that meet needs. Everything follows from the definitions."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from pantheon import components
from pantheon.advice.data import Need
from pantheon.components import Component, Components
from pantheon.errors import PantheonError
from pantheon.questions import BY_ID, can_answer
from pantheon.state import Route
from pantheon.tiers import Tier, all_tiers


@dataclass(frozen=True)
class Requirement:
    """What a deployment must have: the sum of several needs.

    Attributes:
        components: names of components.
        answers: ids of questions.
        runners: how the stages run, as in ``tier.toml``; empty: in any way.
        variants: names of variants; a deployment has at most one.
    """

    components: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    runners: frozenset[str] = frozenset()
    variants: frozenset[str] = frozenset()

    def __or__(self, other: "Requirement") -> "Requirement":
        return Requirement(
            self.components | other.components,
            self.answers | other.answers,
            self.runners | other.runners,
            self.variants | other.variants,
        )


@dataclass(frozen=True)
class Fit:
    """A tier that meets a requirement, with as few components as possible.

    Attributes:
        variant: its variant; empty for none.
        wanted: the components that meet the requirement itself; what they need is not among them.
        without: the value of ``WITHOUT=``, as short as possible.
        components: those that the deployment has.
        left_out: the names of all optional components that it does not have.
    """

    tier: Tier
    variant: str
    wanted: frozenset[str]
    without: tuple[str, ...]
    components: Components
    left_out: tuple[str, ...]

    @property
    def route(self) -> Route:
        return Route(**self.components.route())

    @property
    def answers(self) -> list[str]:
        """The ids of the questions that it can answer."""
        return [id for id in BY_ID if can_answer(id, self.route)]

    @cached_property
    def kept(self) -> dict[str, list[str]]:
        """Components that are there because others need them: name → the titles of those."""
        there = [each for each in self.components if not each.required and each.name not in self.wanted]
        return {each.name: [title(other) for other in self.components if each.name in other.needs] for each in there}


read = cache(components.read)  # an advice asks for the same definitions again and again


def title(component: Component) -> str:
    return component.title or component.name


def requirement(needs: Iterable[Need]) -> Requirement:
    """Return what a deployment must have to meet all of ``needs``."""
    total = Requirement()
    for need in needs:
        runners, variants = (frozenset({text} - {""}) for text in (need.runner, need.variant))
        total |= Requirement(need.components, need.answers, runners, variants)
    return total


@cache
def smallest(wanted: Requirement) -> Fit:
    """Return the smallest tier that meets ``wanted``, without the components that it does not need.

    Raises:
        PantheonError: no tier meets it.
    """
    for tier in all_tiers():
        if tier.built and (found := fit(tier, wanted)):
            return found
    if len(wanted.variants) > 1:
        names = " and ".join(sorted(wanted.variants))
        raise PantheonError(f"a deployment has one variant: {names} exclude each other.", "Leave one of the needs out.")
    lacks = ", ".join(sorted(wanted.components | wanted.answers | wanted.runners | wanted.variants))
    raise PantheonError(f"no tier has all of this: {lacks}.", "Leave one of the needs out.")


def fit(tier: Tier, wanted: Requirement) -> Fit | None:
    """Return how ``tier`` meets ``wanted``; None if it does not."""
    if len(wanted.variants) > 1 or not wanted.variants <= tier.variants.keys() or wanted.runners - {tier.runner}:
        return None
    variant = next(iter(wanted.variants), "")
    usual, every = read(tier.compose_file), read(tier.definition(variant))
    by_name = {each.name: each for each in every}
    own = by_name.keys() - {each.name for each in usual}  # of the variant
    answering = {id: _answering(every, id) for id in wanted.answers}
    names = frozenset(wanted.components | own | {name for name in answering.values() if name})
    if not names <= by_name.keys() or None in answering.values():
        return None
    keep = with_needs(names, by_name)
    spare = [name for name in usual.optional if name not in keep]
    without = tuple(name for name in spare if name not in every.left_out([other for other in spare if other != name]))
    there = every.without([*without, *_unasked(every)])
    left = tuple(name for name in usual.optional if name in every.left_out(without))
    found = Fit(tier, variant, names, without, there, left)
    return found if keep <= {each.name for each in there} and wanted.answers <= set(found.answers) else None


def _answering(every: Components, id: str) -> str | None:
    """Return the component that answers the question ``id``; empty if every deployment does, None if none of them."""
    question = BY_ID[id]
    if not question.part:
        return ""
    leaders = [each.name for each in every if (question.part, question.leader) in each.leads.items()]
    return leaders[-1] if leaders else None


def with_needs(names: Collection[str], by_name: Mapping[str, Component]) -> set[str]:
    """Return ``names`` and all components that they need."""
    found, new = set(names), set(names)
    while new:
        new = {needed for name in new for needed in by_name[name].needs} - found
        found |= new
    return found


def _unasked(every: Components) -> list[str]:
    """Return components that are only there on demand, and that no other component demands: a setting brings them."""
    demanded = {needed for each in every for needed in each.needs}
    return [each.name for each in every if each.on_demand and each.name not in demanded]
