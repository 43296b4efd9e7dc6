"""Deployments whose models lie in S3 (moto's), and bundles that say what they were made of."""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pantheon.files import write_json
from pantheon.state import StoreLocation, write_store
from pantheon.store import FolderStore, open_store
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAG = "run/20261122-100000-0a1b"
DATA = b"robot-age,rust-level\n"
MD5 = hashlib.md5(DATA).hexdigest()
RECORD = {
    "commit": COMMIT,
    "tag": TAG,
    "remote": "s3://pantheon/dvc",
    "data": {"path": "data/train.parquet", "md5": MD5},
}
LINEAGE = {"run": TAG[4:], "data": {"name": "robots", "sha256": "ab" * 32, "rows": 5000}}


def asked(client: Client, at: str = "") -> dict[str, dict[str, Any]]:
    answer = client.get(f"/questions?at={quote(at)}" if at else "/questions")
    assert answer.status == 200, answer.text
    return {each["id"]: each for each in answer.json["questions"]}


def made(folder: Path, record: dict[str, Any] | None = None, **more: Any) -> Path:
    """A bundle whose lineage names its data, and the commit where ``record`` is given."""
    bundle(folder, **more)
    (folder / "lineage.json").write_text(json.dumps(LINEAGE | ({"version_control": record} if record else {})))
    return folder


def client_of(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )


def into_s3(deployment: Deployment, endpoint: str) -> None:
    """As an upgrade does: every version and alias to S3, then the deployment points there."""
    objects = client_of(endpoint)
    for bucket in objects.list_buckets()["Buckets"]:  # of an earlier test
        for each in objects.list_object_versions(Bucket=bucket["Name"]).get("Versions", []):
            objects.delete_object(Bucket=bucket["Name"], Key=each["Key"], VersionId=each["VersionId"])
    objects.create_bucket(Bucket="pantheon")
    objects.put_bucket_versioning(Bucket="pantheon", VersioningConfiguration={"Status": "Enabled"})
    keys = deployment.folder / "secrets" / "s3" / "credentials"
    keys.parent.mkdir(parents=True)
    keys.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    where = StoreLocation("pantheon", endpoint, endpoint)
    old = FolderStore(deployment.folder / "models")
    deployment.store = open_store(deployment.folder, retry_seconds=0)  # type: ignore[assignment]
    listed = old.list("robots")
    write_store(deployment.folder, where)
    for version in listed:
        deployment.store.take(version, old.get("robots", version.version))
    if alias := old.alias("robots"):
        deployment.store.take_alias("robots", "champion", alias)


def at_tier(deployment: Deployment, tier: str, **route: str) -> None:
    write_json(
        deployment.folder / "state" / "deployment.json", {"tier": tier, "dataset": deployment.model, "route": route}
    )
