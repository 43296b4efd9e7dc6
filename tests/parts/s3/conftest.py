"""One S3 service for the tests of a file."""

from collections.abc import Iterator

import pytest

from tests.support.s3_service import Service


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("s3") / "s3")
    try:
        service.up()
        yield service
    finally:
        service.down()
    assert service.sockets() == []
