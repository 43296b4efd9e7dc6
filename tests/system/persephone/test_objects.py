"""Where the models lie, as settings of a deployment: our S3, another one, the folder again."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pantheon.store import open_store
from tests.support.command_line import Pantheon

KEYS = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirsecret"}


ALONE = ("--without", "airflow,jupyter", "--no-run")  # what this is about, and no more


def published(made: Pantheon) -> dict[str, Any]:
    store = open_store(made.state, host=True)
    return {f"{name} {each.version}": dict(each.files) for name in store.names() for each in store.list(name)}


def services(made: Pantheon) -> set[str]:
    return {s["name"] for s in made("status", "--json").json["services"] if s["state"] == "healthy"}


@pytest.fixture
def other_s3() -> Iterator[str]:
    """Somebody else's S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.timeout(400)
def test_from_the_folder_to_ours_to_theirs_and_back(pantheon: Pantheon, other_s3: str) -> None:
    pantheon("up", "persephone", timeout=300)
    models = published(pantheon)
    assert models
    said = pantheon("up", "nemesis", *ALONE).err
    assert "moves   the models from the folder models/ to s3://pantheon/models" in said
    assert "s3" in services(pantheon)
    assert published(pantheon) == models
    nowhere = pantheon("up", "nemesis", *ALONE, check=False, **KEYS, S3_ENDPOINT_URL="http://127.0.0.1:1")
    assert nowhere.status == 1
    assert "the S3 at http://127.0.0.1:1 does not answer" in nowhere.message
    assert "s3" in services(pantheon), "nothing was stopped, and the keys are what they were"
    assert published(pantheon) == models

    theirs = {**KEYS, "S3_ENDPOINT_URL": other_s3, "S3_BUCKET": "theirs"}
    pantheon("up", "nemesis", *ALONE, **theirs)
    assert services(pantheon) == {"button", "dataflow"}, "no S3 service of ours where another is used"
    assert json.loads((pantheon.state / "state" / "store.json").read_text())["endpoint"] == other_s3
    assert published(pantheon) == models
    ready = "already up: nothing to do"
    unrelated = dict.fromkeys(KEYS, "unrelated")
    assert ready in pantheon("up", "nemesis", "--no-run", **unrelated).err, "said once, it stays, keys and all"
    assert published(pantheon) == models
    assert pantheon("models", "list", AWS_PROFILE="nope").out
    secret = KEYS["AWS_SECRET_ACCESS_KEY"]
    files = {path for path in pantheon.state.rglob("*") if path.is_file() and secret in path.read_text("latin-1")}
    assert files == {pantheon.state / "secrets" / user / "credentials" for user in ("s3", "button", "endpoint")}

    pantheon("up", "nemesis", "--no-run", "--s3-endpoint-url", "none")
    assert "s3" in services(pantheon)
    assert published(pantheon) == models

    pantheon("down")
    said = pantheon("up", "zeus", "--no-run").err
    assert "moves   the models from s3://pantheon/models to the folder models/" in said
    assert services(pantheon) == {"button", "dataflow"}
    assert published(pantheon) == models
    assert not (pantheon.state / "state" / "store.json").exists()
    row = json.dumps({"robot-age": 5, "rust-level": "9", "battery": "low"})
    assert pantheon("predict", "--row", row).out.startswith("0  Bad Condition")


def test_bare_variables_are_settings_too(pantheon: Pantheon) -> None:
    answer = pantheon("up", "nemesis", check=False, S3_ENDPOINT_URL="https://s3.example.org", **dict.fromkeys(KEYS, ""))
    assert answer.status == 2
    assert "are not set" in answer.message
    assert not os.environ.get("S3_ENDPOINT_URL")
