"""The DAGs as Airflow reads them."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.dags import Airflow


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DAGs of a deployment that nobody has set anything for."""
    return Airflow(tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("deployment")).describe()


@pytest.fixture
def dag(described: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    return lambda name: described["dags"][name]
