"""Deployments on Kubernetes; skipped if no cluster was named, or it does not answer."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.kubernetes import Clustered, clustered, missing

reason = cache(missing)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.long)
        if reason():
            item.add_marker(pytest.mark.skip(reason=f"no cluster: {reason()}"))


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Clustered]:
    with clustered(tmp_path) as made:
        yield made
