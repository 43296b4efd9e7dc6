"""From an entity to a prediction: the endpoint beside Feast's own feature server, which only returns features.

Both read the same Valkey, in turns, for a thousand entities. Then pushes: the time until an answer has the new value.
Then the point-in-time join of a million rows. Last, a deployment that grows from epimetheus to hephaestus: how long
that takes, and how much memory it adds.
"""

import base64
import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from benchmarks import point_in_time
from benchmarks.endpoint import answers
from benchmarks.peers.servers import ROOT, Server, endpoint, free_port, pss, running
from benchmarks.serving import train
from benchmarks.startup import fresh_clone
from benchmarks.zeus import settled
from pantheon import keys
from pantheon.engines.local import environments
from pantheon.features.client import Features
from pantheon.features.contract import CREATED, EVENT, Field, ModelFeatures, Source, View
from pantheon.files import write_json
from pantheon.store import FolderStore
from pantheon.typed import VERSION
from tests.support.feature_servers import PASSWORD, Postgres, Valkey
from tests.support.ports import PORTS

ENTITIES, REQUESTS, ROUNDS, PUSHES = 1_000, 3_000, 3, 100
ENTITY, KEY, SET = "robot-id", "robot_id", "robots"
VALUES = {"robot-age": 5.0, "rust-level": "9", "battery": "low"}
OTHER = {"robot-age": 1.0, "rust-level": "0", "battery": "high"}


def bench() -> dict[str, Any]:
    """Measure latencies and gaps, with the bars that the endpoint must meet."""
    with tempfile.TemporaryDirectory() as made, ExitStack() as open_:
        folder = Path(made)
        state = folder / "state"
        state.mkdir()
        train(state)
        store = open_.enter_context(feature_store(state, folder))
        view = filled(store.features)
        publish(state, folder, view)
        server = endpoint(state)
        server.environment |= store.settings
        open_.enter_context(running(server, folder / "endpoint.log"))
        feast = Server("feast serve", [], "/get-online-features", lambda _: asked(view, 7), list, port=store.feast_port)
        feast.authorization = "Basic " + base64.b64encode(f"feast:{PASSWORD}".encode()).decode()
        check_values(feast, view)
        ours = [{"entities": [{ENTITY: id}]} for id in range(ENTITIES)]
        theirs = [asked(view, id) for id in range(ENTITIES)]
        taken: dict[str, list[list[float]]] = {"endpoint": [], "feast serve": []}
        for _ in range(ROUNDS):
            taken["endpoint"].append(latencies(server, ours))
            taken["feast serve"].append(latencies(feast, theirs))
        pushed = push_to_answer(state, server, view)
        found = figures(taken, pushed)
        found["memory (PSS), endpoint, MB"] = {"value": server.memory()}
        found["memory (PSS), the feature store's service, MB"] = {"value": pss(store.pid)}
        found |= point_in_time.measure(store.features, store.pid)
    return found | grown()


def check_values(feast: Server, view: View) -> None:
    """Check that Feast's server answers with the values that the endpoint reads, and not with nulls.

    Raises:
        RuntimeError: it does not.
    """
    answer = posted(feast, feast.path, asked(view, 7), feast.authorization)
    given = zip(answer["metadata"]["feature_names"], answer["results"], strict=True)
    found = {name: each["values"] for name, each in given}
    expected = {KEY: ["7"]} | {field.name: [VALUES[field.column]] for field in view.fields}
    if found != expected:
        raise RuntimeError(f"feast serve answered {found}, not {expected}")


