"""Which secrets go to the cluster, and which come from it."""

import base64
import json
from pathlib import Path
from typing import Any

from pantheon.engines.helm import secrets
from pantheon.engines.helm.kube import Kube


class Cluster(Kube):
    """A cluster that has a Secret with these entries; what it is sent is kept."""

    def __init__(self, **entries: bytes) -> None:
        super().__init__("here")
        self.entries, self.sent = entries, dict[str, bytes]()

    def json(self, *arguments: str, input: bytes | None = None) -> Any:
        return {"data": {key: base64.b64encode(value).decode() for key, value in self.entries.items()}}

    def run(self, command: Any, *, input: bytes | None = None, **_: Any) -> str:
        data = json.loads(input or b"{}").get("data") or {}
        self.sent |= {key: base64.b64decode(value) for key, value in data.items()}
        return ""


def exchanged(folder: Path, cluster: Cluster, other_s3: bool) -> str:
    (folder / "s3").mkdir(exist_ok=True)
    (folder / "s3" / "credentials").write_text("theirs")
    secrets.exchange(cluster, "pantheon", folder, folder / "record.json", other_s3)
    return (folder / "s3" / "credentials").read_text()


def test_the_keys_of_another_s3_are_not_replaced_by_those_that_the_chart_makes(tmp_path: Path) -> None:
    cluster = Cluster(**{"s3.credentials": b"made"})
    assert exchanged(tmp_path, cluster, other_s3=True) == "theirs"
    assert "s3.credentials" not in cluster.sent


def test_where_both_have_a_secret_that_of_the_cluster_holds(tmp_path: Path) -> None:
    cluster = Cluster(**{"s3.credentials": b"made"})
    assert exchanged(tmp_path, cluster, other_s3=False) == "made"
