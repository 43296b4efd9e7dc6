"""The settings for where models are stored: the tier's own S3, another one, or the folder."""

from pathlib import Path

import pytest

from pantheon.deployment import storage
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.state import OtherS3, StoreLocation
from pantheon.tiers import find

KEYS = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirsecret"}


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    made = Deployment("pantheon")
    made.make_folders(find("nemesis"))
    return made


@pytest.mark.parametrize(
    ("endpoint", "bucket", "given", "says"),
    [
        ("s3.example.org", "", KEYS, "is not a valid server address"),
        ("https://s3.example.org/path", "", KEYS, "is not a valid server address"),
        ("ftp://s3.example.org", "", KEYS, "is not a valid server address"),
        ("http://", "", KEYS, "is not a valid server address"),
        ("http://[::1", "", KEYS, "is not a valid server address"),
        ("http://127.0.0.1:99999", "", KEYS, "is not a valid server address"),
        ("http://127.0.0.1:0", "", KEYS, "is not a valid server address"),
        ("http://127.0.0.1:", "", KEYS, "is not a valid server address"),
        ("http://127.0.0.1:x", "", KEYS, "is not a valid server address"),
        ("http://127.0.0.1#x", "", KEYS, "is not a valid server address"),
        ("http://s3 .example.org", "", KEYS, "is not a valid server address"),
        ("http://127.0.0.1:1?sig=hunter2", "", KEYS, "is not a valid server address"),
        ("http://bob:hunter2@127.0.0.1:1", "", KEYS, "contains a user name or password"),
        ("bob:hunter2@127.0.0.1", "", KEYS, "contains a user name or password"),
        ("https://s3.example.org", "No_Bucket", KEYS, "is not a valid bucket name"),
        ("https://s3.example.org", "", {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"),
        ("https://s3.example.org", "", {"AWS_ACCESS_KEY_ID": "x"}, "AWS_SECRET_ACCESS_KEY is not set"),
        ("", "mine", KEYS, "needs S3_ENDPOINT_URL="),
    ],
)
def test_a_mistake_is_reported(
    deployment: Deployment, endpoint: str, bucket: str, given: dict[str, str], says: str
) -> None:
    with pytest.raises(PantheonError, match=says) as caught:
        storage.choose(deployment, endpoint, bucket, given)
    assert caught.value.status == 2
    assert caught.value.cure
    assert "hunter2" not in str(caught.value), "what may be a secret is not repeated"
    assert deployment.settings.s3 is None


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000/", "https://s3.example.org", "http://[::1]:9000", "http://s3"]
)
def test_a_valid_address_is_accepted(deployment: Deployment, endpoint: str) -> None:
    storage.choose(deployment, endpoint, "", KEYS)
    assert deployment.settings.s3 and deployment.settings.s3.endpoint == endpoint.rstrip("/")


def test_the_setting_is_kept_until_it_is_reset(deployment: Deployment) -> None:
    storage.choose(deployment, "https://s3.example.org/", "theirs", KEYS | {"AWS_REGION": "eu-west-1"})
    assert deployment.settings.s3 == OtherS3("https://s3.example.org", "theirs", "eu-west-1")
    storage.choose(deployment, "", "", {})
    assert deployment.settings.s3, "the setting is kept"
    storage.choose(deployment, "none", "", {})
    assert deployment.settings.s3 is None


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9000", "https://s3.example.org"])
def test_an_s3_that_containers_cannot_reach_is_refused_before_anything_changes(
    deployment: Deployment, endpoint: str
) -> None:
    tier = find("nemesis")
    place = StoreLocation("theirs", endpoint, endpoint)
    storage.check_reachable(deployment.engine(tier, "local"), place)
    containers = deployment.engine(tier, "compose")
    storage.check_reachable(containers, None)
    storage.check_reachable(
        containers, StoreLocation("pantheon", "http://s3:9000", "http://127.0.0.1:9000", embedded=True)
    )
    with pytest.raises(PantheonError, match="services on the engine compose cannot reach the S3 at") as error:
        storage.check_reachable(containers, place)
    assert "ENGINE=local" in error.value.cure and "S3_ENDPOINT_URL=none" in error.value.cure


def test_a_cluster_lets_services_out_to_another_s3_which_is_not_called_by_an_address_of_this_machine(
    deployment: Deployment,
) -> None:
    cluster = deployment.engine(find("nemesis"), "helm")
    for endpoint in ("", "https://s3.example.org", "http://10.0.0.7:9000"):
        storage.check_reachable(cluster, StoreLocation("theirs", endpoint, endpoint))
    here = "http://127.0.0.1:9000"
    with pytest.raises(PantheonError, match="run on other machines") as error:
        storage.check_reachable(cluster, StoreLocation("theirs", here, here))
    assert "an address that these machines can reach" in error.value.cure