def posted(server: Server, path: str, body: Any, authorization: str) -> Any:
    """Return the JSON of an answer; raises RuntimeError unless its status is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        connection.request("POST", path, json.dumps(body), headers)
        with connection.getresponse() as answer:
            content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:500]!r}")
    return json.loads(content)


def wait_for_key(server: Server, view: View, token: str) -> None:
    """Wait until the endpoint has read the new key; it does within two seconds."""
    end = time.monotonic() + 30
    while True:
        try:
            posted(server, "/push", {"view": view.name, "rows": [{ENTITY: 7, **VALUES}]}, f"Bearer {token}")
            return
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def grown(repeats: int = 3) -> dict[str, Any]:
    """Measure `up` from epimetheus in a clone that has the environments, and idle memory before and after."""
    with fresh_clone(PORTS) as clone:
        (clone.folder / ".pantheon").mkdir()
        for shared in ("envs", "uv"):
            (clone.folder / ".pantheon" / shared).symlink_to(ROOT / ".pantheon" / shared)
        clone.make("epimetheus", "up")
        before = settled(clone.folder)
        took = []
        for number in range(repeats):
            if number:
                clone.make("epimetheus", "up")
            took.append(clone.make("hephaestus", "up"))
        after = settled(clone.folder)
    return {
        "up from epimetheus, s": {"value": statistics.median(took), "bar": 60.0},
        "memory (PSS) that hephaestus adds to epimetheus, MB": {"value": after - before, "bar": 600.0},
    }


def figures(taken: dict[str, list[list[float]]], pushed: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, rounds in taken.items():
        for what, share in (("p50", 0.5), ("p99", 0.99)):
            values = [sorted(each)[int(len(each) * share)] for each in rounds]
            found[f"{name}, {what}, ms"] = {"value": statistics.median(values)}
        gaps = [max(each) for each in rounds]
        found[f"{name}, longest of {REQUESTS:,} requests, ms"] = {"value": statistics.median(gaps)}
    found["endpoint, p50, ms"]["bar"] = 1.0
    found["endpoint, p99, ms"]["bar"] = 3.0
    found[f"endpoint, longest of {REQUESTS:,} requests, ms"]["bar"] = 100.0
    found["from a push to an answer with it, p50, ms"] = {"value": statistics.median(pushed)}
    found["from a push to an answer with it, p99, ms"] = {
        "value": sorted(pushed)[int(len(pushed) * 0.99)],
        "bar": 100.0,
    }
    return found


def latencies(server: Server, bodies: list[Any]) -> list[float]:
    """Return the milliseconds of ``REQUESTS`` requests over one kept-alive connection."""
    headers = {"Content-Type": "application/json", "Authorization": server.authorization}
    sent = [json.dumps(body).encode() for body in bodies]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    found = []
    for number in range(REQUESTS + 50):
        began = time.perf_counter()
        connection.request("POST", server.path, sent[number % len(sent)], headers)
        with connection.getresponse() as answer:
            content = answer.read()
        found.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{server.name} answered {answer.status}: {content[:500]!r}")
    connection.close()
    return found[50:]


def push_to_answer(state: Path, server: Server, view: View) -> list[float]:
    """Return the milliseconds from each push until an answer has its values."""
    _, token = keys.add(state, "bench-push", kind="push")
    wait_for_key(server, view, token)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(path: str, body: Any, authorization: str) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        connection.request("POST", path, json.dumps(body), headers)
        with connection.getresponse() as answer:
            content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {content[:500]!r}")
        return json.loads(content)

    path = "/predict?probabilities=1"
    expected = [ask(path, {"payload": [values]}, server.authorization) for values in (VALUES, OTHER)]
    found = []
    for number in range(PUSHES):
        values = (OTHER, VALUES)[number % 2]
        began = time.perf_counter()
        ask("/push", {"view": view.name, "rows": [{ENTITY: 7, **values}]}, f"Bearer {token}")
        while ask(path, {"entities": [{ENTITY: 7}]}, server.authorization) != expected[(number + 1) % 2]:
            pass
        found.append((time.perf_counter() - began) * 1000)
    return found


class FeatureStore:
    """The feature store's service as a process, with a Valkey and a PostgreSQL of its own.

    Attributes:
        settings: the environment by which the endpoint finds it.
        feast_port: of Feast's own feature server.
    """

    def __init__(self, state: Path, folder: Path, valkey: Valkey, postgres: Postgres) -> None:
        self.feast_port, ui, api = free_port(), free_port(), free_port()
        key, password, login = (folder / name for name in ("features_key", "valkey_password", "feast_password"))
        for path in (key, password, login):
            path.write_text(PASSWORD)
        passwords = folder / "pgpass"
        passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
        passwords.chmod(0o600)
        self.settings = {
            "VALKEY_HOST": "127.0.0.1",
            "VALKEY_PORT": str(valkey.port),
            "VALKEY_PASSWORD_FILE": str(password),
            "FEATURES_URL": f"http://127.0.0.1:{api}",
            "FEATURES_KEY_FILE": str(key),
        }
        environment = os.environ | self.settings
        environment |= {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(postgres.port), "PGPASSFILE": str(passwords)}
        environment |= {"FEAST_PASSWORD_FILE": str(login), "FEAST_DATABASE_PASSWORD_FILE": str(login)}
        environment |= {"FEAST_PORT": str(self.feast_port), "FEAST_UI_PORT": str(ui), "FEATURES_PORT": str(api)}
        environment |= {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT), "FEAST_BIND": "127.0.0.1"}
        python = str(environments.folder_of("feast") / "bin" / "python")
        # that of the tests' server belongs to another user
        drop = "from pantheon.features.database import connect; connect().execute('DROP DATABASE feast')"
        for command in (["-c", drop], ["-m", "pantheon.features.database"]):
            subprocess.run([python, *command], env=environment, cwd=ROOT, check=True)
        self.log = folder / "feast.log"
        with self.log.open("wb") as log:
            command = [python, "-m", "pantheon.features"]
            self.process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.pid = self.process.pid
        self.features = Features(self.settings["FEATURES_URL"], key)
        self.wait(lambda: answers(f"{self.settings['FEATURES_URL']}/healthz"))

    def wait(self, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the feature store is not ready:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)


@contextmanager
def feature_store(state: Path, folder: Path) -> Iterator[FeatureStore]:
    environments.make(["feast", "valkey"])
    valkey, postgres = Valkey(folder / "valkey"), Postgres()
    store = None
    try:
        valkey.start()
        postgres.start()
        store = FeatureStore(state, folder, valkey, postgres)
        yield store
    finally:
        if store:
            store.process.terminate()
            store.process.wait(30)
        valkey.kill()
        postgres.remove()


def filled(features: Features) -> View:
    """Define a view, and bring its rows online."""
    kinds = {"robot-age": "number", "rust-level": "text", "battery": "text"}
    fields = [Field(name=column.replace("-", "_"), column=column, type=kind) for column, kind in kinds.items()]
    view = View(name=SET, set=SET, kind="raw", key=KEY, entity=ENTITY, time="seen", fields=fields)
    (view,) = features.apply([view])
    now = pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).dt.cast_time_unit("us")
    rows = pl.DataFrame({KEY: [str(id) for id in range(ENTITIES)]}).with_columns(
        now.alias(EVENT), now.alias(CREATED), *(pl.lit(VALUES[field.column]).alias(field.name) for field in fields)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        rows.write_parquet(path)
        features.write(view.name, path.read_bytes())
    features.materialize([view.name])
    return view


def publish(state: Path, folder: Path, view: View) -> None:
    """Publish the model again, with features."""
    store = FolderStore(state / "models")
    bundle = folder / "bundle"  # without what the store adds
    shutil.copytree(store.get(SET, "1"), bundle, ignore=shutil.ignore_patterns("manifest.json"))
    inputs = {field.column: Source(view=view.name, field=field.name, type=field.type) for field in view.fields}
    read = ModelFeatures(service="robots_1", entity=ENTITY, key=KEY, inputs=inputs)
    write_json(bundle / "features.json", msgspec.to_builtins(read))
    store.promote(SET, store.publish(SET, bundle, {}), by="bench")
    settings = {"tier": "persephone", "dataset": SET, "version": VERSION, "route": {"features": "feast"}}
    write_json(state / "state" / "deployment.json", settings)


def asked(view: View, id: int) -> dict[str, Any]:
    """Return the request to Feast for all features of an entity."""
    return {"features": [f"{view.name}:{field.name}" for field in view.fields], "entities": {KEY: [str(id)]}}
