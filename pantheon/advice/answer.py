"""The answer of ``advise``: the tier, the components to leave out, and a reason for each."""

from typing import Any

import msgspec

from pantheon.advice import cost, data, rules
from pantheon.deployment import commands
from pantheon.questions import BY_ID
from pantheon.tiers import all_tiers


def advise(names: list[str]) -> dict[str, Any]:
    """Return the advice for these needs.

    Args:
        names: of needs, as from ``data.chosen``.

    Returns:
        ``{"needs", "tier", "title", "variant", "without", "command", "because", "reasons": [{"need", "title", "why",
        "tier"}], "parts": [{"name", "title", "why"}], "left_out": [{"name", "title", "why", "sign"}], "answers",
        "cost": {"memory_mb", "disk_mb", "measured", "readme"}, "next", "alternatives"}``; see docs/advise.md.

    Raises:
        PantheonError: no tier meets all of them.
    """
    known = data.needs()
    found = rules.smallest(rules.requirement(known[name] for name in names))
    first = {name: rules.smallest(rules.requirement([known[name]])).tier for name in names}
    without = ",".join(found.without)
    return {
        "needs": names,
        "tier": found.tier.name,
        "title": found.tier.title,
        "variant": found.variant,
        "without": list(found.without),
        "command": commands.command(commands.DEFAULT, found.tier.name, "up", without=without, variant=found.variant),
        "because": because(found, names, {name: tier.number for name, tier in first.items()}),
        "reasons": [
            {"need": name, "title": known[name].title, "why": known[name].why, "tier": first[name].name}
            for name in names
        ],
        "parts": parts(found, names),
        "left_out": left_out(found),
        "answers": [{"id": id, "question": BY_ID[id].text} for id in found.answers],
        "cost": {
            "memory_mb": found.components.memory_mb,
            "disk_mb": found.components.disk_mb,
            "measured": cost.measured(found.tier),
            "readme": cost.paragraph(found.tier, cost.COST),
        },
        "next": next_step(found),
        "alternatives": {
            component: {name: msgspec.to_builtins(each) for name, each in found_.items()}
            for component, found_ in data.instead_of([each.name for each in found.components]).items()
        },
    }


def because(found: rules.Fit, names: list[str], first: dict[str, int]) -> str:
    """Return why it is this tier, in a sentence."""
    if not names:
        return f"You named no need, and {found.tier.name} is the smallest tier: {found.tier.adds}."
    deciding = [name for name in names if first[name] == found.tier.number]
    if not deciding:  # only several of them together need it
        return f"{found.tier.name} is the first tier that meets all of these needs."
    return f"{found.tier.name} is the first tier that meets {' and '.join(deciding)}: it adds {found.tier.adds}."


def parts(found: rules.Fit, names: list[str]) -> list[dict[str, str]]:
    """Return the components of the deployment, and why each is there."""
    known, told = data.needs(), []
    single = {name: rules.fit(found.tier, rules.requirement([known[name]])) for name in names}
    for each in found.components:
        asked = [name for name, one in single.items() if one and each.name in one.wanted]
        if asked:
            why = f"for {' and '.join(asked)}"
        elif each.required:
            why = "in every deployment of this tier"
        elif each.name in found.kept:
            users = found.kept[each.name]
            why = f"{' and '.join(users)} need{'s' if len(users) == 1 else ''} it"
        else:
            why = f"for the variant {found.variant}"
        told.append({"name": each.name, "title": rules.title(each), "why": why})
    return told


def left_out(found: rules.Fit) -> list[dict[str, Any]]:
    """Return the components that the deployment goes without, why, and the signs that one is worth adding.

    Returns:
        ``[{"name", "title", "why", "signs": {need: sign}, "back": titles of it and of the others that it needs}]``.
    """
    every = {each.name: each for each in rules.read(found.tier.definition(found.variant))}
    return [
        {
            "name": name,
            "title": rules.title(every[name]),
            "why": "none of your needs uses it",
            "signs": signs(name, found),
            "back": [rules.title(every[each]) for each in found.left_out if each in rules.with_needs([name], every)],
        }
        for name in found.left_out
    ]


def signs(component: str, found: rules.Fit) -> dict[str, str]:
    """Return the signs of the needs, by need, that the deployment would meet if ``component`` were added to it."""
    there = {component, *(each.name for each in found.components)}
    alone = {name: rules.smallest(rules.requirement([need])).wanted for name, need in data.needs().items()}
    return {name: data.needs()[name].sign for name, wanted in alone.items() if component in wanted and wanted <= there}


def next_step(found: rules.Fit) -> dict[str, str] | None:
    """Return the tier after this one and the sign that it is time for it; None after the last one."""
    after = [tier for tier in all_tiers() if tier.built and tier.number > found.tier.number]
    sign = cost.paragraph(found.tier, cost.NEXT)
    if not after:
        return {"tier": "", "adds": "", "sign": sign, "not": ""} if sign else None
    tier = after[0]
    return {"tier": tier.name, "adds": tier.adds, "sign": sign, "not": cost.paragraph(tier, cost.NOT)}
