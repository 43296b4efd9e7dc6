"""Each tier's picture shows exactly the nodes, boxes and edges of its facts, and boxes hold their nodes."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support import ROOT

FACTS = sorted((ROOT / "tiers").glob("*/diagram*.json"))
SVG = "{http://www.w3.org/2000/svg}"


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_every_tier_has_its_picture() -> None:
    assert [path.parent.name for path in FACTS if path.stem == "diagram"] == sorted(
        f.parent.name for f in ROOT.glob("tiers/*/tier.toml")
    )
    assert len({path.parent for path in FACTS}) == 9


def rectangle(group: ET.Element) -> tuple[float, float, float, float]:
    rect = group.find(f"{SVG}rect")
    assert rect is not None
    x, y, width, height = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def holds(outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


@pytest.mark.parametrize("facts", FACTS, ids=name)
def test_the_picture_is_the_facts(facts: Path) -> None:
    said = json.loads(facts.read_text())
    svg = ET.parse(facts.with_suffix(".svg")).getroot()
    groups = list(svg.iter(f"{SVG}g"))
    nodes = {g.attrib["data-node"]: rectangle(g) for g in groups if "data-node" in g.attrib}
    edges = [g.attrib["data-edge"] for g in groups if "data-edge" in g.attrib]
    boxes = {g.attrib["data-box"]: g for g in groups if "data-box" in g.attrib}
    assert sorted(edges) == sorted(f"{a}->{b}" for a, b in said["edges"])
    assert set(nodes) == {n for e in said["edges"] for n in e} | {n for b in said["boxes"] for n in b["nodes"]}
    assert sorted(boxes) == sorted(b["label"] for b in said["boxes"])
    for box in said["boxes"]:
        drawn = boxes[box["label"]]
        assert drawn.attrib["data-nodes"].split() == box["nodes"]
        within = {node for node, place in nodes.items() if holds(rectangle(drawn), place)}
        inner = {n for b in said["boxes"] if b["inside"] == box["label"] for n in b["nodes"]}
        assert within == set(box["nodes"]) | inner
        if box["inside"]:
            assert holds(rectangle(boxes[box["inside"]]), rectangle(drawn))


@pytest.mark.parametrize("facts", FACTS, ids=name)
def test_the_picture_has_a_description_and_fits_dark_and_light(facts: Path) -> None:
    text = facts.with_suffix(".svg").read_text()
    svg = ET.fromstring(text)
    ids = {e.attrib["id"] for tag in ("title", "desc") for e in svg.findall(f"{SVG}{tag}") if e.text}
    assert set(svg.attrib["aria-labelledby"].split()) == ids
    assert svg.attrib["role"] == "img"
    assert "prefers-color-scheme: dark" in text
    shown = [t.text for t in svg.iter(f"{SVG}text")]
    for node in (g.attrib["data-node"] for g in svg.iter(f"{SVG}g") if "data-node" in g.attrib):
        assert node.replace("_", " ") in shown


def test_the_pictures_style_is_the_pages() -> None:
    css = (ROOT / "serving" / "page" / "static" / "diagram.css").read_text().split("*/", 1)[1]
    wanted = " ".join(line.strip() for line in css.splitlines()).strip()
    for facts in FACTS:
        assert f"<style>{wanted}</style>" in facts.with_suffix(".svg").read_text(), "run bin/draw-diagrams"
