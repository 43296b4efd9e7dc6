"""The page of `advise` gives the same advice as the command, in a browser, without a network."""

import random
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pantheon.advice import data, page
from pantheon.advice.answer import advise
from tests.support.browser import chromium

pytestmark = pytest.mark.browser
SAME = ("tier", "variant", "without", "command", "because", "parts")


def combinations_of_needs() -> list[list[str]]:
    names = list(data.needs())
    chance = random.Random(7)
    larger = [[name for name in names if chance.random() < share] for share in (0.2, 0.4, 0.7) for _ in range(60)]
    return [[], *([name] for name in names), *map(list, combinations(names, 2)), *larger, names]


def test_the_page_and_the_command_agree_on_every_pair_and_on_larger_sets(tmp_path: Path) -> None:
    (tmp_path / "advise.html").write_text(page.html())
    asked = combinations_of_needs()
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        problems: list[Any] = []
        tab.on("pageerror", lambda error: problems.append(error))
        tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        tab.goto((tmp_path / "advise.html").as_uri() + "#schedule,lineage")
        text = tab.inner_text("#answer")
        assert "make tier-odysseus up WITHOUT=jupyter" in text, "the address has the answers"
        assert "none of your needs uses it" in text
        assert "When people copy files out of runs to look at them: bring back JupyterLab." in text
        told = tab.evaluate("asked => asked.map(advise)", asked)
        for names, by_page in zip(asked, told, strict=True):
            by_command = advise(names)
            assert {key: by_page[key] for key in SAME} == {key: by_command[key] for key in SAME}, names
            assert by_page["leftOut"] == [each["name"] for each in by_command["left_out"]], names
            assert sum(by_page["answers"]) == len(by_command["answers"]), names
            assert (by_page["memory"], by_page["disk"]) == (
                by_command["cost"]["memory_mb"],
                by_command["cost"]["disk_mb"],
            )
        tab.check("#features")
        assert "make tier-hephaestus up WITHOUT=jupyter,frontend,monitoring" in tab.inner_text("#answer")
        assert tab.url.endswith("#schedule,lineage,features")
        tab.click("#clear")
        assert "make tier-persephone up" in tab.inner_text("#answer")
        tab.set_viewport_size({"width": 390, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is cut off on a phone"
        assert problems == []
