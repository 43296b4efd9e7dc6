"""One deployment of persephone, shared by the tests of this folder that only read it."""

from typing import Any

import pytest

from tests.support.command_line import assert_nothing_left, make_pantheon


@pytest.fixture(scope="session")
def persephone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One deployment of persephone with its first model, shared by the tests that only look at it."""
    made = make_pantheon(tmp_path_factory.mktemp("shared"), TRIALS="1")
    made("up", "persephone")
    yield made
    made("down")
    assert_nothing_left(made.home)
