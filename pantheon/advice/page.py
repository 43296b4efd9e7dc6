"""The page of ``advise``: one HTML file with the data and the same rules, which works without a server or a network."""

import json
from pathlib import Path
from typing import Any

import msgspec

from pantheon.advice import cost, data, rules
from pantheon.components import Components
from pantheon.questions import ALL
from pantheon.tiers import Tier, all_tiers

TEMPLATE = Path(__file__).with_name("page.html")
PLACE = '"DATA"'


def html() -> str:
    """Return the page."""
    text = json.dumps(content(), ensure_ascii=False).replace("<", "\\u003c")  # no tag in a text ends the script
    return TEMPLATE.read_text(encoding="utf-8").replace(PLACE, text, 1)


def content() -> dict[str, Any]:
    """Return what the page's script knows: topics, needs, tiers, components, questions, alternatives."""
    tiers = [tier for tier in all_tiers() if tier.built]
    return {
        "topics": [_topic(topic) for topic in data.topics()],
        "tiers": [_tier(tier) for tier in tiers],
        "questions": [{"text": each.text, "part": each.part, "leader": each.leader} for each in ALL],
        "alternatives": {name: msgspec.to_builtins(each) for name, each in data.alternatives().items()},
    }


def _topic(topic: data.Topic) -> dict[str, Any]:
    return {"ask": topic.ask, "none": topic.none, "needs": [_need(name, each) for name, each in topic.needs.items()]}


def _need(name: str, need: data.Need) -> dict[str, Any]:
    alone = rules.smallest(rules.requirement([need]))
    return {
        "name": name,
        "title": need.title,
        "why": need.why,
        "sign": need.sign,
        "variant": need.variant,
        "tier": alone.tier.name,
        "wanted": sorted(alone.wanted),
    }


def _tier(tier: Tier) -> dict[str, Any]:
    picture = tier.folder / "diagram.svg"
    return {
        "name": tier.name,
        "title": tier.title,
        "adds": tier.adds,
        "story": tier.story,
        "picture": picture.read_text(encoding="utf-8") if picture.is_file() else "",
        "measured": cost.measured(tier),
        "cost": cost.paragraph(tier, cost.COST),
        "sign": cost.paragraph(tier, cost.NEXT),
        "not": cost.paragraph(tier, cost.NOT),
        "optional": rules.read(tier.compose_file).optional,
        "components": {name: _components(rules.read(tier.definition(name))) for name in ("", *tier.variants)},
    }


def _components(every: Components) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "title": rules.title(each),
            "required": each.required,
            "onDemand": each.on_demand,
            "needs": each.needs,
            "leads": dict(each.leads),
            "memory": each.memory_mb,
            "disk": each.disk_mb,
        }
        for each in every
    ]
