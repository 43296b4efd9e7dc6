"""Where the models lie, as settings of a deployment: our S3, another one, the folder again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pantheon.cli import objects
from pantheon.cli.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.store import open_store
from tests.conftest import Pantheon

KEYS = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirsecret"}
ALONE = ("--without", "airflow,jupyter", "--no-run")  # what this is about, and no more


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    made = Deployment("pantheon")
    made.make_folders()
    return made


@pytest.mark.parametrize(
    ("endpoint", "bucket", "given", "says"),
    [
        ("s3.example.org", "", KEYS, "is no address of a server"),
        ("https://s3.example.org/path", "", KEYS, "is no address of a server"),
        ("ftp://s3.example.org", "", KEYS, "is no address of a server"),
        ("http://", "", KEYS, "is no address of a server"),
        ("http://[::1", "", KEYS, "is no address of a server"),
        ("http://127.0.0.1:99999", "", KEYS, "is no address of a server"),
        ("http://127.0.0.1:0", "", KEYS, "is no address of a server"),
        ("http://127.0.0.1:", "", KEYS, "is no address of a server"),
        ("http://127.0.0.1:x", "", KEYS, "is no address of a server"),
        ("http://127.0.0.1#x", "", KEYS, "is no address of a server"),
        ("http://s3 .example.org", "", KEYS, "is no address of a server"),
        ("http://127.0.0.1:1?sig=hunter2", "", KEYS, "is no address of a server"),
        ("http://bob:hunter2@127.0.0.1:1", "", KEYS, "holds a user's name or password"),
        ("bob:hunter2@127.0.0.1", "", KEYS, "holds a user's name or password"),
        ("https://s3.example.org", "No_Bucket", KEYS, "cannot name a bucket"),
        ("https://s3.example.org", "", {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"),
        ("https://s3.example.org", "", {"AWS_ACCESS_KEY_ID": "x"}, "AWS_SECRET_ACCESS_KEY is not set"),
        ("", "mine", KEYS, "needs S3_ENDPOINT_URL="),
    ],
)
def test_a_mistake_is_named(
    deployment: Deployment, endpoint: str, bucket: str, given: dict[str, str], says: str
) -> None:
    with pytest.raises(PantheonError, match=says) as caught:
        objects.choose(deployment, endpoint, bucket, given)
    assert caught.value.status == 2
    assert caught.value.cure
    assert "hunter2" not in str(caught.value), "what may be a secret is not repeated"
    assert deployment.settings.s3 == {}


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000/", "https://s3.example.org", "http://[::1]:9000", "http://s3"]
)
def test_an_address_is_taken(deployment: Deployment, endpoint: str) -> None:
    objects.choose(deployment, endpoint, "", KEYS)
    assert deployment.settings.s3["endpoint"] == endpoint.rstrip("/")


def test_a_setting_stays_until_ours_is_taken_back(deployment: Deployment) -> None:
    objects.choose(deployment, "https://s3.example.org/", "theirs", KEYS | {"AWS_REGION": "eu-west-1"})
    assert deployment.settings.s3 == {"endpoint": "https://s3.example.org", "bucket": "theirs", "region": "eu-west-1"}
    objects.choose(deployment, "", "", {})
    assert deployment.settings.s3, "said once, it stays"
    objects.choose(deployment, "none", "", {})
    assert deployment.settings.s3 == {}


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


@pytest.mark.slow
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
    assert "there is no S3 at http://127.0.0.1:1" in nowhere.message
    assert "s3" in services(pantheon), "nothing was stopped, and the keys are what they were"
    assert published(pantheon) == models

    theirs = {**KEYS, "S3_ENDPOINT_URL": other_s3, "S3_BUCKET": "theirs"}
    pantheon("up", "nemesis", *ALONE, **theirs)
    assert services(pantheon) == {"button", "dataflow"}, "no S3 service of ours where another is used"
    assert json.loads((pantheon.state / "state" / "store.json").read_text())["endpoint"] == other_s3
    assert published(pantheon) == models
    ready = "it is up already: nothing to do"
    unrelated = dict.fromkeys(KEYS, "unrelated")
    assert ready in pantheon("up", "nemesis", "--no-run", **unrelated).err, "said once, it stays, keys and all"
    assert published(pantheon) == models
    assert pantheon("models", "list", AWS_PROFILE="nope").out
    secret = KEYS["AWS_SECRET_ACCESS_KEY"]
    files = {path for path in pantheon.state.rglob("*") if path.is_file() and secret in path.read_text("latin-1")}
    assert files == {pantheon.state / "secrets" / user / "credentials" for user in ("s3", "button")}

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
