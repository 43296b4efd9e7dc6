"""Runs in Feast's environment: writes rows with Feast's own SDK, and prints what Feast reads back for each entity.

Arguments: a folder, the address of Valkey, its password, and the number of entities.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {"size": Float64, "count": Int64, "town": String, "charging": Bool, "built": UnixTimestamp}


def rows(entities: int) -> pd.DataFrame:
    """Values of each type, each missing now and then, and their extremes."""
    texts = ["Argos", "", "Θήβαι", "7", "x" * 300]
    numbers = [0.0, -0.0, 1.5, -1e308, 5e-324, 0.1]
    whole = [0, 1, -1, 2**62, -(2**62), 4711]
    days = [EPOCH, EPOCH.replace(year=1969), EPOCH + timedelta(hours=5, minutes=3, seconds=1)]

    def some(values: list, i: int, step: int) -> object:
        return None if i % step == 0 else values[i % len(values)]

    lines = []
    for i in range(entities):
        line = {"robot_id": f"id {i}" if i % 2 else str(i), "event_timestamp": EPOCH + timedelta(microseconds=i * 1001)}
        line |= {"size": some(numbers, i, 5), "count": some(whole, i, 7), "town": some(texts, i, 11)}
        line |= {"charging": some([True, False], i, 3), "built": some(days, i, 4)}
        lines.append(line)
    frame = pd.DataFrame(lines)
    return frame.astype({"count": "Int64", "charging": "boolean", "town": "object"})


def main() -> None:
    folder, address, password, entities = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    online = {"type": "redis", "connection_string": f"{address},password={password}"}
    config = RepoConfig(
        project="pantheon",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store=online,
        offline_store={"type": "dask"},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    frame = rows(entities)
    path = folder / "rows.parquet"
    frame.to_parquet(path)
    source = FileSource(name="source", path=str(path), timestamp_field="event_timestamp")
    robot = Entity(name="robot", join_keys=["robot_id"], value_type=ValueType.STRING)
    schema = [Field(name=name, dtype=kind) for name, kind in KINDS.items()]
    view = FeatureView(
        name="robots", entities=[robot], schema=[*schema, Field(name="robot_id", dtype=String)], source=source
    )
    store.apply([robot, view])
    store.write_to_online_store("robots", frame)
    asked = [{"robot_id": id} for id in [*frame["robot_id"], "nobody"]]
    found = store.get_online_features([f"robots:{name}" for name in KINDS], asked).to_dict()
    for value in found.values():
        for place, each in enumerate(value):
            value[place] = each.isoformat() if isinstance(each, datetime) else each
    times = [moment.isoformat() for moment in frame["event_timestamp"]]
    print(json.dumps({"values": found, "times": times}))


if __name__ == "__main__":
    main()
