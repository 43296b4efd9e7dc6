"""The data part of the feature service without its HTTP: reads requests as JSON lines, answers each with a JSON line.

Runs in the environment ``feast``. Arguments: the deployment's state folder, and the address of Feast's registry.

A request is ``{"method", "path", "body"}``, the body in base64; the answer is ``{"status", "body"}``. ``{"do": NAME}``
does something that no request does.
"""

import base64
import json
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, Project, RepoConfig, ValueType
from feast.types import Float64

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.features import historical
from pantheon.features.api import Answer, Request, refusal
from pantheon.features.contract import View
from pantheon.features.forgetting import remove
from pantheon.features.here import Here
from pantheon.features.routes import ROUTES
from pantheon.features.service import Service
from pantheon.features.web import Api


class Data:
    """The service, and what tests do with it."""

    def __init__(self, state: Path, registry: str) -> None:
        here = Here(state, state / "feast", state / "volumes" / "features")
        here.repository.mkdir(parents=True, exist_ok=True)
        here.incoming.mkdir(parents=True, exist_ok=True)
        os.chdir(here.repository)
        store = FeatureStore(
            config=RepoConfig(
                project="pantheon",
                provider="local",
                registry={"registry_type": "sql", "path": registry, "cache_mode": "thread", "cache_ttl_seconds": 10},
                online_store={"type": "sqlite", "path": str(state / "online.db")},
                offline_store={"type": "duckdb"},
                entity_key_serialization_version=3,
            )
        )
        store.apply([Project(name="pantheon")])
        self.service = Service(here, store)
        handlers = {key: partial(handler, self.service) for key, handler in ROUTES.items()}
        self.api = Api(handlers, here.incoming, lambda error: "")

    def ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Answer a request."""
        sent = files.part_of(self.service.here.incoming / "body")
        sent.write_bytes(body)
        path, _, query = path.partition("?")
        try:
            handle, parameters = self.api.find(method, path)
            status, found = self.api.work(handle, Request(method, path, parameters, query, sent))
        except PantheonError as error:
            status, found = refusal(error)
        finally:
            sent.unlink()
        if not isinstance(found, Answer):
            content = msgspec.json.encode(found)
        else:
            assert found.file is not None
            content = found.file.read_bytes()
            found.file.unlink()
        return {"status": status, "body": base64.b64encode(content).decode()}

    def do(self, name: str, given: dict[str, Any]) -> Any:
        parts, definitions, store = self.service.parts, self.service.definitions, self.service.store
        if name == "write":  # as at another time
            path = files.part_of(self.service.here.incoming / "rows")
            path.write_bytes(base64.b64decode(given["rows"]))
            try:
                return parts.write(definitions.view(given["view"]), path, now=datetime.fromisoformat(given["now"]))
            finally:
                path.unlink()
        if name == "reset":
            for path in parts.copies(given["view"]):
                parts.replace(given["view"], path.name, None)
            return None
        if name == "join":  # how many pairs Feast's own join may have
            historical.MOST_PAIRS = given["pairs"]
            historical.PAIRS = given["chunk"]
            historical.ROWS = max(1, given["chunk"] // 4)
            return None
        if name == "views":
            return definitions.views()
        if name == "services":
            return definitions.services()
        if name == "move":
            return definitions.move()
        if name == "forget":
            found = remove(definitions.views(), parts, parts.gate.writing, given["column"], given["value"])
            return [found.rows, found.parts]
        if name == "recover":
            said: list[str] = []
            parts._ready.clear()
            self.service.recover(said.append)
            return said
        if name == "user":  # a user's own definitions, with Feast's SDK
            entity = Entity(name=given["key"], join_keys=[given["key"]], value_type=ValueType.INT64)
            source = FileSource(name="mine", path=given["path"], timestamp_field="at")
            view = FeatureView(
                name=given["view"], entities=[entity], schema=[Field(name="x", dtype=Float64)], source=source
            )
            store.apply([entity, source, view, FeatureService(name=given["service"], features=[view])])
            return None
        if name == "names":
            registry = store.registry
            views = [view.name for view in registry.list_feature_views("pantheon")]
            services = [service.name for service in registry.list_feature_services("pantheon")]
            return {"views": sorted(views), "services": sorted(services)}
        if name == "apply":  # many at once
            views = [msgspec.convert(view, View) for view in given["views"]]
            begin = threading.Barrier(len(views))

            def one(view: View) -> str:
                begin.wait()
                return definitions.apply([view])[0].name

            with ThreadPoolExecutor(len(views)) as pool:
                return list(pool.map(one, views))
        raise ValueError(name)


def main() -> None:
    data = Data(Path(sys.argv[1]), sys.argv[2])
    print(json.dumps({"answer": "ready"}), flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        try:
            if "do" in given:
                found = {"answer": msgspec.to_builtins(data.do(given.pop("do"), given))}
            else:
                found = data.ask(given["method"], given["path"], base64.b64decode(given["body"]))
        except PantheonError as error:
            found = {"fault": f"{error.cause} {error.cure}"}
        except Exception:  # noqa: BLE001 - the test shows it
            found = {"fault": traceback.format_exc()}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
