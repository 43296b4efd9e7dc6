"""One deployment with the feature store, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.smithing import TIERS


@pytest.fixture(scope="package")
def smithing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    made = make_pantheon(tmp_path_factory.mktemp("smithing") / "home", TRIALS="1")
    made.settings["PANTHEON_TIERS"] = str(TIERS)
    try:
        made("up", "persephone", "--no-run")
        made("up", "smithing", "--no-run", timeout=600)
        yield made
    finally:
        made("destroy", "--confirm", "yes")
        assert_nothing_left(made.home)
