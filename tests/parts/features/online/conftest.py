"""One Valkey, one PostgreSQL and one service for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.feature_servers import Postgres, Valkey
from tests.support.feature_writing import Writing


@pytest.fixture(scope="package")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    made = Valkey(tmp_path_factory.mktemp("valkey") / "data")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="package")
def postgres() -> Iterator[Postgres]:
    made = Postgres()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="package")
def process(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey, postgres: Postgres) -> Iterator[Writing]:
    made = Writing(Path(tmp_path_factory.mktemp("writing")), valkey, postgres)
    made.define()
    yield made
    made.kill()


@pytest.fixture
def writing(process: Writing) -> Writing:
    """The service without any rows."""
    process.do("reset")
    return process
