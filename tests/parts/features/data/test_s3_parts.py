"""Parts in S3: they move there from the folder, and back; nothing is lost if that is interrupted or S3 goes away."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.features.contract import Field, View
from pantheon.state import write_store
from pantheon.store.move import relocate
from pantheon.store.place import bring_to_folder, moving
from tests.support.feature_data import START, Data, parquet
from tests.support.s3_servers import Weed, deployment, weed, where

VIEW = View(
    name="robots",
    set="robots",
    kind="raw",
    key="robot_id",
    entity="robot-id",
    time="seen",
    fields=[Field(name="age", column="robot-age", type="number")],
)
LATER = "2026-02-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with weed(tmp_path_factory.mktemp("s3")) as server:
        yield server


def write(data: Data, now: str, **ages: float) -> None:
    rows = {"robot_id": list(ages), "event_timestamp": [START] * len(ages), "age": list(ages.values())}
    data.write("robots", parquet(pl.DataFrame(rows)), now)


def ages(data: Data, *ids: str) -> list[float | None]:
    return [row.features.get("age") for row in data.client.at(ids, datetime.now(UTC).isoformat(), "robots")]


def in_s3(server: Weed, bucket: str) -> dict[str, bytes]:
    listed = server.client.list_objects_v2(Bucket=bucket, Prefix="features/").get("Contents", [])
    read = {each["Key"]: server.client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed}
    return {key.removeprefix("features/"): content for key, content in read.items()}


def in_folder(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[1-9]*.parquet")}


def test_parts_move_to_s3_are_written_and_forgotten_there_and_move_back(s3: Weed, tmp_path: Path) -> None:
    state, bucket = deployment(tmp_path / "state", s3), s3.bucket()
    data = Data(state)
    try:
        data.client.apply([VIEW])
        write(data, "2026-01-02T00:00:00+00:00", a=1.0, b=2.0)
        write(data, "2026-01-03T00:00:00+00:00", a=1.5, c=3.0)
        stored = in_folder(state / "features")
        assert len(stored) == 2
        data.kill()

        write_store(state, where(s3, bucket))
        (first, content), *_ = stored.items()  # as if the service had been killed between the copy and the removal
        s3.client.put_object(Bucket=bucket, Key=f"features/{first}", Body=content)
        data.start()
        assert f"2 parts were moved from {state / 'features'} to s3://{bucket}/features." in data.do("recover")
        assert (in_s3(s3, bucket), in_folder(state / "features")) == (stored, {})
        assert data.do("recover") == []
        assert ages(data, "a", "b", "c", "d") == [1.5, 2.0, 3.0, None]

        write(data, LATER, b=2.5)
        assert len(in_s3(s3, bucket)) == 3
        s3.kill()
        new = pl.DataFrame({"robot_id": ["e"], "event_timestamp": [START], "age": [5.0]})
        with pytest.raises(PantheonError, match="S3"):
            data.client.write("robots", parquet(new))
        assert ages(data, "b", "e") == [2.5, None], "what is known is read from the copy"
        s3.start()
        write(data, LATER, e=5.0)
        assert ages(data, "e") == [5.0]

        data.do("forget", column="robot-id", value="a")
        kept = in_s3(s3, bucket)
        assert "a" not in pl.concat([pl.read_parquet(each) for each in kept.values()])["robot_id"]
        data.kill()
        shutil.rmtree(state / "volumes" / "features" / "robots")  # as on another machine
        data.start()
        data.do("recover")
        assert in_folder(state / "volumes" / "features") == kept
        assert ages(data, "a", "b", "c", "e") == [None, 2.5, 3.0, 5.0]

        with ThreadPoolExecutor(1) as pool:  # back to the folder; the service runs
            with moving(state):
                assert bring_to_folder(state) == {"predictions": 0, "features": len(kept)}
                waiting = pool.submit(write, data, LATER, f=6.0)
                assert not wait([waiting], timeout=0.5).done, "what is written meanwhile would be left behind"
            waiting.result()  # whoever moved them was killed: S3 is still the place
        assert (kept.items() <= in_s3(s3, bucket).items(), in_folder(state / "features")) == (True, {})
        kept = in_s3(s3, bucket)
        relocate(state, None)
        assert (in_s3(s3, bucket), in_folder(state / "features")) == ({}, kept)
        write(data, LATER, g=7.0)
        assert len(in_folder(state / "features")) == len(kept) + 1
        assert ages(data, "a", "b", "e", "f", "g") == [None, 2.5, 5.0, 6.0, 7.0]
        data.kill()
        data.start()
        assert data.do("recover") == []
        assert ages(data, "a", "b", "e", "f", "g") == [None, 2.5, 5.0, 6.0, 7.0]
    finally:
        data.kill()
