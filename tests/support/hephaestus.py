"""The feature store of a deployment, as its clients see it."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any

from tests.support.command_line import Pantheon

WITHOUT = "airflow,jupyter,s3,dvc,endpoint,frontend,monitoring"  # the feature store and the button alone
SERVER, WEB, API = 6566, 6567, 6568  # Feast's feature server, its web interface, the service's API

DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

machine = Entity(name="machine", join_keys=["machine_id"], value_type=ValueType.STRING)
readings = FileSource(name="readings", path="readings.parquet", timestamp_field="event_timestamp")
temperature = FeatureView(
    name="temperature",
    entities=[machine],
    ttl=timedelta(0),
    schema=[Field(name="celsius", dtype=Float64)],
    source=readings,
)
"""  # what a Feast user writes


def password(made: Pantheon) -> str:
    return (made.state / "secrets" / "feast_password").read_text().strip()


def ask(
    made: Pantheon, port: int, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str = ""
) -> tuple[int, Any]:
    """Return the status and the JSON (or text) of an answer; 0 if nobody answers.

    Args:
        headers: None: with the login that the port wants.
    """
    if headers is None:
        key = (made.state / "secrets" / "features" / "key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"} if port == API else basic("feast", password(made))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port + made.offset}{path}",
        data,
        headers | ({"Content-Type": "application/json"} if data else {}),
        method=method or None,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, read(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, read(error.read())
    except OSError:
        return 0, None


def read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def basic(user: str, word: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


def online(made: Pantheon, view: str, field: str, key: str, ids: list[str]) -> list[Any]:
    """The values that Feast's own feature server reads for these entities."""
    status, found = ask(made, SERVER, "/get-online-features", {"features": [f"{view}:{field}"], "entities": {key: ids}})
    assert status == 200, found
    position = found["metadata"]["feature_names"].index(field)
    values: list[Any] = found["results"][position]["values"]
    return values
