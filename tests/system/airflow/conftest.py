"""One deployment of prometheus, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.airflow import Prometheus
from tests.support.command_line import assert_nothing_left, make_pantheon


@pytest.fixture(scope="package")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    made = make_pantheon(tmp_path_factory.mktemp("prometheus"), TRIALS="1")
    made("up", "prometheus", "--no-run", timeout=300)
    deployment = Prometheus(made)
    try:
        for dag in ("etl", "dataflow"):
            deployment.airflow.wait_for_dag(dag)
        yield deployment
    finally:
        made("down", check=False)
    assert_nothing_left(made.home)


@pytest.fixture
def alone(prometheus: Prometheus) -> Iterator[None]:
    """The ETL by itself: who would go on after it is paused, since training would only make the machine busy."""
    prometheus.pause("dataflow", True)
    yield
    prometheus.pause("dataflow", False)
