"""One deployment with the feature store, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.hephaestus import WITHOUT


@pytest.fixture(scope="package")
def hephaestus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    made = make_pantheon(tmp_path_factory.mktemp("hephaestus") / "home", TRIALS="1")
    try:
        made("up", "persephone", "--no-run")
        made("up", "hephaestus", "--without", WITHOUT, "--no-run", timeout=600)
        yield made
    finally:
        made("destroy", "--confirm", "yes")
        assert_nothing_left(made.home)
