import pytest

from tests.support.feature_store import MemoryFeatures
from tests.support.training import bundled, make_run, store

__all__ = ["bundled", "make_run", "store"]


@pytest.fixture
def features() -> MemoryFeatures:
    return MemoryFeatures()
