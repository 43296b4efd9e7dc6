"""One process of the service's data part for the tests of a file."""

from collections.abc import Iterator

import pytest

from pantheon.engines.local import environments
from tests.support.feature_data import Data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Data]:
    environments.make(["feast"])
    made = Data(tmp_path_factory.mktemp("data") / "state")
    yield made
    made.kill()
