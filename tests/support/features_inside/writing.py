"""The service's writing side without its HTTP: reads commands as JSON lines, answers each with a JSON line.

Runs in the environment ``feast``. Arguments: a folder, PostgreSQL's address, Valkey's port and password.
"""

import base64
import json
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import polars as pl
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.file_source import FileSource
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

from pantheon.errors import PantheonError
from pantheon.features.api import Problem
from pantheon.features.contract import View
from pantheon.features.here import unavailable
from pantheon.features.intervals import Intervals
from pantheon.features.keeper import Keeper
from pantheon.features.online import Online, connect
from pantheon.features.parts import Parts
from pantheon.store.place import FolderPlace

TYPES = {"number": Float64, "integer": Int64, "text": String, "boolean": Bool, "date": UnixTimestamp}


class Here:
    """The views of this process."""

    def __init__(self, known: dict[str, View]) -> None:
        self.known = known

    def views(self) -> list[View]:
        return list(self.known.values())

    def view(self, name: str) -> View:
        if name not in self.known:
            raise Problem(404, f"The view {name!r} does not exist.")
        return self.known[name]


class Service:
    """The parts of the service that write online."""

    def __init__(self, folder: Path, registry: str, port: int, password: str) -> None:
        connection = f"127.0.0.1:{port},password={password}"
        self.store = FeatureStore(
            config=RepoConfig(
                project="pantheon",
                provider="local",
                registry={"registry_type": "sql", "path": registry, "cache_ttl_seconds": 3600},
                online_store={"type": "redis", "connection_string": connection},
                offline_store={"type": "duckdb"},
                entity_key_serialization_version=3,
            )
        )
        self.folder, self.known = folder, dict[str, View]()
        self.client = connect("127.0.0.1", port, password)
        self.parts, self.online = Parts(FolderPlace(folder / "stored"), folder / "parts"), Online(self.client)
        here, intervals = Here(self.known), Intervals(self.store.registry)  # type: ignore[arg-type]
        self.keeper = Keeper(folder / "spool", self.online, self.parts, here, intervals, unavailable)

    def define(self, view: View) -> None:
        """Define a view here and in Feast's registry."""
        self.known[view.name] = view
        self.keeper.definitions_changed()
        self.parts.prepare(view)
        entity = Entity(name=view.key, join_keys=[view.key], value_type=ValueType.STRING)
        source = FileSource(
            name=view.name,
            path=str(self.parts.glob(view.name)),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        schema = [Field(name=view.key, dtype=String)]
        schema += [Field(name=field.name, dtype=TYPES[field.type]) for field in view.fields]
        made = FeatureView(
            name=view.name, entities=[entity], schema=schema, source=source, ttl=timedelta(0), online=True
        )
        self.store.apply([entity, source, made])

    def part(self, view: View, rows: list[list[Any]]) -> str | None:
        """Store rows ``[id, event, *values]``, times in microseconds, as the service does when they are posted."""
        self.keeper.store_pushes()
        moment = pl.Datetime("us", "UTC")
        dtypes = {"number": pl.Float64, "integer": pl.Int64, "text": pl.String, "boolean": pl.Boolean, "date": pl.Int64}
        schema: dict[str, Any] = {view.key: pl.String, "event_timestamp": pl.Int64}
        schema |= {field.name: dtypes[field.type] for field in view.fields}
        dates = ["event_timestamp", *(field.name for field in view.fields if field.type == "date")]
        frame = pl.DataFrame(rows, schema, orient="row").with_columns(pl.col(dates).cast(moment))
        path = self.folder / "rows.parquet"
        frame.write_parquet(path)
        return self.parts.write(view, path).part

    def pushed(self, view: View, row: list[Any]) -> dict[str, Any]:
        """A row ``[id, event, *values]`` as users push it."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row[1])
        values = zip((field.column for field in view.fields), row[2:], strict=True)
        return {view.entity: row[0], "event_timestamp": moment.isoformat(), **dict(values)}

    def read(self, view: View, ids: list[str]) -> list[Any]:
        """What Feast itself reads online: ``[microseconds, values]`` for each id; None: it is not there."""
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        keys = [EntityKey(join_keys=[view.key], entity_values=[Value(string_val=id)]) for id in ids]
        provider = self.store._get_provider()
        found = provider.online_read(self.store.config, self.store.get_feature_view(view.name), keys)
        there = [self.client.hexists(self.online.key(view.key, id), f"_ts:{view.name}") for id in ids]
        answer: list[Any] = []
        for is_there, (moment, values) in zip(there, found, strict=True):
            if not is_there:
                answer.append(None)
                continue
            exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            shown = {}
            for name, value in values.items():
                kind = value.WhichOneof("val")
                shown[name] = None if kind is None else [kind, getattr(value, kind)]
            answer.append([exact, shown])
        return answer

    def sdk(self, view: View, ids: list[str]) -> dict[str, list[Any]]:
        """What an application reads with Feast's SDK."""
        features = [f"{view.name}:{field.name}" for field in view.fields]
        return self.store.get_online_features(features, [{view.key: id} for id in ids]).to_dict()

    def offline(self, view: View, ids: list[str], moment: str) -> list[list[Any]]:
        """The point-in-time join by Feast, in the order of ``ids``, values as they are in Arrow."""
        asked = pd.DataFrame({view.key: ids, "event_timestamp": pd.Timestamp(moment)})
        features = [f"{view.name}:{field.name}" for field in view.fields]
        job = self.store.get_historical_features(asked, features, filter_by_created_timestamp=True)
        found: Any = pl.from_arrow(job.to_arrow())
        ordered = pl.DataFrame({view.key: ids}).join(found, on=view.key, how="left", maintain_order="left")
        columns = [field.name for field in view.fields]
        dates = [field.name for field in view.fields if field.type == "date"]
        rows = ordered.select(columns).with_columns(pl.col(dates).dt.epoch("s")).rows()
        return [list(row) for row in rows]

    def dump(self) -> dict[str, Any]:
        """All that is online, byte for byte, and what is remembered about it."""
        state = {}
        for key in self.client.scan_iter():
            kind = self.client.type(key)
            if kind == b"hash" and not key.startswith(b"features:"):
                found = self.client.hgetall(key)
                state[_text(key)] = {_text(name): _text(value) for name, value in found.items()}
        marks = {name: sorted(self.online.parts(view)) for name, view in self.known.items()}
        return {"rows": state, "marks": marks}

    def at_once(self, commands: list[dict[str, Any]]) -> list[Any]:
        """Do commands in threads, all at the same time."""
        begin = threading.Barrier(len(commands))

        def one(command: dict[str, Any]) -> Any:
            begin.wait()
            return self.do(command.pop("do"), command)

        with ThreadPoolExecutor(len(commands)) as pool:
            return list(pool.map(one, commands))

    def do(self, name: str, given: dict[str, Any]) -> Any:
        view = self.known.get(given.get("view", ""))
        if name == "define":
            return self.define(msgspec.convert(given["definition"], View))
        if name == "part":
            return self.part(self.known[given["view"]], given["rows"])
        if name == "remove":
            return self.parts.replace(given["view"], given["part"], None)
        if name == "parts":
            return [path.name for path in self.parts.copies(given["view"])]
        if name == "materialise":
            return self.keeper.materialise(given.get("views"), everything=given.get("all", False))
        if name == "push":
            return self.keeper.push(given["view"], given["rows"])
        if name == "flush":
            return self.keeper.store_pushes()
        if name == "look":
            return self.keeper.look()
        if name == "forget":
            return self.keeper.forget(given["column"], given["value"])
        if name == "online":
            return self.keeper.online(given["ids"], given.get("view", ""))
        if name == "reset":
            self.keeper.store_pushes()
            for each in self.known:
                for path in self.parts.copies(each):
                    self.parts.replace(each, path.name, None)
            return self.client.flushall()
        if name == "at_once":
            return self.at_once(given["commands"])
        if name == "flushall":
            return self.client.flushall()
        if name == "intervals":
            found = self.store.registry.get_feature_view(given["view"], "pantheon", allow_cache=False)
            return [[str(start), str(end)] for start, end in found.materialization_intervals]
        if name == "push_at":
            rows = [self.pushed(self.known[given["view"]], row) for row in given["rows"]]
            return self.keeper.push(given["view"], rows)
        if name == "feast_deletes":
            table = self.store.registry.get_feature_view(given["view"], "pantheon")
            return self.store._get_provider().online_store.delete_table(self.store.config, table)
        if name == "feast_writes":
            return self.feast_writes(given)
        if name == "feast_materialises":
            return self.store.materialize_incremental(datetime.now(UTC), [given["view"]])
        if name in ("read", "sdk"):
            assert view
            return getattr(self, name)(view, given["ids"])
        if name == "offline":
            assert view
            return self.offline(view, given["ids"], given["time"])
        return getattr(self, name)()

    def feast_writes(self, given: dict[str, Any]) -> None:
        """Write rows with Feast's own SDK, as `feast serve` does."""
        view = self.known[given["view"]]
        frame = pd.DataFrame(given["rows"], columns=[view.key, "event_timestamp", *(f.name for f in view.fields)])
        frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], unit="us", utc=True)
        frame["created"] = frame["event_timestamp"]
        self.store.write_to_online_store(view.name, frame)


def _text(value: bytes) -> str:
    return base64.b85encode(value).decode()


def main() -> None:
    folder, registry, port, password = sys.argv[1:]
    service = Service(Path(folder), registry, int(port), password)
    out, sys.stdout = sys.stdout, sys.stderr  # Feast prints
    print(json.dumps("ready"), file=out, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"answer": msgspec.to_builtins(service.do(command.pop("do"), command))}
        except PantheonError as error:
            answer = {"cause": error.cause, "cure": error.cure, "status": error.status}
        except Exception:  # noqa: BLE001 # the test shows it
            answer = {"fault": traceback.format_exc()}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
