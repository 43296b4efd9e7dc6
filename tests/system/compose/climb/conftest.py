"""One deployment in containers that grows to the last tier, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from pantheon.engines.compose.client import Api
from tests.support.climb import BUILT, Load
from tests.support.compose import Composed, clear, make_composed
from tests.support.compose_climb import LAST, Climb


@pytest.fixture(scope="package")
def climb(tmp_path_factory: pytest.TempPathFactory, docker: Api, stand_in: None) -> Iterator[Climb]:
    made = make_composed(tmp_path_factory.mktemp("climb"))
    found = Climb(made, Load(made.page))
    try:
        found.outcomes["persephone"] = made("up", "persephone", "--data", "wine", "--json", timeout=400).json["outcome"]
        mine = made.state / "notebooks" / "mine.ipynb"
        mine.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        with found.load:
            for tier in BUILT:
                found.grow(docker, tier)
                if tier == "prometheus":
                    found.kill_scheduler(docker)
                if tier in ("nemesis", LAST):
                    found.said.append(made("run", "--json", timeout=400))
                    found.outcomes[tier] = found.said[-1].json
        yield found
    finally:
        clear(made)


@pytest.fixture
def last(climb: Climb) -> Composed:
    """At the last tier, on Compose, with all components: nothing to do where the test before left it so."""
    climb.made("up", LAST, "--engine", "compose", "--without", "none", "--no-run", timeout=400)
    return climb.made
