"""No test begins just before midnight (UTC)."""

import pytest

from tests.support import predictions

early_enough = pytest.fixture(autouse=True)(predictions.early_enough)
