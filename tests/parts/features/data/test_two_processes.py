"""Two processes that define views at the same time, on PostgreSQL: Feast alone loses some, or fails."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pantheon.engines.local import environments
from pantheon.features.contract import Field, View
from tests.support.feature_data import Data
from tests.support.feature_servers import Postgres


@pytest.fixture
def both(tmp_path: Path) -> Iterator[list[Data]]:
    environments.make(["feast"])
    postgres, started = Postgres(), list[Data]()
    try:
        postgres.start()
        for _ in range(2):
            started.append(Data(tmp_path / "state", postgres.address))
        yield started
    finally:
        for data in started:
            data.kill()
        postgres.remove()


def test_two_processes_that_define_at_once_lose_nothing(both: list[Data]) -> None:
    wanted: dict[str, list[View]] = {}
    for who in ("ada", "bob"):
        other = Field(name=who, column=who, type="text")
        shared = [View(name=f"shared{number}", set="s", kind="raw", key="k", fields=[other]) for number in range(4)]
        own = [View(name=f"{who}{number}", set="s", kind="raw", key="k", fields=[other]) for number in range(4)]
        wanted[who] = [view for pair in zip(shared, own, strict=True) for view in pair]
    for data, views in zip(both, wanted.values(), strict=True):
        data.begin(do="apply", views=msgspec.to_builtins(views))
    applied = [data.answer() for data in both]
    assert not {*applied[0]} & {*applied[1]}
    found = {view["name"]: view["fields"][0]["name"] for view in both[0].do("views")}
    assert found == {name: who for who, names in zip(wanted, applied, strict=True) for name in names}
